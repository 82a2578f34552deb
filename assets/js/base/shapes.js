// Numbers as text, colours for amounts, SVG elements.
export const THIN = "\u202f"; // holds a number and its unit in one line

// --- numbers -------------------------------------------------------------------------------
const SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹";
/** @param {any} n */
export const superscript = (n) =>
  (n < 0 ? "⁻" : "") + [...String(Math.abs(n))].map((digit) => SUPER[+digit]).join("");
/** @param {string} text */
const minus = (text) => text.replace("-", "−"); // a hyphen is no sign
/** @param {number} x @param {number} count */
function digits(x, count) { // significant digits
  if (x === 0) return "0";
  const power = Math.floor(Math.log10(Math.abs(x)));
  if (power >= -3 && power < 4) return minus(String(+x.toPrecision(count)));
  return `${minus(String(+(x / 10 ** power).toPrecision(count)))}${THIN}×${THIN}10${superscript(power)}`;
}
/** @param {number} x */
export const three = (x) => digits(x, 3), two = (/** @type {number} */ x) => digits(x, 2);
/** @param {number} share */
export function percent(share) {
  const p = 100 * share;
  if (Math.abs(p) >= 99.5 && Math.abs(p) < 99.95) return `${p.toFixed(1)}${THIN}%`;
  return `${minus(String(Math.abs(p) >= 9.95 ? Math.round(p) : +p.toFixed(1)))}${THIN}%`;
}
// Levels and bands: two decimals if they are exact, else one.
/** @param {number} share */
export function level(share) {
  const p = 100 * share;
  const exact = Math.abs(p * 100 - Math.round(p * 100)) < 1e-6;
  return `${exact ? +p.toFixed(2) : p.toFixed(1)}${THIN}%`;
}
/** @param {number} share */
export const percent1 = (share) => `${(100 * share).toFixed(1)}${THIN}%`;
/** @param {any} n */
export function count(n) {
  if (n >= 1e9) return `${(n / 1e9).toPrecision(3)}${THIN}B`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(2)}${THIN}M`;
  if (n >= 1e4) return `${Math.round(n / 1e3)}${THIN}k`;
  return String(n);
}
/**
 * A slider's value with the unit that its name has in brackets, as a screen reader says it.
 * @param {string} name @param {string | number} value
 */
export const valueText = (name, value) => {
  const [, title, unit] = /^(.*?) \(([^()]*)\)$/.exec(name) ?? [];
  return unit ? `${value}${THIN}${unit === "number" ? title.toLowerCase() : unit}` : String(value);
};

// --- colours: perceptually uniform, and distinguishable with colour blindness -----------------
/** @param {...any} hex */
const stops = (...hex) => (hex.join("").match(/.{6}/g) ?? [])
  .map((stop) => [0, 2, 4].map((i) => parseInt(stop.slice(i, i + 2), 16)));
// For amounts: viridis. For differences, the middle at zero and close to the page's background: vik on a light page,
// berlin on a dark one (Crameri, 2018).
const VIRIDIS = stops("440154481567482677453781404788", "39568c33638d2d708e287d8e238a8d",
  "1f968b20a38729af7f3cbb7555c667", "73d05595d840b8de29dce319fde725");
const VIK = stops("001261033a7a1965975897b8a6c8d9", "ebe5e0e1b8a0cd8861b4592a862306590008");
const BERLIN = stops("9eb0ff62a6e03280a620526a112732", "190c0937100061200b964a36ca7b71ffadad");
/** @param {number} share @param {number[][]} map */
function rgb(share, map) {
  const place = Math.min(Math.max(share, 0), 1) * (map.length - 1);
  const low = Math.min(Math.floor(place), map.length - 2);
  return map[low].map((/** @type {any} */ c, /** @type {number} */ i) =>
    Math.round(c + (place - low) * (map[low + 1][i] - c)));
}
/** @param {number} share @param {number[][]} map */
const colourOf = (share, map) => `rgb(${rgb(share, map).join(",")})`;
// The readable text colour on it: black above a relative luminance of 0.18.
/** @param {number} share @param {number[][]} map */
const inkOf = (share, map) => {
  const [r, g, b] = rgb(share, map).map((/** @type {any} */ c) => {
    const x = c / 255;
    return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
};
const signed = () => (document.body.classList.contains("dark") ? BERLIN : VIK);
/** @param {() => number[][]} map */
const ramp = (map) =>
  ({ colour: (/** @type {number} */ share) => colourOf(share, map()),
    ink: (/** @type {number} */ share) => inkOf(share, map()) });
export const amounts = ramp(() => VIRIDIS), signs = ramp(signed);

// --- elements ------------------------------------------------------------------------------
/**
 * @param {boolean} space Whether it is one of SVG.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {Element | null} [parent]
 * @param {string | null} [text]
 * @returns {any}
 */
function make(space, tag, attributes = {}, parent = null, text = null) {
  const element = space
    ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") element.style.cssText = value; // a strict content policy refuses the attribute
    else element.setAttribute(name, value);
  }
  if (text !== null) element.textContent = text;
  if (parent) parent.appendChild(element);
  return element;
}
/** An element that the page always has. @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);
// Write an attribute only if it changes: most frames change little.
/** @param {any} element @param {string} name @param {any} value */
export function put(element, name, value) {
  const text = String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}
/** @param {any} element @param {string} text */
export function say(element, text) {
  if (element.linked) { // it holds terms as well: see glossary_links.js
    if (element.linked !== text) element.replaceChildren(text);
    element.linked = element.linked === text ? text : "";
    return;
  }
  const node = element.firstChild;
  if (!node) { if (text) element.textContent = text; return; }
  if (node.data !== text) node.data = text; // the node stays: a new one would cost a layout object
}
/**
 * As `say`, for sentences of this program: what stands in backticks, a command or a setting, becomes code.
 * @param {any} element @param {string} text
 */
export function sayProse(element, text) {
  if (element.prose === text) return;
  element.prose = text;
  if (element.linked) element.linked = "";
  const pieces = text.split(/(`[^`]+`)/).filter(Boolean);
  element.replaceChildren(
    ...pieces.map((piece) => (/^`.+`$/.test(piece) ? html("code", {}, null, piece.slice(1, -1)) : piece)));
}
// Round numbers.
/** @param {number} low @param {number} high @param {number} steps */
function step(low, high, steps) {
  const rough = (high > low ? high - low : 1) / steps, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5].map((x) => x * power).find((x) => x >= rough * 0.999) ?? 10 * power;
}
/** @param {number} first @param {number} last @param {number} size */
const multiples = (first, last, size) =>
  Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => +((first + i) * size).toPrecision(10));
// Those from `low` to `high`, about `steps`.
/** @param {number} low @param {number} high @param {number} [steps] */
export function ticks(low, high, steps = 5) {
  const size = step(low, high, steps);
  return multiples(Math.ceil(low / size - 1e-9), Math.floor(high / size + 1e-9), size);
}
// An axis that holds both: {low, high, marks}. Its ends are marks too, unless one is only just missed.
/** @param {number} low @param {number} high @param {number} [steps] */
export function axis(low, high, steps = 5) {
  const size = step(low, high, steps), just = 0.3;
  const first = Math.ceil(low / size - just), last = Math.max(Math.floor(high / size + just), first + 1);
  const marks = multiples(first, last, size);
  return { low: Math.min(low, marks[0]), high: Math.max(high, marks[marks.length - 1]), marks };
}
/** The round numbers of a logarithmic axis, as logarithms. @param {number[]} logs */
export function roundLogs(logs) {
  const low = Math.min(...logs), high = Math.max(...logs);
  const decades = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
  const marks = (/** @type {number[]} */ steps) =>
    decades.flatMap((decade) => steps.map((step) => decade + Math.log10(step)))
      .filter((x) => x >= low - 0.02 && x <= high + 0.02);
  return [[1, 2, 5], [1, 3], [1]].map(marks).find((found) => found.length <= 8) ?? marks([1]);
}
// Few steps, so that the scale stays constant over many rates and bars grow while a slider moves.
/** @param {number} x */
export const niceTop = (x) => [0.1, 0.25, 0.5].find((top) => x <= top) ?? 1;
// Positions of labels that may be too close: in order, without overlap, inside if they fit.
/** @param {number[]} places @param {number} width @param {number} apart */
export function spread(places, width, apart) {
  /** @type {number[]} */
  const spots = [];
  places.forEach((/** @type {number} */ place, /** @type {number} */ i) =>
    spots.push(i ? Math.max(place, spots[i - 1] + apart) : place));
  for (let i = spots.length - 1, most = width; i >= 0; i--, most = spots[i + 1] - apart)
    spots[i] = Math.min(spots[i], most);
  return spots;
}
/** @param {number} x */
export const px = (x) => (Math.round(x * 100) / 100).toString();
/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {Element | null} [parent]
 * @param {string | null} [text]
 * @returns {any}
 */
export const svg = (tag, attributes, parent, text) => make(true, tag, attributes, parent, text);
/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {Element | null} [parent]
 * @param {string | null} [text]
 * @returns {any}
 */
export const html = (tag, attributes, parent, text) => make(false, tag, attributes, parent, text);
