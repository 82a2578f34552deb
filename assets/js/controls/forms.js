// The form in which each model's delta is kept: whole, or in a form with its one setting.
// A form is part of the model's reference: kept:low_rank(rank=16) of zoo:math on zoo:base.
import { html, put, say } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { factorOf } from "../session/form_results.js";
import { paint, part, server, setActivity } from "../session/parts.js";
import { plainModel } from "../session/session_value.js";
import { standIn } from "../session/tables.js";
import { changeFactors, label, sendModels, slider } from "./controls.js";

const REST_MS = 250; // a thumb that pauses as long is at rest: another form has to be measured
const HOW = "What a file holds of each model's changes: the form of a delta. Low rank keeps few directions of a "
  + "matrix. A method that prunes then prunes what the form keeps. Another form begins with coefficient 1, or with the "
  + "one that Size found best for it.";

/** @param {string} ref */
export const storeOf = (ref) => /^kept:(\S+) of /.exec(ref)?.[1] ?? "";
/** The form of a reference, and its setting; no form if it is whole, or has no control. @param {string} ref */
function formOf(ref) {
  const [, form = "", value = ""] = /^(\w+)\(\w+=([\d.]+)\)$/.exec(storeOf(ref)) ?? [];
  return { form, value: +value };
}

/**
 * Keep a model's delta as a store, written as in references; empty: whole. A factor becomes its coefficient.
 * @param {string} ref @param {string} store @param {number} [factor]
 */
export function keepAs(ref, store, factor) {
  const model = plainModel(ref), after = store ? `kept:${store} of ${model} on ${controls.state.base}` : model;
  if (after === ref && !factor) return;
  const { models, own, linked, partner, template } = controls.state;
  const renamed = (name) => (name === ref ? after : name);
  const times = factor ? { coefficient: factor, curve: [], parts: "" } : {};
  const next = models.map((choice) => ({ ...choice, ref: renamed(choice.ref), ...(choice.ref === ref && times) }));
  standIn(next);
  controls.set({
    models: next,
    own: Object.fromEntries(Object.entries(own).map(([name, row]) => [renamed(name), row])),
    partner: renamed(partner), template: renamed(template),
  });
  controls.look(after);
  setActivity("see", "waiting");
  if (!linked) changeFactors((row) => row);
  sendModels("keep");
}
/** The form of a reference in words, once its label is here. @param {string} ref */
export const formWords = (ref) => /\(([^()]*)\)$/.exec(label(ref))?.[1]
  ?? storeOf(ref).replaceAll("_", " ").replaceAll("=", " ").replaceAll("(", " (");
export const nameOf = (ref) => (storeOf(ref) ? label(ref).replace(/ \([^()]*\)$/, "") : label(ref));

part("forms", ({ host, get }) => {
  host.replaceChildren();
  /** @type {any[]} */
  const forms = get();
  const list = html("div", { class: "form-list" }, host);
  html("p", { class: "how" }, host, HOW);
  let rows = [], built = "";

  function row({ ref }) {
    const root = html("div", { class: "form-row", "data-model": plainModel(ref) }, list);
    const line = html("label", { class: "choice" }, root);
    const name = html("span", {}, line), select = html("select", { "aria-label": `${nameOf(ref)} kept as` }, line);
    html("option", { value: "" }, select, "whole delta");
    for (const { form, title } of forms) html("option", { value: form }, select, title);
    const other = html("option", { value: "other", hidden: "" }, select), slot = html("div", {}, root);
    const current = { ref, select, name, other, slot, pending: 0, show: (_) => {} };
    select.addEventListener("change", () => choose(current, select.value));
    return current;
  }
  function choose(current, form, value = forms.find((one) => one.form === form)?.usual) {
    clearTimeout(current.pending);
    current.pending = 0;
    const { setting } = forms.find((one) => one.form === form) ?? {};
    const store = setting ? `${form}(${setting}=${value})` : "";
    keepAs(current.ref, store, formOf(current.ref).form === form ? undefined : factorFor(current.ref, store));
  }
  /** The coefficient of a model in a form of another kind; none if the one of now is the visitor's own. */
  function factorFor(ref, store) {
    const { base, models } = controls.state, model = plainModel(ref), now = storeOf(ref);
    const [weight] = models.filter((choice) => choice.ref === ref).map(controls.weight);
    if (typeof weight !== "number" || weight <= 0) return undefined; // by layer, left out, or subtracted
    if (!now && weight !== 1 && weight !== factorOf(base, model, "")) return undefined;
    return factorOf(base, model, store) ?? 1;
  }
  function control(current, { form, label: title, setting, span, choices, scale }) {
    const rest = (value) => {
      clearTimeout(current.pending);
      current.pending = setTimeout(() => choose(current, form, +(value / scale).toFixed(6)), REST_MS);
    };
    const name = `${title.replace(" (", ` of ${nameOf(current.ref)} (`)}`;
    html("span", { class: "how" }, current.slot, title);
    if (choices.length) {
      const box = html("select", { "aria-label": name, "data-setting": setting },
        html("label", { class: "choice" }, current.slot));
      for (const n of choices) html("option", { value: n }, box, `${n} ${n === 1 ? "bit" : "bits"}`);
      box.addEventListener("change", () => choose(current, form, +box.value));
      return (value) => { if (+box.value !== value) box.value = value; };
    }
    const [low, high, step] = span, most = setting === "rank" ? server.names[current.ref]?.rank ?? high : high;
    const { show } = slider(current.slot,
      { name, span: [low, most, step], digits: step < 1 ? 1 : 0, value: low, limits: { min: low, max: high },
        onMove: rest });
    return (value) => show(+(value * scale).toFixed(4));
  }
  function fill() {
    const { models } = controls.state, key = models.map(({ ref }) => plainModel(ref)).join("\n");
    if (key !== built) {
      list.replaceChildren();
      built = key;
      rows = models.map(row);
    }
    models.forEach(({ ref }, i) => {
      const current = rows[i], { form, value } = formOf(ref), known = forms.find((one) => one.form === form);
      current.ref = ref;
      say(current.name, nameOf(ref));
      const chosen = known ? form : storeOf(ref) && "other";
      if (current.select.value !== chosen) current.select.value = chosen;
      const other = chosen === "other" ? formWords(ref) : "";
      put(current.select, "title", known?.help ?? other);
      say(current.other, other);
      const slot = `${chosen} ${server.names[ref]?.rank ?? 0}`;
      if (current.slot.dataset.form !== slot) {
        current.slot.replaceChildren();
        current.slot.dataset.form = slot;
        current.show = known ? control(current, known) : () => {};
      }
      if (!current.pending) current.show(value);
    });
  }
  paint(fill);
});
