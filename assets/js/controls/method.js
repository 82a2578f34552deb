// The merge method: the choice, its settings, and a note on what is unknown before a merge.
// Texts and ranges come from the methods; only DPPA is treated by name.
import { html, say, put as write } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { paint, part, server } from "../session/parts.js";
import * as tables from "../session/tables.js";
import * as frame from "../plots/frame_values.js";
import { label, slider } from "./controls.js";

// A practical range for the slider if the whole one is much wider; the box accepts the whole range.
const WIDE = 5;
function reach({ min, max, default: start }) {
  if (max - min <= WIDE) return [min, max];
  const far = Math.max(2, 4 * Math.abs(start));
  return [Math.max(min, -far), Math.min(max, far)];
}
// The step of a range, fine enough that its first value and the default lie on it.
function stepOf({ min, step, default: start }) {
  const on = (x) => Math.abs(x / step - Math.round(x / step)) < 1e-9;
  return on(min) && on(start) ? step : min || step;
}
const digitsOf = (step) => Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
const unitOf = (item) => (item.unit ? ` (${item.unit.replace(/^x\b/, "×")})` : "");

/** Merge by another method, as a choice in the list. @type {(name: string) => void} */
export let chooseMethod = () => {};

part("method", ({ host, get, put, watch, trigger }) => {
  host.replaceChildren();
  server.methods = get().methods;
  const head = html("div", { class: "method-head" }, host);
  html("label", { for: "method-choice" }, html("h2", {}, head), "Method");
  const choice = html("select", { id: "method-choice", "aria-describedby": "method-does" }, head);
  for (const title of new Set(server.methods.map((method) => method.group))) {
    const group = html("optgroup", { label: title }, choice);
    for (const method of server.methods.filter((candidate) => candidate.group === title)) {
      html("option", { value: method.name, title: method.summary }, group, method.title);
    }
  }
  const first = html("label", { class: "check" }, host);
  const staged = html("input", { type: "checkbox", role: "switch", id: "prune-first" }, first);
  html("span", {}, first, "DPPA prunes and amplifies first");
  const more = html("details", { class: "method-more" }, host);
  const summary = html("summary", {}, more);
  const does = html("p", { class: "how", id: "method-does" }, more);
  const home = html("p", { class: "how" }, more);
  const paper = html("a", { class: "how", target: "_blank", rel: "noopener noreferrer" }, more);
  const elsewhere = html("p", { class: "how" }, more, "Significance, strength and outliers are under Advanced.");
  const form = html("div", { class: "method-form" }, more);
  let rows = [], built = "";

  // Request new tables if the pruning changes; all else when the controls rest.
  let lastPruning = "";
  const pruning = () =>
    JSON.stringify(
      [controls.pruner()?.name, controls.pruner() === controls.method() ? controls.state.values[controls.state.method]
        : 0]);
  function send() {
    const { method, values, first: prune_first } = controls.state;
    put({ method, values: values[method] ?? {}, prune_first });
    if (pruning() !== lastPruning) { lastPruning = pruning(); trigger("choose"); }
  }
  function set(item, value) {
    const { method, values } = controls.state;
    controls.set({ values: { ...values, [method]: { ...values[method], [item.name]: value } } });
    send();
  }
  chooseMethod = (name) => {
    controls.set({ method: name });
    more.open = name !== "dppa";
    send();
  };
  choice.addEventListener("change", () => chooseMethod(choice.value));
  staged.addEventListener("change", () => { controls.set({ first: staged.checked }); send(); });

  function row(item, method) {
    const id = `setting-${item.name}`;
    const root = html("div", { class: "setting", "data-setting": item.name }, form);
    const name = `${item.title}${unitOf(item)}`;
    const help = { "aria-describedby": `${id}-help` };
    let show;
    if ("min" in item) {
      html("div", { class: "setting-name" }, root, name);
      const [low, high] = reach(item), step = stepOf(item);
      const control = slider(root, {
        name, span: [low, high, step], digits: item.whole ? 0 : digitsOf(step), value: item.default,
        limits: { min: item.min, max: item.max }, onMove: (value) => set(item, item.whole ? Math.round(value) : value),
      });
      for (const input of control.box.children) write(input, "aria-describedby", help["aria-describedby"]);
      show = control.show;
    } else {
      html("label", { for: id, class: "setting-name" }, root, name);
      const options = html("select", { id, ...help }, root);
      options.addEventListener("change", () => set(item, options.value));
      show = (value) => {
        const names = item.model ? controls.state.models.filter(controls.decides).map((m) => m.ref) : item.choices;
        const key = names.map((option) => (item.model ? label(option) : option)).join("\n");
        if (options.dataset.key !== key) {
          options.dataset.key = key;
          options.replaceChildren();
          names.forEach((option) =>
            html("option", { value: option }, options, item.model ? label(option) : option));
        }
        if (options.value !== value) options.value = value;
      };
    }
    html("p", { class: "how", id: `${id}-help` }, root, item.help);
    return { item, method, show };
  }
  function build(method) {
    form.replaceChildren();
    const parameters = method.parameters.filter((item) => !item.elsewhere);
    rows = parameters.map((item) => row(item, method));
    say(summary, parameters.length ? `About ${method.title}, and its settings` : `About ${method.title}`);
    say(does, method.summary);
    say(home, `For: ${method.home}`);
    paper.hidden = !method.address;
    if (method.address) { write(paper, "href", method.address); say(paper, `Paper: ${method.paper}`); }
    elsewhere.hidden = parameters.length === method.parameters.length;
  }
  function fill() {
    const method = controls.method();
    if (method.name !== built) { built = method.name; build(method); }
    if (choice.value !== method.name) choice.value = method.name;
    first.hidden = !method.combines;
    staged.checked = controls.state.first;
    for (const { item, show } of rows) show(controls.setting(method, item));
    // Controls without an effect are hidden (style.css).
    const pruner = controls.pruner();
    write(document.body, "data-pruner", pruner?.name ?? "none");
    write(document.body, "data-levels", pruner?.levels ?? "none");
  }
  function take(value) {
    if (!value || !value.method) return;
    const { method, values, prune_first } = value;
    controls.set({ method, first: prune_first, values: { ...controls.state.values, [method]: values } });
    lastPruning = pruning();
  }
  watch(take);
  take(get());
  paint(fill);
});

// --- what cannot be shown before a merge, and what is shown instead -------------------------------
part("beforehand", ({ host, trigger }) => {
  host.replaceChildren();
  const line = html("p", {}, host);
  const button = html("button", { type: "button", id: "merge-now" }, host);
  button.addEventListener("click", () => {
    controls.set({ quantity: "along" });
    if (!tables.outcome()) trigger("merge");
  });
  const only = (method) => {
    const named = method.parameters.find((item) => item.model);
    return named
      ? ` It is no single model: this merge answers for ${label(controls.setting(method, named))}, Score asks each `
      + `domain's own.` : "";
  };
  function words(method) {
    const { title } = method;
    if (controls.staged())
      return `Shown is what DPPA keeps and hands to ${title}. What ${title} makes of it is known after the merge.`;
    if (controls.shows() === "random")
      return `${title} drops at random. How many changes stay is known, which ones only after the merge.`;
    if (method.combines)
      return `${title} decides from all models together. What it keeps of each is known after the merge; before it, `
      + `the whole changes are shown.`;
    if (method.replaces)
      return `${title} takes the model itself, times its coefficient. The changes shown are those from the base.`;
    return `${title} prunes nothing. Every change counts, times its model's coefficient.`;
  }
  paint(() => {
    const method = controls.method(), outcome = tables.outcome();
    const plain = controls.shows() === "plan" && !controls.staged();
    write(document.body, "data-beforehand", !plain);
    if (plain) return;
    const outcomeText = outcome ? `Merged: "in the merge" and "changed by the merge" show what ${method.title} did.`
      : words(method);
    say(line, outcomeText + only(method));
    button.hidden = outcome !== null && frame.quantity() === controls.state.quantity
      && ["along", "changed"].includes(controls.state.quantity);
    button.disabled = server.activity.merge !== "idle" || tables.recipe() === "";
    say(button, outcome || tables.isMerged(tables.recipe()) ? `Show what ${method.title} did` : "Merge and show");
  });
});
