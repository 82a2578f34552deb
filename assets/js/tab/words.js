// Words by the tab itself: the current merge as the worker reads it, and wishes for its words. Where the tab
// cannot answer, the server does.
import * as controls from "../session/controls.js";
import { redraw } from "../session/parts.js";
import * as tables from "../session/tables.js";
import { sendCounted } from "./counts.js";
import { workers } from "./workers.js";

/**
 * Addresses relative to the page, and the models, methods and settings that a tab knows; of other settings it knows the
 * defaults, and of `counts.methods` it asks the server for the kept counts with other `counts.settings`:
 * components/server/tab_files.py.
 * @type {{base: string, models: string[], methods: string[], settings: string[], loops: string, manifest: string,
 *   weights: Record<string, string>, integrity: {loops: string, manifest?: string},
 *   counts: {address: string, methods: string[], settings: string[]} | null} | null}
 */
const files = JSON.parse(document.getElementById("tab-files")?.textContent ?? "null");
const LAYERS = 6, BYTES_OF_MODEL = 5_200_000; // bytes of a packed model, about

/** The worker's state: unasked, loading, ready, or failed: then the server answers. */
export const tab = {
  state: /** @type {"unasked" | "loading" | "ready" | "failed"} */ ("unasked"), share: 0, why: "",
};
let writers = /** @type {ReturnType<typeof workers> | null} */ (null), number = 0;
/** Number of a wish -> what takes its messages, and the controls then. */
/** @type {Map<number, {take: (message: any) => void, key: string}>} */
const takers = new Map();

/** Vector instructions of WebAssembly: one function with one constant of 128 bits. */
const VECTORS = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253,
  98, 11];
/** Whether the visitor saves data, and is sent no models. */
const savesData = /** @type {any} */ (navigator).connection?.saveData === true;
const isAble = Boolean(files) && typeof Worker === "function" && typeof DecompressionStream === "function"
  && globalThis.WebAssembly?.validate(Uint8Array.from(VECTORS)) && !savesData;

/** Whether a model alone can answer in the tab. @param {string} model */
export const knows = (model) =>
  tab.state !== "failed" && isAble && (model === files?.base || Boolean(files?.models.includes(model)));

/** The merge of the controls read last: several parts ask for it in every frame. */
let newest = { key: "", merge: /** @type {TabMerge | null} */ (null) };
/** The current merge as the worker reads it; null where the server must answer. */
export function mergeNow() {
  const key = `${tab.state} ${controls.key()}`;
  if (key !== newest.key) newest = { key, merge: readMerge() };
  return newest.merge;
}
/** @returns {TabMerge | null} */
function readMerge() {
  const { state } = controls, method = controls.method(), models = state.models.filter(controls.decides);
  const values = Object.fromEntries(method.parameters.map((item) => [item.name, controls.setting(method, item)]));
  const isKnown = ({ name, elsewhere, default: usual }) => files?.settings.includes(name)
    || values[name] === (elsewhere ? controls.controlOf(name).default : usual);
  const { other_tensors: others = "keep" } = values, held = controls.held();
  const other = method.parameters.filter((item) => !isKnown(item)), isPlanned = !other.length && !held.length;
  const { methods: counted = [], settings = [] } = files?.counts ?? {};
  const canAsk = counted.includes(method.name) && other.every(({ name }) => settings.includes(name));
  if (!models.length || !files?.methods.includes(method.name) || controls.staged()
    || !(isPlanned || canAsk) || (others === "prune" && method.name !== "dare")
    || Object.keys(controls.ownChoices()).length || controls.template() !== "auto"
    || state.base !== files.base || !models.every(({ ref, parts }) => knows(ref) && !parts)) return null;
  const overrides = Object.fromEntries(held.map(([name, rate]) => [name, { rate }]));
  return { method: method.name, strength: state.strength, others,
    asks: isPlanned ? undefined : { parameters: values, overrides },
    models: models.map((model) => ({
      model: model.ref, levels: controls.levels(), factors: controls.factorsOf(model.ref),
      coefficients: Array.from({ length: LAYERS }, (_, layer) =>
        Math.round(1e6 * controls.coefficientAt(model, layer)) / 1e6) })) };
}

/**
 * A merge by DPPA whose models share all settings, and count once.
 * @param {string[]} models @param {number[]} levels @param {number[]} factors @param {number} strength
 * @returns {TabMerge}
 */
export const evenMerge = (models, levels, factors, strength) => ({ method: "dppa", strength, others: "keep",
  models: models.map((model) => ({ model, levels, factors, coefficients: Array(LAYERS).fill(1) })) });

/**
 * A question in the embedded models' template.
 * @param {string} question @param {string[][]} earlier Questions with their answers. @param {string} system
 */
export function rendered(question, earlier = [], system = "") {
  const said = [...(system ? [["system", system]] : []),
    ...earlier.flatMap(([asked, answer]) => [["user", asked], ["assistant", answer]]), ["user", question]];
  return `<|bos|>${said.map(([role, text]) => `<|${role}|>${text}<|end|>`).join("")}<|assistant|>`;
}

function fail(/** @type {string} */ why) {
  Object.assign(tab, { state: "failed", why });
  writers?.end();
  writers = null;
  for (const { take } of takers.values()) take({ kind: "failed", why });
  takers.clear();
  redraw();
}
/** @param {any} message */
function take(message) {
  if (message.kind === "progress") {
    tab.state = "loading"; // again, where models join
    tab.share = Math.min(message.bytes / (message.models * BYTES_OF_MODEL), 1);
    redraw();
    return;
  }
  if (message.kind === "merged") tab.state = "ready";
  if (message.kind === "failed") { fail(message.why); return; }
  const taker = takers.get(message.id);
  if (message.kind === "plans" && taker?.key) tables.takePlans(taker.key, message.plans);
  taker?.take(message);
  if (["fulfilled", "replaced", "refused"].includes(message.kind)) takers.delete(message.id);
}
function begin() {
  const at = (/** @type {string} */ path) => new URL(path, document.baseURI).href;
  tab.state = "loading";
  const { loops, manifest, weights, integrity } = /** @type {any} */ (files);
  const models = Object.fromEntries(Object.entries(weights).map(([model, path]) => [model, at(path)]));
  try { writers = workers({ wasm: at(loops), manifest: at(manifest), models, integrity }, take); } catch (error) {
    fail(String(error));
  }
}

/**
 * Wish for words, or for a reading of a text. The newest wish of a channel replaces those that wait.
 * @param {string} channel
 * @param {TabWish} wish
 * @param {(message: any) => void} take Called with `merged`, each `words`, a `reading`, and at last `fulfilled`,
 *   `replaced`, `refused` (why: the prompt is too long) or `failed`.
 */
export function wishFor(channel, { key = controls.key(), ...wish }, take) {
  if (!writers && tab.state !== "failed") begin();
  if (!writers) { take({ kind: "failed", why: tab.why }); return; }
  takers.set(++number, { take, key });
  const { base, counts } = /** @type {any} */ (files), server = { base, address: counts?.address };
  sendCounted({ channel, id: number, limit: 48, ...wish }, server, (counted) => writers?.send(counted),
    (id, kind) => { takers.get(id)?.take({ kind }); takers.delete(id); });
}

/**
 * Whether the models of some wishes are in the tab; if not, they are fetched for later ones, with all that are listed.
 * @param {{merge?: TabMerge, model?: string}[]} wishes
 */
export function areFetched(wishes) {
  const needed = wishes.flatMap(({ merge, model }) => merge?.models.map((part) => part.model) ?? model ?? []);
  if (needed.every((model) => writers?.fetched.has(model))) return true;
  const listed = controls.state.models.map(({ ref }) => ref).filter(knows);
  wishFor("fetch", { models: [...needed, ...listed] }, () => {});
  return false;
}
