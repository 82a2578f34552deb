// The controls: their rows, their values, and the choices they define.
import { redraw, server } from "./parts.js";

// --- the rows of components/session/fields.py, which the page's head holds ------------------
/**
 * @typedef {object} Control A row of the list; numbers are as on the page.
 * @property {string} key Its name in links and JSON, and of its value in `controls.state`.
 * @property {string} title
 * @property {string} element Id of its element.
 * @property {"models" | "plan" | "levels" | "tables" | "ranking" | "factors" | "method" | "weights"} changes
 * @property {[number, number, number] | []} span Lowest, highest, step; empty if it is no slider.
 * @property {number} scale Units of the page in one of JSON: 100 for per cent.
 * @property {any} default Null if it is no plain value.
 * @property {string[]} choices
 * @property {boolean} of_pruning Whether it is a setting of Dynamically Pruning.
 * @property {string} hidden_by The word in a class link that hides its slider.
 */
/**
 * @type {{version: number, controls: Control[], coefficient: [number, number, number], factor: [number, number,
 *   number],
 *   even_shares: number[][]}}
 */
export const schema = JSON.parse(document.getElementById("session-schema")?.textContent ?? "");

/** Those with a range. */
const sliders = schema.controls.filter(({ span }) => span.length);
/** Choices for own models. */
const ownControls = schema.controls.filter(({ changes }) => changes === "weights");
/** The settings of Dynamically Pruning, in the order of its parameters. */
const pruningKeys = schema.controls.filter((control) => control.of_pruning).map(({ key }) => key);
/** @param {string} key @returns {Control} */
export const controlOf = (key) => /** @type {Control} */ (schema.controls.find((control) => control.key === key));
/** @param {readonly Control[]} controls @param {(control: Control) => any} value @returns {Record<string, any>} */
const byKey = (controls, value) => Object.fromEntries(controls.map((control) => [control.key, value(control)]));

// --- the values -----------------------------------------------------------------------------
/**
 * The value of every control by its key, as on the page; significance is that of the drawn table.
 * @type {Record<string, any> & {models: DomainModel[], shares: number[], factors: number[], own: Record<string,
 *   number[]>,
 *   overrides: Record<string, number>}}
 */
export const state = {
  .../** @type {any} */ (
    byKey(schema.controls.filter((control) => control.default !== null), (control) => control.default)),
  base: "", models: [], shares: [], linked: true, factors: [], own: {}, focus: "", quantity: "density",
  chosen: controlOf("significance").default, // the significance that is chosen
  overrides: {}, // module -> its own pruning rate, a share
  picked: null, // {layer, kind} of the cell that is looked at closely
  arrival: null, // {byKey} where it has just been picked; byKey: its panel takes the focus
  partner: "", // model compared with the drawn one; empty: all others
  method: "dppa", values: {}, first: false, // values: of each method, where not its defaults
};

/** @param {Record<string, any>} patch */
export const set = (patch) => { Object.assign(state, patch); redraw(); };
// A number box may hold anything while being typed: only allowed numbers count.
/** @param {string} key @param {any} value */
export const move = (key, value) => {
  const { span: [low = 0, high = 0], changes } = controlOf(key);
  if (typeof value !== "number" || !(value >= low && value <= high)) return;
  set({ [key]: value, ...(changes === "levels" && { shares: [] }) }); // a number of bands splits evenly
};
// User events are handled here first, so that drawing waits for nothing. The listeners registered from
// Python do the same for changes by code.
document.addEventListener("input", (event) => {
  const control = sliders.find(({ element }) => event.target?.closest?.(`#${element}`));
  if (control && event.target?.value.trim() !== "") move(control.key, +event.target?.value);
}, true);
// Values changed before this script loaded on a slow network.
for (const { key, element } of sliders) {
  const slider = document.querySelector(`#${element} input[type=range]`);
  if (slider) move(key, +slider.value);
}

// --- the choices defined by the controls -------------------------------------------------
/** @param {number} x */
const twelve = (x) => Math.round(x * 1e12) / 1e12;
export const rate = () => twelve(state.rate / 100);
/** @param {number} last The pruning rate, a share. @param {number[]} shares Ends of the inner bands. */
const splitAt = (last, shares) => [...shares.map((share) => twelve(1 - (1 - last) * share)), last];
/** Levels that split what stays evenly. @param {number} last @param {number} count Number of bands. */
export const evenBands = (last, count) => splitAt(last, schema.even_shares[count - 1]);
export const bands = (last = rate()) =>
  (state.shares.length ? splitAt(last, state.shares) : evenBands(last, state.partitions));
// --- the method: its use of rate and partitions, and its settings ---------------------------
/** @param {string} name */
const methodOf = (name) => server.methods.find((method) => method.name === name);
export const method = () => methodOf(state.method)
  ?? { name: "dppa", title: "DPPA", levels: "many", shows: "plan", parameters: [] };
export const staged = () => state.first && method().combines === true;
export const pruner = () => {
  const prunes = staged() ? methodOf("dppa") : method();
  return prunes.levels === "none" ? null : prunes;
};
// plan: which changes stay is known before a merge; random: how many; whole: neither.
export const shows = () => (staged() ? "plan" : method().shows);
// A coefficient is a number, or a curve of [layer, number] points.
/** @param {DomainModel} model */
export const weight = (model) => model.parts || (model.curve?.length ? model.curve : model.coefficient);
/** @param {any} options @param {number} layer */
export const coefficientAt = ({ coefficient, curve }, layer) => {
  if (!curve?.length) return coefficient;
  const after = curve.findIndex((/** @type {any} */ [at]) => at >= layer);
  if (after <= 0) return after < 0 ? curve[curve.length - 1][1] : curve[0][1];
  const [[low, first], [high, last]] = [curve[after - 1], curve[after]];
  return first + ((layer - low) / (high - low)) * (last - first);
};
/** @param {DomainModel} model */
export const decides = (model) => model.on && (Boolean(model.parts)
  || (model.curve?.length ? model.curve.some((/** @type {any} */ [, x]) => x !== 0) : model.coefficient !== 0));
// Whose chat template: that of a model that takes no part counts as auto.
export const template = () =>
  (controlOf("template").choices.includes(state.template) || isOn(state.template) ? state.template : "auto");
// Choices for own models that are not the usual ones, as they stand in the list of models.
export const ownChoices = () =>
  byKey(ownControls.filter(({ key, default: usual }) => state[key] !== usual), ({ key }) => state[key]);
/** @param {any} value */
export const withOwnChoices = (value) => byKey(ownControls, ({ key, default: usual }) => value[key] ?? usual);
export const deciding = () => state.models.filter(decides).map((m) => m.ref);
// Rates of single modules are used if the method prunes; sorted by name as in Python.
export const held = () => (pruner() ? Object.entries(state.overrides).sort(([a], [b]) => (a < b ? -1 : 1)) : []);
/** @param {any} options @param {Record<string, any>} item */
export const setting = ({ name }, item) => {
  if (item.elsewhere) return state[item.name];
  const value = state.values[name]?.[item.name] ?? item.default;
  if (!item.model) return value;
  const models = deciding(); // a model that no longer takes part is replaced by the first that does
  return models.includes(value) ? value : models[0] ?? "";
};
function pruningChoice() {
  const prunes = pruner();
  if (!prunes) return [];
  const value = (/** @type {Record<string, any>} */ item) =>
    (staged() && !item.elsewhere ? item.default : setting(prunes, item));
  return [prunes.name, ...prunes.parameters.map(value)];
}
function methodChoice() {
  const merges = method();
  const parameters = merges.parameters.filter((/** @type {Record<string, any>} */ item) => !item.elsewhere);
  return [merges.name, staged(), ...parameters.map((/** @type {Record<string, any>} */ item) => setting(merges, item))];
}
/** @param {number} last The pruning rate, a share. */
export const levels = (last = rate()) => {
  const prunes = pruner();
  if (!prunes) return [0];
  return prunes.levels === "many" ? bands(last) : [last];
};
/** @param {string} reference */
export const factorsOf = (reference) => {
  const { linked, factors, own: ownFactors } = state;
  const row = linked ? factors : ownFactors[reference] || factors;
  if (!pruner()) return [1];
  return factorsFor(row);
};
/** @param {any} row */
export const factorsFor = (row) => levels().map((_, k) => (k < row.length ? row[k] : 1));
export const choices = () => {
  const s = state;
  const active = s.models.filter((model) => model.on);
  const prunes = pruner();
  return {
    base: s.base, rate: prunes ? rate() : 0, levels: levels(),
    parameters: prunes?.name === "dppa" ? pruningKeys.map((name) => s[name]) : [],
    method: methodChoice(),
    models: active.map((m) => [m.ref, weight(m), factorsOf(m.ref)]),
    overrides: held(), ...byKey(ownControls, ({ key }) => s[key]), template: template(),
  };
};
export const whole = () => ({ // the state of every control, including models that are off
  ...choices(),
  models: state.models.map((m) => [m.ref, m.on, weight(m), factorsOf(m.ref)]),
});

// Choices as text, sorted by name: equal texts are equal choices.
/** @param {any} _ @param {any} value */
const nine = (_, value) => (typeof value === "number" ? value.toFixed(9) : value);
/** @param {any} value */
export const asText = (value) => JSON.stringify(value, nine);
/** @param {Record<string, any>} theirs */
export const keyOf = (theirs) => asText(Object.entries(theirs).sort(([a], [b]) => (a < b ? -1 : 1)));
export const key = () => keyOf(choices());
/** @param {Record<string, any>} theirs */
export const isWhole = (theirs) => keyOf(theirs) === keyOf(whole());
const plotSettings = () => [state.base, pruningChoice(), held()];
// Whether tables were made for the current controls, except the rate.
/** @param {any} options */
export const fits = ({ base, pruning, overrides }) => asText([base, pruning, overrides]) === settingsKey();
export const settingsKey = () => asText(plotSettings());

// --- focus: the drawn model is the one changed last, and takes part if any does --------------
/** @param {string} reference */
const isOn = (reference) => state.models.some((m) => m.ref === reference && m.on);
/** @param {string} reference */
export const look = (reference) => { if (server.tables[reference]) set({ focus: reference }); };
export const lookAtActive = () => {
  if (server.tables[state.focus] && isOn(state.focus)) return;
  const next = state.models.find((m) => m.on && server.tables[m.ref]);
  if (next) set({ focus: next.ref });
};

// The values of the sliders between JSON and page.
export const slidersToJson = () => byKey(sliders, ({ key, scale }) => twelve(state[key] / scale));
/** @param {any} values */
export const slidersFromJson = (values) =>
  byKey(sliders, ({ key, scale, default: usual }) => (key in values ? twelve(values[key] * scale) : usual));
// Values set by the server.
/** @param {Record<string, any>} settings */
export const adopt = (settings) => set({ base: settings.base, shares: settings.shares, ...slidersFromJson(settings) });
