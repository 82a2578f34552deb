// Every plot as a file or in the clipboard: SVG and PNG of what is shown, CSV of its numbers; made in the browser.
// A saved picture is self-contained, with the colours and fonts of the page; on white, with those of the light theme.
import { html, say } from "../base/shapes.js";
import * as tables from "./tables.js";

const SPACE = "http://www.w3.org/2000/svg";
const MARK = 20; // pixels for the mark of a legend
const EDGE = 16, SCALE = 2; // pixels around the plot; pixels of the PNG for one of the page
const GROUNDS = ["white", "transparent"], KEY = "dppa.ground.1";
const GROUND = "The ground of pictures; on a transparent one they keep the colours of this theme";
const CLOSED = "This browser keeps pictures out of the clipboard: it is saved as a file.";

// --- colours and styles, resolved -------------------------------------------------------------
const brush = /** @type {CanvasRenderingContext2D} */ (
  document.createElement("canvas").getContext("2d", { willReadFrequently: true }));
const plainColours = new Map();
// Any CSS colour as #rrggbb and its opacity: other programs support no CSS variables or color-mix.
/** @param {string} colour */
function plain(colour) {
  if (!plainColours.has(colour)) {
    brush.canvas.width = brush.canvas.height = 1;
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
    plainColours.set(colour, [`#${[r, g, b].map((x) => x.toString(16).padStart(2, "0")).join("")}`, a / 255]);
  }
  return plainColours.get(colour);
}
/** @param {any} value */
const patternOf = (value) => {
  const id = /^url\("?#([\w-]+)"?\)/.exec(value)?.[1];
  return id && document.getElementById(id)?.tagName === "pattern" ? id : "";
};
const COPIED = ["stroke-width", "stroke-dasharray", "text-anchor", "dominant-baseline", "font-size", "font-weight"];
/** @param {any} source @param {any} copy */
function dress(source, copy) {
  const style = /** @type {any} */ (getComputedStyle(source));
  if (style.display === "none" || style.visibility === "hidden") { copy.remove(); return; }
  for (const name of ["fill", "stroke"]) {
    const value = style[name];
    const pattern = patternOf(value);
    if (pattern) { copy.setAttribute(name, `url(#${pattern})`); continue; }
    if (value === "none" || value.startsWith("url")) { copy.setAttribute(name, "none"); continue; }
    const [colour, alpha] = plain(value);
    copy.setAttribute(name, colour);
    copy.setAttribute(`${name}-opacity`, String(+(alpha * style[`${name}Opacity`]).toFixed(3)));
  }
  for (const name of COPIED) {
    const value = style.getPropertyValue(name);
    if (value && value !== "none" && value !== "auto" && value !== "normal") copy.setAttribute(name, value);
  }
  if (source.tagName === "text") copy.setAttribute("font-family", style.fontFamily);
  for (const name of ["class", "style", "tabindex"]) copy.removeAttribute(name);
  const children = [...copy.children];
  [...source.children].forEach((child, i) => {
    if (child.tagName !== "defs" && child.tagName !== "clipPath") dress(child, children[i]);
  });
}

// --- the ground, one for all plots, remembered in this tab -------------------------------------
const remembered = () => { try { return sessionStorage.getItem(KEY) ?? ""; } catch { return ""; } };
let ground = GROUNDS.includes(remembered()) ? remembered() : GROUNDS[0];
/** @param {string} choice */
function setGround(choice) {
  ground = choice;
  try { sessionStorage.setItem(KEY, choice); } catch { /* this tab remembers nothing */ }
  for (const select of document.querySelectorAll('[data-save="ground"]')) select.value = choice;
}
/** @param {() => any} draw */
function onGround(draw) {
  const { classList } = document.body, darkens = ground === "white" && classList.contains("dark");
  classList.toggle("dark", classList.contains("dark") && !darkens);
  const result = draw();
  classList.toggle("dark", classList.contains("dark") || darkens);
  return result;
}

// --- the picture -----------------------------------------------------------------------------
/** @param {string} text @param {string} font @param {number} width */
function lines(text, font, width) {
  brush.font = font;
  const rows = [""];
  for (const word of text.split(/\s+/)) {
    const longer = `${rows[rows.length - 1]} ${word}`.trim();
    if (brush.measureText(longer).width <= width || !rows[rows.length - 1]) rows[rows.length - 1] = longer;
    else rows.push(word);
  }
  return rows.filter(Boolean);
}
// The visible text without the glossary bubbles.
/** @param {any} element */
function wordsOf(element) {
  const copy = element.cloneNode(true);
  for (const bubble of copy.querySelectorAll(".meaning")) bubble.remove();
  return copy.textContent.trim();
}
// Draws the marks and words of a legend in lines as wide as the plot; returns their lower end.
/** @param {any} svg @param {Element | null} list @param {any} top @param {number} width */
function legend(svg, list, top, width) {
  let x = 0, y = top;
  for (const item of list?.children ?? []) {
    const [mark, text] = item.children, style = getComputedStyle(text), size = parseFloat(style.fontSize);
    brush.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const room = MARK + brush.measureText(text.textContent).width + 14;
    if (x > 0 && x + room > width) { x = 0; y += Math.round(size * 1.5); }
    const copy = /** @type {any} */ (mark.cloneNode(true));
    dress(mark, copy);
    Object.entries({ x: EDGE + x, y: y + 2 }).forEach(([name, value]) => copy.setAttribute(name, value));
    svg.appendChild(copy);
    const label = document.createElementNS(SPACE, "text");
    Object.entries(
      { x: EDGE + x + MARK, y: y + size, fill: plain(style.color)[0], "font-size": `${size}px`,
        "font-family": style.fontFamily })
      .forEach(([name, value]) => label.setAttribute(name, value));
    label.textContent = text.textContent;
    svg.appendChild(label);
    x += room;
    if (item === list?.lastElementChild) y += Math.round(size * 1.5) + 4;
  }
  return y;
}
/** @param {any} box @param {any} root */
function picture(box, root) {
  const width = root.clientWidth || +root.getAttribute("width"), height = +root.getAttribute("height");
  const svg = document.createElementNS(SPACE, "svg");
  let y = EDGE;
  const write = (/** @type {any} */ element, /** @type {any} */ gap) => {
    const words = element ? wordsOf(element) : "";
    if (!words) return;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    for (const line of lines(words, `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`, width)) {
      y += Math.round(size * 1.3);
      const text = document.createElementNS(SPACE, "text");
      Object.entries({ x: EDGE, y: y - Math.round(size * 0.3), fill: plain(style.color)[0], "font-size": `${size}px`,
        "font-family": style.fontFamily,
        "font-weight": style.fontWeight }).forEach(([name, value]) => text.setAttribute(name, value));
      text.textContent = line;
      svg.appendChild(text);
    }
    y += gap;
  };
  write(box.querySelector(".plot-title"), 8);
  y = legend(svg, box.querySelector(":scope > .legend"), y, width);
  const copy = root.cloneNode(true);
  dress(root, copy);
  const patterns = copy.querySelectorAll("pattern");
  root.querySelectorAll("pattern")
    .forEach((/** @type {any} */ pattern, /** @type {number} */ i) =>
      [...pattern.children].forEach((child, k) => dress(child, patterns[i].children[k])));
  for (const name of ["id", "role", "aria-label"]) copy.removeAttribute(name);
  Object.entries({ x: EDGE, y, width, height, overflow: "visible" })
    .forEach(([name, value]) => copy.setAttribute(name, value));
  svg.appendChild(copy);
  y += height + 8;
  for (const how of box.querySelectorAll(":scope > .how, :scope > .said")) write(how, 4);
  if (ground === "white") {
    const paper = document.createElementNS(SPACE, "rect");
    Object.entries({ width: "100%", height: "100%", fill: "#ffffff" })
      .forEach(([name, value]) => paper.setAttribute(name, value));
    svg.prepend(paper);
  }
  const about = document.createElementNS(SPACE, "title");
  about.textContent = `${box.querySelector(".plot-title")?.textContent ?? ""} (recipe `
    + `${tables.recipe()?.slice(0, 12) || "unknown"})`;
  svg.prepend(about);
  const size = { width: Math.ceil(width + 2 * EDGE), height: Math.ceil(y + EDGE - 4) };
  Object.entries({ xmlns: SPACE, ...size, viewBox: `0 0 ${size.width} ${size.height}` })
    .forEach(([name, value]) => svg.setAttribute(name, String(value)));
  return { ...size, text: new XMLSerializer().serializeToString(svg) };
}
/** @param {any} options */
async function pixels({ text, width, height }) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

// --- the numbers: RFC 4180; a text that a spreadsheet would run as a formula is marked as text ----
/** @param {any} value */
function field(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value === "number") return String(+value.toPrecision(9));
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
/** @param {any} options */
const csv = ({ columns, rows }) => [columns, ...rows].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";

/** @param {any} blob @param {string} name */
function give(blob, name) {
  const link = html("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// --- the buttons -------------------------------------------------------------------------------
// box: what holds .plot-title, the svg and the sentences on how to read it. shown(): the svg, or null where
// only a table is; rows(): {columns: names with units, rows} of what is shown, or null where nothing is yet. A
// table with a `recipe` was measured on that one: its file is named so, whatever the controls say now.
/** @param {any} box @param {string} name @param {() => any} rows @param {() => any} [root] */
export const saveable = (box, name, rows, root = () => null) => {
  const bar = html("div", { class: "saves", role: "group", "aria-label": "Save" }, box);
  const file = (/** @type {string} */ kind, /** @type {string} */ recipe = "") =>
    `dppa-${name}-${(recipe || tables.recipe() || "recipe").slice(0, 6)}.${kind}`;
  const button = (/** @type {string} */ kind, /** @type {any} */ title, /** @type {any} */ save) => {
    const control = html("button",
      { type: "button", class: "save", "data-save": kind, title, "aria-label": title }, bar, kind.toUpperCase());
    control.addEventListener("click", save);
    return control;
  };
  if (root()) {
    const drawing = () => onGround(() => picture(box, root())), image = () => pixels(drawing());
    const told = html("output", { class: "how", "aria-live": "polite" }, bar);
    const save = async () => give(await image(), file("png"));
    say(button("copy", "Copy this plot as a picture", async () => {
      try {
        await navigator.clipboard.write([new ClipboardItem({ "image/png": image() })]);
        say(told, "Copied.");
      } catch {
        say(told, CLOSED);
        await save();
      }
    }), "Copy picture");
    button("png", "Save this plot as a picture (PNG)", save);
    button("svg", "Save this plot as a drawing (SVG)",
      () => give(new Blob([drawing().text], { type: "image/svg+xml" }), file("svg")));
    const choice = html("select", { class: "save", "data-save": "ground", title: GROUND, "aria-label": GROUND }, bar);
    for (const value of GROUNDS) html("option", { value }, choice, `on ${value}`);
    choice.value = ground;
    choice.addEventListener("change", () => setGround(choice.value));
  }
  button("csv", "Save the numbers as a table (CSV)", () => {
    const table = rows();
    if (table) give(new Blob([csv(table)], { type: "text/csv;charset=utf-8" }), file("csv", table.recipe));
  });
  return bar;
};
