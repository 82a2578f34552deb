// Controls drawn by script: the list of models, the amplification rows.
// Each change goes to the state (the next frame draws it) and to the server.
import { html, say, put as write, level, valueText } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { curvesOf, curveButton, curveEditor, partsInWords } from "../session/curve.js";
import { ownChoices } from "./own_choices.js";
import { paint, redraw, part, server } from "../session/parts.js";
import { plainModel } from "../session/session_value.js";
import { standIn } from "../session/tables.js";

/** Tell the server of the list of models, by an event of its part. @type {(event: string) => void} */
export let sendModels = () => {};
/** Every list of factors at once, where bands come or go. @type {(change: (factors: number[]) => number[]) => void} */
export let changeFactors = () => {};
// Before the first plot is there, the page's own styles know the embedded models.
const colour = (reference) =>
  server.names[reference]?.colour ?? `var(--of-${CSS.escape(reference.replace(/^zoo:/, ""))}, var(--d-accent))`;

export const label = (reference) => server.names[reference]?.label ?? reference.replace(/^zoo:/, "");

// A range and a number box with one common value. onMove(value) is called at every step of either.
// The box may accept more than the range: `limits`.
export function slider(parent,
    { name, span: [low, high, step], digits, value, limits = { min: low, max: high }, onMove }) {
  const box = html("div", { class: "slide" }, parent);
  const range = html("input", { type: "range", "aria-label": name, min: low, max: high, step }, box);
  const number = html("input", { type: "number", "aria-label": `${name}, as a number`, ...limits, step }, box);
  let current = null;
  const text = (x) => { // as many digits as it takes, up to four
    const short = x.toFixed(digits);
    return digits > 2 || Math.abs(+short - x) > 5e-5 ? String(+x.toFixed(Math.max(digits, 4))) : short;
  };
  const show = (x) => {
    if (x === current) return;
    current = x;
    range.value = x;
    write(range, "aria-valuetext", valueText(name, text(x)));
    range.style.setProperty("--filled", `${Math.min(Math.max((100 * (x - low)) / (high - low), 0), 100)}%`);
    write(box, "data-value", text(x));
    if (document.activeElement !== number) number.value = text(x);
  };
  const clamp = (x) => Math.min(Math.max(x, limits.min), limits.max);
  range.addEventListener("input", () => { show(+range.value); onMove(+range.value); });
  number.addEventListener("input", () => {
    if (number.value.trim() === "" || Number.isNaN(+number.value)) return;
    show(clamp(+number.value));
    onMove(clamp(+number.value));
  });
  number.addEventListener("blur", () => {
    const typed = number.value.trim();
    number.value = text(current);
    if (!typed || clamp(+typed) === +typed) return;
    const notice = `${name}: ${limits.min} to ${limits.max}. ${typed} became ${number.value}.`;
    box.dispatchEvent(new CustomEvent("corrected", { bubbles: true, detail: notice })); // base/number_boxes.js shows it
  });
  show(value);
  return { box, show };
}

// --- the list of domain models -------------------------------------------------------------------
part("models", ({ host, get, put, watch, trigger }) => {
  host.replaceChildren();
  const base = html("p", { class: "base-line" }, host);
  const list = html("div", { class: "model-list" }, host);
  html("p", { class: "how" }, host,
    "Coefficient (×): weight of a whole model in the merge. 0 leaves it out, negative subtracts it.");
  const showOwn = ownChoices(host, label, () => send("change"));
  let rows = new Map(), built = "";

  function send(event) {
    const { base: reference, models } = controls.state;
    put({ base: reference, models: models.map((model) => ({ ...model })), ...controls.ownChoices() });
    trigger(event);
  }
  sendModels = send;
  function update(reference, patch) {
    const models = controls.state.models.map((m) => (m.ref === reference ? { ...m, ...patch } : m));
    controls.set({ models });
    if (models.find((m) => m.ref === reference).on) controls.look(reference);
    else if (patch.on === false) controls.lookAtActive();
    send("change");
  }
  function remove(reference) {
    controls.set({ models: controls.state.models.filter((model) => model.ref !== reference) });
    controls.lookAtActive();
    fill();
    send("remove");
  }
  const lastLayer = (reference) => {
    const layers = server.tables[reference]?.layers ?? [];
    return layers.length ? Math.max(...layers) : 0;
  };
  const modelOf = (reference) => controls.state.models.find((model) => model.ref === reference);
  const curves = curvesOf(modelOf, update);
  function row(model) {
    const root = html("div", { class: "model-row", "data-model": model.ref }, list);
    const head = html("div", { class: "model-head" }, root);
    const onOff = html("label", { class: "switch", title: model.ref }, head);
    const box = html("input", { type: "checkbox", role: "switch" }, onOff);
    html("span", { class: "swatch", "aria-hidden": "true" }, onOff);
    html("span", { class: "model-name" }, onOff, label(model.ref));
    const byLayer = curveButton(head, label(model.ref));
    const cross = html("button",
      { type: "button", class: "remove", "aria-label": `Remove ${label(model.ref)} from the list`,
        title: "Take this model out of the list" }, head, "Remove");
    const name = `Coefficient of ${label(model.ref)}`;
    const control = slider(root, {
      name: `${name} (×)`, span: controls.schema.coefficient, digits: 2,
      value: model.coefficient, onMove: (coefficient) => update(model.ref, { coefficient }),
    });
    const editor = curveEditor(root, { name, onMove: (curve) => curves.move(model.ref, curve) });
    const parts = html("p", { class: "how", hidden: "" }, root), partsText = html("span", {}, parts);
    html("button", { type: "button", class: "remove one-number" }, parts, "One number instead")
      .addEventListener("click", () => { update(model.ref, { parts: "" }); fill(); });
    byLayer.addEventListener("click", () => {
      curves.toggle(model.ref, lastLayer(model.ref));
      fill();
    });
    box.addEventListener("change", () => update(model.ref, { on: box.checked }));
    cross.addEventListener("click", () => remove(model.ref));
    return { root, box, cross, control, editor, byLayer, parts, partsText };
  }
  function fill() {
    const { models } = controls.state;
    const key = models.map(({ ref }) => `${ref} ${label(ref)}`).join("\n"); // a new model's label comes with its table
    if (key !== built) {
      built = key;
      list.replaceChildren();
      rows = new Map(models.map((model) => [model.ref, row(model)]));
    }
    for (const model of models) {
      const { root, box, cross, control, editor, byLayer, parts, partsText } = rows.get(model.ref);
      if (root.dataset.colour !== colour(model.ref)) {
        root.dataset.colour = colour(model.ref);
        root.style.setProperty("--model", colour(model.ref));
      }
      root.classList.toggle("off", !model.on);
      root.classList.toggle("shown", model.ref === controls.state.focus && models.length > 1);
      box.checked = model.on;
      cross.hidden = models.length < 2;
      const curve = curves.shown(model);
      control.show(model.coefficient);
      control.box.hidden = curve.length > 0 || Boolean(model.parts);
      parts.hidden = !model.parts;
      say(partsText, model.parts ? `Coefficient by part, from the recipe: ${partsInWords(model.parts)}. ` : "");
      editor.show(curve, lastLayer(model.ref));
      write(byLayer, "aria-pressed", curve.length > 0);
      byLayer.hidden = lastLayer(model.ref) < 1 || Boolean(model.parts);
    }
    const origin = /^zoo:(near-)?base$/.test(controls.state.base) ? "embedded"
      : { "zoo:": "fetched", "hub:": "Hub", "stac": "stack" }[controls.state.base.slice(0, 4)] ?? "folder";
    showOwn();
    say(base, `Base model: ${label(controls.state.base)} (${origin})`);
  }
  function take(value) {
    if (!value || !Array.isArray(value.models)) return;
    standIn(value.models);
    controls.set(
      { base: value.base, ...controls.withOwnChoices(value), models: value.models.map((model) => ({ ...model })) });
    controls.lookAtActive();
    fill();
  }
  watch(take);
  take(get());
  paint(fill);
});

// --- amplification: a factor for each partition, shared or model by model ---------------------------
part("amplify", ({ host, get, put, watch, trigger }) => {
  host.replaceChildren();
  const list = html("div", { class: "factor-list" }, host);
  const foot = html("label", { class: "check" }, host);
  const linked = html("input", { type: "checkbox", class: "linked" }, foot);
  html("span", {}, foot, "Same factors for every model");
  const how = html("p", { class: "how" }, host,
    "Factor (×): multiplies the changes that stay, band by band. 1 is plain pruning, below 1 shrinks them, as searches "
      + "often do with the strongest.");
  html("span", { "data-leads": "score" }, how, " Score tells whether another factor gains or loses.");
  let rows = [], built = "";

  function send() {
    const { linked: all, factors, own: ownFactors, models } = controls.state;
    const listed = Object.entries(ownFactors).filter(([ref]) => models.some((model) => model.ref === ref));
    put({ linked: all, factors, own: Object.fromEntries(listed) });
    trigger("change");
  }
  // Every list of factors at once, where bands come or go; lists shorter than the levels are filled with 1 first.
  changeFactors = (change) => {
    const { own: ownFactors } = controls.state;
    controls.set({
      factors: change(controls.factorsFor(controls.state.factors)),
      own: Object.fromEntries(Object.entries(ownFactors).map(([ref, row]) => [ref, change(controls.factorsFor(row))])),
    });
    send();
  };
  function move(reference, partition, value) {
    const next = controls.factorsOf(reference);
    next[partition] = value;
    if (reference === "*") controls.set({ factors: next });
    else {
      controls.set({ own: { ...controls.state.own, [reference]: next } });
      controls.look(reference);
    }
    send();
  }
  const targets = () => (controls.state.linked ? ["*"] : controls.state.models.map((model) => model.ref));
  function build(count) {
    list.replaceChildren();
    rows = targets().flatMap((reference) => {
      const group = html("div", { class: "factor-group" }, list);
      if (reference !== "*") {
        const head = html("div", { class: "group-name" }, group);
        html("span", { class: "swatch", "aria-hidden": "true" }, head).style.background = colour(reference);
        html("span", {}, head, label(reference));
      }
      return Array.from({ length: count }, (_, k) => factorRow(group, reference, k));
    });
  }
  function factorRow(group, reference, k) {
    const root = html("div", { class: "factor-row", "data-model": reference, "data-partition": k }, group);
    const name = html("span", { class: "factor-name" }, root);
    const who = reference === "*" ? "all models" : label(reference);
    const control = slider(root, {
      name: `Amplification of partition ${k + 1} of ${who} (×)`, span: controls.schema.factor, digits: 1,
      value: 1, onMove: (value) => move(reference, k, value),
    });
    return { reference, k, name, control };
  }
  function fill() {
    const levels = controls.pruner() ? controls.levels() : controls.bands(); // hidden if nothing is pruned
    const key = `${targets().join("\n")}/${levels.length}`;
    if (key !== built) { build(levels.length); built = key; }
    linked.checked = controls.state.linked;
    for (const { reference, k, name, control } of rows) {
      const share = (k ? levels[k - 1] : 1) - levels[k];
      say(name, `${k ? "next" : controls.shows() === "random" ? "all kept," : "strongest"} ${level(share)}`);
      control.show(controls.factorsOf(reference)[k] ?? 1);
    }
  }
  function take(value) {
    if (!value || !Array.isArray(value.factors)) return;
    controls.set({ linked: value.linked, factors: value.factors, own: value.own });
  }
  linked.addEventListener("change", () => {
    const ownFactors = { ...controls.state.own };
    // Unlinking starts from the shared factors and changes nothing.
    for (const model of controls.state.models) ownFactors[model.ref] = [...controls.factorsOf("*")];
    controls.set(linked.checked ? { linked: true } : { linked: false, own: ownFactors });
    send();
  });
  watch(take);
  take(get());
  paint(fill);
});

// --- the preset: whether every control still matches it ---------------------------------------------
part("preset", ({ host, get, put, watch, trigger }) => {
  host.replaceChildren();
  const { hub } = get();
  let { chosen: preset, wholes } = get();
  html("label", { for: "preset-choice" }, host, "Preset");
  const note = html("span", { class: "preset-note", role: "status" }, host);
  const choice = html("select", { id: "preset-choice", "aria-describedby": "preset-how" }, host);
  // Shown with a star once the sliders have moved, so that the preset can be chosen again.
  const moved = html("option", { value: "", hidden: "" }, choice);
  const embedded = html("optgroup", { label: "Embedded models" }, choice);
  for (const title of Object.keys(wholes)) html("option", { value: title }, embedded, title);
  const others = html("optgroup", { label: hub.head }, choice);
  for (const { title, size } of hub.rows) {
    const option = html("option", { value: title, "data-hub": "" }, others, `${title} (${size})`);
    option.disabled = hub.off;
  }
  html("p", { class: "how", id: "preset-how" }, host, "A starting point; it sets every slider.");
  choice.addEventListener("change", () => {
    if (!choice.value) return;
    const presetTitle = choice.value;
    // For a set of Hub models a card first shows its needs; the page stays unchanged.
    if (!hub.rows.some(({ title }) => title === presetTitle)) preset = presetTitle;
    put({ chosen: presetTitle });
    redraw();
    trigger("choose");
  });
  watch((value) => {
    if (!value?.wholes) return; // a value put by the choice itself
    ({ chosen: preset } = value);
    wholes = { ...wholes, ...value.wholes };
    redraw();
  });
  paint(() => {
    const changed = Boolean(server.exact) && !controls.isWhole(wholes[preset]);
    write(host, "data-changed", changed);
    const presetModels = wholes[preset].models.map(([reference]) => plainModel(reference));
    const hasOwnModels = controls.state.models.every(({ ref }) => !presetModels.includes(plainModel(ref)));
    say(moved, hasOwnModels ? "Own models" : `${preset} *`);
    const title = changed ? "" : preset;
    if (choice.value !== title) choice.value = title;
    say(note, !changed ? "" : hasOwnModels ? "Choose a preset to go back." : "(changed) Choose it again to go back.");
  });
});
