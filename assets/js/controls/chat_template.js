// Whose chat template the merge has: a choice for own models. The embedded ones share one template.
import { html } from "../base/shapes.js";
import * as controls from "../session/controls.js";

/** @param {Element} parent @param {(reference: string) => string} label @param {() => void} send */
export function templateChoice(parent, label, send) {
  const box = html("label", { class: "choice template", hidden: "" }, parent);
  html("span", {}, box, "Chat template of the merge");
  const choice = html("select", {
    "aria-label": "Chat template of the merge",
    title: "How a question is written for the merge. Automatic: as for the first model that has a template, the base first.",
  }, box);
  let shown = "";
  choice.addEventListener("change", () => {
    controls.set({ template: choice.value });
    send();
  });
  return () => {
    const { models } = controls.state;
    box.hidden = models.every(({ ref }) => ref.startsWith("zoo:"));
    const offered = [["auto", "Automatic"], ["base", "The base's"], ...models.map(({ ref }) => [ref, `That of ${label(ref)}`])];
    const key = JSON.stringify(offered);
    if (key !== shown) choice.replaceChildren(...offered.map(([value, text]) => new Option(text, value)));
    shown = key;
    if (choice.value !== controls.template()) choice.value = controls.template();
  };
}
