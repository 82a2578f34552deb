// The address of a living figure: what it draws, and the settings it begins with, as text that people can read.
import * as controls from "./controls.js";

export const FIGURES = ["stage", "strip", "heatmap", "kept", "distribution", "answer", "by-hand"];
const THEMES = ["light", "dark"], GROUNDS = ["page", "transparent"], RATIOS = ["16:9", "free"];
const LONGEST_QUESTION = 2000;

/** @param {string} text @param {number} low @param {number} high */
const number = (text, low, high) => {
  const value = Number(text);
  return text.trim() !== "" && value >= low && value <= high ? value : null;
};
/** @param {string} text @param {number} low @param {number} high @param {number} most */
const numbers = (text, low, high, most) => {
  const values = text.split(",").map((part) => number(part, low, high));
  return values.length <= most && !values.includes(null) ? values : null;
};
/** @typedef {{is: string, read: (text: string) => any}} Form What a word may say; `read` gives null for all else. */
/** @typedef {{strengths: number[], models: string[], methods: string[]}} Choices What a figure can show. */

/** @param {readonly string[]} words @returns {Form} */
const oneOf = (words) => ({ is: `one of ${words.join(", ")}`, read: (text) => (words.includes(text) ? text : null) });

/** @param {Choices} choices @returns {Record<string, Form>} */
function forms({ strengths, models, methods }) {
  const [low, high] = controls.schema.factor, [least, most] = controls.schema.coefficient;
  const { span: [, top = 0], scale } = controls.controlOf("rate");
  const { span: [, bands = 1] } = controls.controlOf("partitions");
  return {
    figure: oneOf(FIGURES), theme: oneOf(THEMES), ground: oneOf(GROUNDS), ratio: oneOf(RATIOS),
    model: oneOf(models), method: oneOf(methods),
    quantity: oneOf(["significance", "density", "rate", "mean", "relative", "energy"]),
    q: { is: `a question of at most ${LONGEST_QUESTION} characters`,
      read: (text) => (text.trim() && text.length <= LONGEST_QUESTION ? text.trim() : null) },
    rate: { is: `the share dropped, from 0 to ${top / scale}`, read: (text) => number(text, 0, top / scale) },
    strength: { is: `one of ${strengths.join(", ")}`,
      read: (text) => (strengths.includes(Number(text)) && text ? Number(text) : null) },
    factors: { is: `1 to ${bands} numbers from ${low} to ${high} with commas, the strongest partition's first`,
      read: (text) => numbers(text, low, high, bands) },
    coefficients: { is: `${models.length} numbers from ${least} to ${most} with commas`,
      read: (text) => {
        const all = numbers(text, least, most, models.length);
        return all?.length === models.length ? all : null;
      } },
  };
}

/**
 * Read the part of an address after #. What cannot be read is left out, and a sentence says so.
 * @param {string} hash @param {Choices} choices
 * @returns {{values: Record<string, any>, problems: string[]}}
 */
export function readAddress(hash, choices) {
  const known = forms(choices), problems = /** @type {string[]} */ ([]);
  const values = /** @type {Record<string, any>} */ ({});
  for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    const form = Object.hasOwn(known, name) ? known[name] : null, value = form?.read(text) ?? null;
    if (value !== null) values[name] = value;
    else if (form) problems.push(`${name}=${text.slice(0, 60)} cannot be shown: ${name} is ${form.is}.`);
    else problems.push(`A figure's address has no “${name.slice(0, 40)}”; it has ${Object.keys(known).join(", ")}.`);
  }
  return { values, problems };
}

/**
 * The address of a figure with the current settings; empty where a figure cannot show them.
 * @param {string} figure @param {string} question @param {Choices} choices
 */
export function figureAddress(figure, question, { strengths, models, methods }) {
  const { state } = controls, method = controls.method().name, chosen = state.models.filter(controls.decides);
  const nameOf = (/** @type {string} */ ref) => ref.replace(/^zoo:/, "");
  const fits = methods.includes(method) && state.linked && !state.shares.length
    && (method !== "dppa" || strengths.includes(state.strength))
    && chosen.every(({ ref, curve, parts }) => models.includes(nameOf(ref)) && !curve?.length && !parts);
  if (!fits) return "";
  const coefficients = models.map((name) => chosen.find(({ ref }) => nameOf(ref) === name)?.coefficient ?? 0);
  const words = { figure, ...(question && { q: question }), method, rate: controls.rate(),
    factors: controls.factorsFor(state.factors).join(","),
    ...(method === "dppa" && { strength: state.strength }),
    ...(coefficients.some((x) => x !== 1) && { coefficients: coefficients.join(",") }),
    ...(models.includes(nameOf(state.focus)) && { model: nameOf(state.focus) }) };
  return `#${new URLSearchParams(Object.entries(words).map(([key, value]) => [key, String(value)]))}`
    .replaceAll("%2C", ",");
}
