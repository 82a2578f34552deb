// A visitor's own questions: one list for all models, or one for each. The box holds the list that is looked at;
// all of them are sent beside it. Once they can be read, the chat and the pinned question offer them.
import { html, put, say } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { paint, part, redraw, server } from "../session/parts.js";

const ALL = "", REST_MS = 600;
/** Model reference, or ALL -> its text. @type {Record<string, string>} */
const lists = {};
let shown = ALL;
const box = () => /** @type {HTMLTextAreaElement | null} */ (document.querySelector("#questions-text textarea"));
/** All texts that are not empty, as one to compare with. */
export const listsText = () =>
  JSON.stringify(Object.entries({ ...lists, [shown]: box()?.value ?? "" }).filter(([, text]) => text).sort());
/** @param {any} area @param {string} text */
export function type(area, text) {
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value")?.set?.call(area, text);
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

part("question-lists", ({ host, put: send, trigger }) => {
  host.replaceChildren();
  const label = html("label", { class: "choice", title: "With a list for each model, what is kept of each is told" },
    host);
  html("span", {}, label, "Questions for");
  const choice = html("select", { id: "questions-for" }, label);
  const note = html("p", { class: "how", id: "questions-kept" }, host);
  let timer = 0, built = "";
  function tell() {
    lists[shown] = box()?.value ?? "";
    send({ for: shown, lists });
    clearTimeout(timer);
    timer = setTimeout(() => trigger("look"), REST_MS);
    redraw();
  }
  function open(name) {
    const area = box();
    if (!area) return;
    lists[shown] = area.value;
    shown = name;
    type(area, lists[name] ?? "");
  }
  document.addEventListener("input", (event) => { if (event.target === box()) tell(); });
  choice.addEventListener("change", () => open(choice.value));
  const named = (ref) => server.names[ref]?.label ?? ref.replace(/^zoo:/, "");
  paint(() => {
    const models = controls.deciding();
    if (shown !== ALL && !models.includes(shown)) open(ALL); // its list is kept, should the model come back
    const options = [ALL,
      ...models].map((ref) =>
        ({ ref, text: `${ref ? named(ref) : "all models"}${lists[ref]?.trim() ? " \u2713" : ""}` }));
    const key = JSON.stringify([options, shown]);
    if (key === built) return;
    if (built && JSON.stringify(models) !== host.dataset.models) tell(); // other models are offered other questions
    built = key;
    put(host, "data-models", JSON.stringify(models));
    choice.replaceChildren();
    for (const { ref, text } of options) html("option", { value: ref }, choice, text);
    choice.value = shown;
    const others = models.filter((ref) => lists[ref]?.trim());
    const common = !lists[ALL]?.trim() ? ""
      : `. Score asks the one for all models too; Search `
      + `${others.length < models.length ? "takes it for the others" : "leaves it out"}.`;
    say(note, others.length ? `${others.length} of ${models.length} models have a list${common}` : "");
  });
});

// Read by the server, whose form a prompt has.
part("own-examples", ({ get, watch }) => {
  const take = () => {
    const next = get() ?? [];
    if (JSON.stringify(next) === JSON.stringify(server.own)) return;
    server.own = next;
    redraw();
  };
  watch(take);
  take();
});
