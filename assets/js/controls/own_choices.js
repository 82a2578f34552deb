// Choices for own models: whose chat template, which number format and whose heads the merge has. The embedded
// models are alike in all three.
import { html } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { server } from "../session/parts.js";

const TEMPLATES = /** @type {Record<string, string>} */ ({
  auto: "Automatic", base: "The base's", common: "That of most models", none: "None", alpaca: "Alpaca",
  chatml: "ChatML", exaone: "EXAONE", llama3: "Llama 3", "llama3-mergekit": "Llama 3, more line ends",
  mistral: "Mistral",
});
/** A base of few bits is merged in bfloat16. */
function ofBase() {
  const few = server.names[controls.state.base]?.few_bits;
  return few ? `bfloat16: the base is ${few}` : "The base's";
}
const CHOICES = [
  { key: "template", name: "Chat template of the merge",
      title: "How a question is written for the merge. Automatic: as for the first model that has a template, the base "
      + "first.",
    now: controls.template,
    offered: (label) =>
      [...controls.controlOf("template").choices.map((name) => [name, TEMPLATES[name] ?? name]),
        ...controls.state.models.map(({ ref }) => [ref, `That of ${label(ref)}`])] },
  { key: "dtype", name: "Number format of the merge",
      title: "Each number of the merge is rounded to this format. float32 keeps small changes that bfloat16 rounds "
      + "away, and takes twice the space. A base of few bits keeps its own format by dppa merge --format same.",
    now: () => controls.state.dtype,
    offered: () =>
      [["base", ofBase()],
        ...controls.controlOf("dtype").choices.filter((name) => name !== "base").map((name) => [name, name])] },
  { key: "heads", name: "Heads of the models",
      title: "A head turns the last layer into an answer. Encoders trained for different tasks have different heads, "
      + "which cannot be merged: the merge then takes the base's and leaves theirs out.",
    now: () => controls.state.heads,
    offered: () => [["match", "Must match"], ["base", "Take the base's"]] },
];

/** @param {Element} parent @param {(reference: string) => string} label @param {() => void} send */
export function ownChoices(parent, label, send) {
  const shows = CHOICES.map((options) => choice(parent, options, label, send));
  return () => shows.forEach((show) => show());
}

/**
 * @param {Element} parent
 * @param {(typeof CHOICES)[number]} one
 * @param {(reference: string) => string} label
 * @param {() => void} send
 */
function choice(parent, { key, name, title, now, offered }, label, send) {
  const box = html("label", { class: "choice template", hidden: "" }, parent);
  html("span", {}, box, name);
  const choose = html("select", { "aria-label": name, title }, box);
  let drawnText = "";
  choose.addEventListener("change", () => {
    controls.set({ [key]: choose.value });
    send();
  });
  return () => {
    box.hidden = controls.state.models.every(({ ref }) => ref.startsWith("zoo:"));
    const options = offered(label);
    const text = JSON.stringify(options);
    if (text !== drawnText) choose.replaceChildren(...options.map(([value, words]) => new Option(words, value)));
    drawnText = text;
    if (choose.value !== now()) choose.value = now();
  };
}
