// All controls as one small value, and as text in an address. The same form as in
// components/session/state.py and components/session/link.py; the server checks all values from outside.
import * as controls from "./controls.js";
import { server } from "./parts.js";

/** @param {number} x */
const twelve = (x) => Math.round(x * 1e12) / 1e12;
/** @param {any} value */
const filled = (value) => value && Object.keys(value).length > 0;

// --- the value ------------------------------------------------------------------------------
export const stateNow = () => {
  const s = controls.state;
  const listed = new Set(s.models.map((model) => model.ref));
  const ownFactors = Object.fromEntries(Object.entries(s.own).filter(([ref]) => listed.has(ref)));
  const values = s.values[s.method] ?? {};
  const plain = s.method === "dppa" && !filled(values) && !s.first;
  return {
    v: controls.schema.version, base: s.base,
    models: s.models.map(({ ref, on, coefficient, curve, parts }) =>
      ({ ref, on, coefficient, ...(filled(curve) && { curve }), ...(parts && { parts }) })),
    ...controls.slidersToJson(), partitions: controls.bands().length, ...(s.shares.length && { shares: s.shares }),
    significance: s.chosen,
    amplify: { linked: s.linked, factors: s.factors, own: ownFactors },
    ...(!plain && { method: { method: s.method, values, prune_first: s.first } }),
    ...(filled(s.overrides) && { overrides: s.overrides }),
    ...controls.ownChoices(),
  };
};
// As text with sorted keys: equal texts are equal states.
/** @param {any} value @returns {any} */
const sorted = (value) => {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
};
/** @param {SessionState} state */
export const stateText = (state) => JSON.stringify(sorted(state), (_, x) => (typeof x === "number" ? twelve(x) : x));

// Draw a state at once if all its data is here; the server then sets the controls.
/** @param {SessionState} state */
export const adoptState = (state) => {
  const same = state.base === controls.state.base
    && state.models.every((/** @type {any} */ { ref }) => server.tables[ref]);
  if (!same) return;
  const { method = "dppa", values = {}, prune_first: first = false } = state.method ?? {};
  controls.set({
    models: state.models.map((/** @type {DomainModel} */ model) => ({ ...model })),
    ...controls.slidersFromJson(state), shares: state.shares ?? [], chosen: state.significance,
    linked: state.amplify.linked, factors: state.amplify.factors, own: state.amplify.own,
    overrides: { ...state.overrides }, ...controls.withOwnChoices(state), method, first,
    values: { ...controls.state.values, [method]: values },
  });
  controls.lookAtActive();
};

/** The model of whose delta a form keeps a part; another reference as it is. @param {string} ref */
export const plainModel = (ref) => ref.replace(/^kept:\S+ of (.+) on .+$/, "$1");

// --- the difference between two states, in a few words -----------------------------------------
/** @param {string} ref */
const label = (ref) => server.names[ref]?.label ?? ref.replace(/^zoo:/, "");
/** @param {any} a @param {any} b */
const differs = (a, b) => stateText(a ?? null) !== stateText(b ?? null);
/** @param {SessionState} before @param {SessionState} after */
export const changeOf = (before, after) => {
  const refs = (/** @type {SessionState} */ state) => state.models.map(({ ref }) => plainModel(ref));
  const changes = controls.schema.controls.filter(({ key }) => key !== "models" && differs(before[key], after[key]))
    .map(({ title }) => title.toLowerCase());
  if (differs(refs(before), refs(after))) changes.push("list of models");
  else {
    before.models.forEach((/** @type {DomainModel} */ model, /** @type {number} */ i) => {
      const next = after.models[i];
      if (model.ref !== next.ref) changes.push(`form of ${label(plainModel(model.ref))}`);
      else if (model.on !== next.on) changes.push(`${label(model.ref)} on or off`);
      else if (differs(controls.weight(model), controls.weight(next)))
        changes.push(`coefficient of ${label(model.ref)}`);
    });
  }
  return changes.length > 2 ? `${changes[0]} and ${changes.length - 1} more` : changes.join(" and ");
};

// --- the address ---------------------------------------------------------------------------------
/** @param {any} stream @param {BlobPart} data */
async function through(stream, data) {
  return new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(stream)).arrayBuffer());
}
/** @param {Uint8Array} bytes */
const base64url = (bytes) => {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
};
// A state as the value of ?c=; null if this browser cannot write it.
/** @param {SessionState} state */
export const linkText = async (state) => {
  if (!("CompressionStream" in window)) return null;
  const bytes = new TextEncoder().encode(stateText(state));
  return base64url(await through(new CompressionStream("deflate-raw"), bytes));
};
// The address of this page with a state in it, and perhaps what it opens beside; its other parts stay.
/** @param {string} text @param {any} [address] @param {any} [beside] */
export const addressWith = (text, address = window.location.href, beside = {}) => {
  const url = new URL(address);
  for (const [name, value] of Object.entries({ c: text, q: "", tab: "", pane: "", ...beside })) {
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  return url.href;
};
