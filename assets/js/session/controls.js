// The values of the controls, and the choices they define.
import { redraw, server } from "./parts.js";

export const state = {
  base: "", models: [], rate: 80, partitions: 2, shares: [], strength: 0.08, k_layer: 3,
  k_module: 5, significance: "magnitude", chosen: "magnitude", linked: true, factors: [], own: {}, focus: "", quantity: "significance",
  overrides: {}, // module -> its own pruning rate, a share
  picked: null, // {layer, kind} of the cell that is looked at closely
  arrival: null, // {byKey} where it has just been picked; byKey: its panel takes the focus
  partner: "", // model compared with the drawn one; empty: all others
  template: "auto", // whose chat template the merge has: auto, base, or a domain model
  dtype: "base", heads: "match", // number format and heads of the merge
  method: "dppa", values: {}, first: false, // values: of each method, where not its defaults
};

export const set = (patch) => { Object.assign(state, patch); redraw(); };
// A number box may hold anything while being typed: only allowed numbers count.
const LIMITS = { rate: [0, 99], strength: [0, 0.5], k_layer: [1, 10], k_module: [1, 10] };
export const move = (name, value) => {
  const [low, high] = LIMITS[name];
  if (typeof value === "number" && value >= low && value <= high) set({ [name]: value });
};
// User events are handled here first, so that drawing waits for nothing. The listeners registered from
// Python do the same for changes by code.
const WATCHED = { rate: "rate", strength: "strength", "k-layer": "k_layer", "k-module": "k_module" };
document.addEventListener("input", (event) => {
  const id = Object.keys(WATCHED).find((name) => event.target.closest?.(`#${name}`));
  if (id && event.target.value.trim() !== "") move(WATCHED[id], +event.target.value);
}, true);
// Values changed before this script loaded on a slow network.
for (const [id, name] of Object.entries(WATCHED)) {
  const slider = document.querySelector(`#${id} input[type=range]`);
  if (slider) move(name, +slider.value);
}

// --- the choices defined by the controls -------------------------------------------------
const twelve = (x) => Math.round(x * 1e12) / 1e12;
export const rate = () => twelve(state.rate / 100);
export const bands = () => {
  const { partitions, shares } = state;
  const last = rate();
  const inner = shares.length
    ? shares.map((share) => 1 - (1 - last) * share)
    : Array.from({ length: partitions - 1 }, (_, k) => 1 - ((1 - last) * (k + 1)) / partitions);
  return [...inner.map(twelve), last];
};
// --- the method: its use of rate and partitions, and its settings ---------------------------
const methodOf = (name) => server.methods.find((method) => method.name === name);
export const method = () => methodOf(state.method) ?? { name: "dppa", title: "DPPA", levels: "many", shows: "plan", parameters: [] };
export const staged = () => state.first && method().combines === true;
export const pruner = () => {
  const prunes = staged() ? methodOf("dppa") : method();
  return prunes.levels === "none" ? null : prunes;
};
// plan: which changes stay is known before a merge; random: how many; whole: neither.
export const shows = () => (staged() ? "plan" : method().shows);
// A coefficient is a number, or a curve of [layer, number] points.
export const weight = (model) => (model.curve?.length ? model.curve : model.coefficient);
export const coefficientAt = ({ coefficient, curve }, layer) => {
  if (!curve?.length) return coefficient;
  const after = curve.findIndex(([at]) => at >= layer);
  if (after <= 0) return after < 0 ? curve[curve.length - 1][1] : curve[0][1];
  const [[low, first], [high, last]] = [curve[after - 1], curve[after]];
  return first + ((layer - low) / (high - low)) * (last - first);
};
export const decides = (model) => model.on && (model.curve?.length ? model.curve.some(([, x]) => x !== 0) : model.coefficient !== 0);
// Whose chat template: that of a model that takes no part counts as auto.
export const template = () => (state.template === "base" || isOn(state.template) ? state.template : "auto");
// Choices for own models that are not the usual ones, as they stand in the list of models.
export const ownChoices = () => ({
  ...(state.template !== "auto" && { template: state.template }),
  ...(state.dtype !== "base" && { dtype: state.dtype }),
  ...(state.heads !== "match" && { heads: state.heads }),
});
export const withOwnChoices = ({ template: whose = "auto", dtype = "base", heads = "match" }) => ({ template: whose, dtype, heads });
export const deciding = () => state.models.filter(decides).map((m) => m.ref);
// Rates of single modules are used if the method prunes; sorted by name as in Python.
export const held = () => (pruner() ? Object.entries(state.overrides).sort(([a], [b]) => (a < b ? -1 : 1)) : []);
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
  const value = (item) => (staged() && !item.elsewhere ? item.default : setting(prunes, item));
  return [prunes.name, ...prunes.parameters.map(value)];
}
function methodChoice() {
  const merges = method();
  const own = merges.parameters.filter((item) => !item.elsewhere);
  return [merges.name, staged(), ...own.map((item) => setting(merges, item))];
}
export const levels = () => {
  const prunes = pruner();
  if (!prunes) return [0];
  return prunes.levels === "many" ? bands() : [rate()];
};
export const factorsOf = (reference) => {
  const { linked, factors, own } = state;
  const chosen = linked ? factors : own[reference] || factors;
  if (!pruner()) return [1];
  return factorsFor(chosen);
};
export const factorsFor = (chosen) => levels().map((_, k) => (k < chosen.length ? chosen[k] : 1));
export const choices = () => {
  const s = state;
  const active = s.models.filter((model) => model.on);
  const prunes = pruner();
  return {
    base: s.base, rate: prunes ? rate() : 0, levels: levels(),
    parameters: prunes?.name === "dppa" ? [s.strength, s.k_layer, s.k_module, s.significance] : [],
    method: methodChoice(),
    models: active.map((m) => [m.ref, weight(m), factorsOf(m.ref)]),
    overrides: held(), template: template(), dtype: s.dtype, heads: s.heads,
  };
};
export const whole = () => ({ // the state of every control, including models that are off
  ...choices(),
  models: state.models.map((m) => [m.ref, m.on, weight(m), factorsOf(m.ref)]),
});

// Choices as text, the server's in the browser's order: equal texts are equal choices.
const nine = (_, value) => (typeof value === "number" ? value.toFixed(9) : value);
export const asText = (value) => JSON.stringify(value, nine);
const ordered = ({ base, rate, levels, parameters, method, models, overrides, template: whose, dtype, heads }) => ({ base, rate, levels, parameters, method, models, overrides, template: whose, dtype, heads });
export const keyOf = (theirs) => asText(ordered(theirs));
export const key = () => asText(choices());
export const isWhole = (theirs) => keyOf(theirs) === asText(whole());
const plotSettings = () => [state.base, pruningChoice(), held()];
// Whether tables were made for the current controls, except the rate.
export const fits = ({ base, pruning, overrides }) => asText([base, pruning, overrides]) === settingsKey();
export const settingsKey = () => asText(plotSettings());

// --- focus: the drawn model is the one changed last, and takes part if any does --------------
const isOn = (reference) => state.models.some((m) => m.ref === reference && m.on);
export const look = (reference) => { if (server.tables[reference]) set({ focus: reference }); };
export const lookAtActive = () => {
  if (server.tables[state.focus] && isOn(state.focus)) return;
  const next = state.models.find((m) => m.on && server.tables[m.ref]);
  if (next) set({ focus: next.ref });
};

// Values set by the server.
export function adopt(settings) {
  set({
    base: settings.base, rate: twelve(settings.rate * 100), partitions: settings.partitions,
    shares: settings.shares, strength: settings.strength,
    k_layer: settings.k_layer, k_module: settings.k_module,
  });
}
