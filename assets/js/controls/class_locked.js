// Hides the controls that a class link disables; their values stay as in the link.
import { fixSettings, hideHistory } from "../session/history.js";
import { paint } from "../session/parts.js";
import { schema } from "../session/controls.js";

const list = (name, buttons) =>
  buttons.map(([key, title]) =>
    [key, title, `#${name} button[data-${name.slice(0, -1)}="${key}"], [data-leads="${key}"]`]);
const hiddenBy = (word) => schema.controls.filter((control) => control.hidden_by === word)
  .map(({ element }) => `#${element}`).join(", ");
// Group -> its controls that can be hidden: name in the address, title, selector.
export const leavable = [
  ["Settings", [
    ["preset", "Preset", "#preset-box"],
    ["models", "Which models take part", "#models .switch input, #models .remove, #own-models"],
    ["coefficient", "Coefficients", "#models .slide, #models .by-layer, #models .model-list + .how"],
    ["method", "Method and its settings", "#method"],
    ["rate", "Pruning rate",
      "#sliders-box > :has(+ #rate, + * #rate), #rate, #explain .explain > p:first-of-type, #levels, #levels-note"],
    ["own-rate", "Pruning rates of single matrices", "#overrides, .drill-own, #own-clear"],
    ["amplification", "Amplification factors",
      "#sliders-box > :has(+ #amplify, + * #amplify), #amplify, #explain .explain > p + p"],
    ["forms", "Forms that keep the deltas", "#forms-box"],
    ["significance", "Significance", hiddenBy("significance")],
    ["strength", "Strength", hiddenBy("strength")],
    ["levels", "Partitions and levels", "#partitions, #levels-editor, #levels, #levels-note"],
    ["outliers", "Outliers", hiddenBy("outliers")],
    ["history", "Undo and Share", "#tune .tune-bar"],
  ]],
  ["Views",
    list("views",
      [["modules", "Modules"], ["sparsity", "Sparsity"], ["compare", "Distance"], ["spectrum", "Spectrum"],
        ["size", "Size"], ["attribution", "Attribution"], ["experiments", "Experiments"]])],
  ["Beside the plots", [
    ...list("panes", [["chat", "Chat"], ["score", "Score"], ["search", "Search"], ["export", "Export"]]),
    ["answers", "Who answers, and how", "#answer-with, #answer-settings, [data-leads=answers]"],
    ["advice", "What should I try?", "#advice-box"],
  ]],
];
// What sets all settings at once: hidden once one of these is, or Undo, which alone would bring them back.
const SETTINGS = ["history", "models", "coefficient", "method", "rate", "own-rate", "amplification", "forms",
  "significance", "strength", "levels", "outliers"];
const WHOLE = "#preset-box, .shown-merges, #reset, .slots, #keep, #search-take, .tries, [data-sets-all]";
// The stage shows settings of its own: a class with hidden ones stays on the workbench.
const STAGE = "#page-open";
// Boxes that are hidden when all of their controls are.
const BOXES = {
  "#method-box": ["method", "advice"],
  "#sliders-box": ["rate", "own-rate", "amplification"],
  "#advanced": ["significance", "strength", "levels", "outliers", "models"],
  "#side-column": ["chat", "score", "search", "export"],
  "#see-column": ["modules", "sparsity", "compare", "spectrum", "size", "attribution", "experiments"],
};
const parameter = (name) => new URL(window.location.href).searchParams.get(name)?.split(".").filter(Boolean) ?? [];
const hiddenNames = new Set(parameter("hide")), lessons = parameter("class");
const entries = leavable.flatMap(([, entries]) => entries).filter(([name]) => hiddenNames.has(name));
const names = entries.map(([name]) => name);
const left = (name) => names.includes(name);

function leaveOut() {
  const boxes = Object.keys(BOXES).filter((box) => BOXES[box].every(left));
  const style = document.createElement("style"); // of the selectors above, with no text of the address
  const whole = SETTINGS.some(left) ? [WHOLE] : [];
  if (whole.length) fixSettings();
  if (left("history")) hideHistory();
  const hidden = [...entries.map(([, , place]) => place), ...boxes, ...whole, STAGE];
  style.textContent = `${hidden.join(", ")} { display: none !important; }`;
  document.head.append(style);
}
// The open pane or view must be a visible one; panes and views are built at different times.
const first = (box, attribute) =>
  [...document.querySelectorAll(`${box} button[${attribute}]`)].find((button) => button.offsetParent);
function showOthers() {
  const { view, pane } = document.body.dataset;
  if (left(view)) first("#views", "data-view")?.click();
  const front = pane === "see" && window.innerWidth > 900 ? "chat" : pane;
  if (left(front)) first("#panes", "data-pane")?.click();
}
if (lessons.length && !lessons.includes("workbench")) fixSettings(); // nothing of them is visible
if (names.length) {
  leaveOut();
  paint(showOthers);
}
