// Tables and exact plans from the server, decoded and matched with the controls they were made for.
import * as controls from "./controls.js";
import { planValue } from "./densities.js";
import { afterFrame, redraw, server, setActivity } from "./parts.js";
import { plainModel } from "./session_value.js";

// --- the plans of the newest merge in the tab, worked out for drawing when they are drawn ---------
let planned = { key: "", at: -Infinity, plans: /** @type {Record<string, any>} */ ({}), focus: "",
  value: /** @type {any} */ (null) };
/** @param {string} key Of the controls that they were made for. @param {Record<string, any>} plans */
export const takePlans = (key, plans) => {
  planned = { key, at: performance.now(), plans, focus: "", value: null };
  redraw();
};
function plannedNow() {
  const { focus } = controls.state, plan = planned.plans[focus];
  if (!plan || !server.tables[focus] || planned.key !== controls.key()) return null;
  if (planned.focus !== focus) Object.assign(planned, { focus, value: planValue(plan, server.tables[focus]) });
  return planned.value;
}
/** Whether the tab has planned all models of the list, for the controls of now. */
export const isPlanned = () =>
  planned.key === controls.key() && controls.state.models.every(({ ref }) => planned.plans[ref] && server.tables[ref]);
/** The server's answer without plans, with those of the tab. @param {Record<string, any>} value */
function withPlans(value) {
  if (planned.key !== controls.keyOf(value.choices)) return value;
  const plans = Object.fromEntries(Object.entries(planned.plans)
    .map(([model, plan]) => [model, planValue(plan, server.tables[model])]));
  const kept = Object.values(plans).reduce((sum, plan) => sum + plan.kept, 0);
  return { ...value, plans, kept, share: value.numel ? kept / value.numel : 0 };
}

// The exact plan of the model in focus, if it was made for exactly the current controls: by the tab, or by the server.
export const exactPlan = () => {
  const own = plannedNow();
  if (own) return own;
  const exact = server.exact;
  if (!exact || !controls.fits(exact.settings)) return null;
  if (controls.asText(exact.settings.levels) !== controls.asText(controls.levels())) return null;
  return exact.plans[controls.state.focus] || null;
};
// The effect of the merge in memory on every module; null if none has these choices.
export const outcome = () => (isCurrent() && server.exact.outcome) || null;
export const table = () => server.tables[controls.state.focus] || null;
export const isCurrent = () => server.exact !== null && controls.keyOf(server.exact.choices) === controls.key();

// --- recipe hashes by the choices that they were made for ---------------------------------
const recipes = new Map();
export const recipe = (key = controls.key()) => recipes.get(key) ?? null; // null: unknown yet
/** @param {Record<string, any>} choices @param {any} recipe */
function learn(choices, recipe) {
  recipes.set(controls.keyOf(choices), recipe);
  if (recipes.size > 500) recipes.delete(recipes.keys().next().value);
}
const mergedRecipes = new Set(); // recipes that this page has seen in memory
/** @param {any} recipe */
export const isMerged = (recipe) => Boolean(recipe)
  && (mergedRecipes.has(recipe) || (server.exact?.recipe === recipe && server.service.merged));
/** @param {any} recipe */
export const noteMerged = (recipe) => { if (recipe) mergedRecipes.add(recipe); };

/** Models in a new form are drawn as in their last one until its table is here. @param {DomainModel[]} models */
export function standIn(models) {
  for (const { ref } of models) {
    const other = Object.keys(server.tables).find((name) => plainModel(name) === plainModel(ref)) ?? "";
    if (server.tables[ref] || !other) continue;
    server.tables[ref] = server.tables[other];
    const { label } = server.names[other], isWhole = other === plainModel(other);
    server.names[ref] = { ...server.names[other], label: isWhole ? label : label.replace(/ \([^()]*\)$/, "") };
    if (controls.state.focus === other) controls.state.focus = ref;
  }
}
/** @param {any} value */
export const takeTables = (value) => {
  if (!value || !value.tables) return;
  server.names = value.names;
  server.outliers = value.outliers;
  server.tables = Object.fromEntries(Object.entries(value.tables).map(([name, packed]) =>
    [name, { ...decode(packed), sources: value.names[name]?.layers ?? [] }]));
  standIn(controls.state.models);
  controls.state.significance = value.settings.significance; // of the drawn table: measured first
  controls.state.chosen = value.settings.chosen; // used only by methods that rank by it
  if (value.adopt) controls.adopt(value.settings);
  if (value.look) controls.look(value.look);
  if (!server.tables[controls.state.focus]) {
    controls.state.focus = Object.keys(server.tables)[0] || "";
    controls.lookAtActive();
  }
  redraw();
};
// The source of each layer of the drawn model, if it is a stack of these layers; null stands for what is outside.
/** @param {(number | null)[]} layers */
export const sourcesOf = (layers) => {
  const sources = server.tables[controls.state.focus]?.sources ?? [];
  return sources.length === new Set(layers.filter((layer) => layer !== null)).size ? sources : [];
};
/** @param {any} value */
export const takeExact = (value) => {
  if (!value) return;
  if (value.runs) { setActivity(value.runs, "merging"); return; } // its turn has come
  if (value.measuring !== undefined) {
    server.measuring = value.measuring;
    setActivity("see", value.measuring ? "measuring" : "idle");
    if (!value.plans) return;
  }
  server.trouble = value.trouble || ""; // the plan failed: the drawing stays
  if (!value.plans) { redraw(); return; }
  server.exact = value.planned ? withPlans(value) : value;
  learn(value.choices, value.recipe);
  server.service.merged = value.merged;
  if (value.adopt) controls.adopt(value.settings);
  if (!isCurrent()) askSoon(150);
  redraw();
};

// --- rest: request the exact plan when nothing has moved for a moment ------------------------
// While the tab makes the plans, the server only names the recipe: a thumb that slows down is no rest.
const REST_MS = 50, NAMED_MS = 400, LATELY_MS = 1000;
/** @type {(() => void) | null} */
let askExact = null;
/** @param {() => void} ask */
export const askAtRest = (ask) => { askExact = ask; };
let timer = 0, moved = "", tries = 0;
/** @param {number} delay */
function askSoon(delay) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (!askExact || !server.exact || isCurrent() || server.restoring || tries >= 3) return;
    if (server.activity.see !== "idle") return; // the plan follows what is measured
    tries += 1; // an answer to an older question is followed by another try
    askExact();
  }, delay);
}
afterFrame(() => {
  const now = controls.key();
  if (now === moved) return;
  const byTab = planned.key === moved || performance.now() - planned.at < LATELY_MS;
  moved = now;
  tries = 0;
  askSoon(byTab ? NAMED_MS : REST_MS);
});

// --- arrays as packed by the server -----------------------------------------------------------
/** @param {string} base64 */
function bytes(base64) {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out.buffer;
}
/** @type {Record<string, any>} */
const TYPES = { u8: Uint8Array, u16: Uint16Array, f32: Float32Array };
/** @param {any} options */
export function unpack({ dtype, shape, offset, scale, steps, data }) {
  const codes = new TYPES[dtype](bytes(data));
  const values = new Float64Array(codes.length);
  const row = shape[shape.length - 1];
  let sum = 0;
  for (let i = 0; i < codes.length; i++) {
    sum = steps && i % row ? sum + codes[i] : codes[i];
    values[i] = offset + scale * sum;
  }
  return values;
}
/** @param {Record<string, any>} packed */
export function decode(packed) {
  /** @type {RateTable} */
  const table = { layers: packed.layers, kinds: packed.kinds, modules: packed.modules, count: packed.rates.count };
  for (const [name, array] of Object.entries(packed)) {
    if (array && array.data !== undefined) table[name] = unpack(array);
  }
  return table;
}
