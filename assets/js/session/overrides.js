// Pruning rates of single modules: stored here, set by views of modules, summarised in one line.
import { html, say, level } from "../base/shapes.js";
import * as controls from "./controls.js";
import { paint, part } from "./parts.js";

/** Give modules a rate of their own. @type {(modules: string | string[], rate: number | null) => void} */
export let override = () => {};
// The meaning of the rate, in the words beside the slider.
function stays() {
  const rate = controls.rate(), drops = `At ${level(rate)}`;
  if (rate === 0) return `${drops} all of them stay.`;
  const uneven = controls.pruner()?.name === "dppa" && controls.state.strength > 0 ? ", more where they stand out" : "";
  return controls.shows() === "random" ? `${drops} any ${level(1 - rate)} stay.`
    : `${drops} the strongest ${level(1 - rate)} stay${uneven}.`;
}
paint(() => {
  const text = stays();
  for (const place of document.querySelectorAll("#rate em, .explain .stays")) say(place, text);
});

part("overrides", ({ host, get, put, watch, trigger }) => {
  host.replaceChildren();
  const line = html("p", { class: "overrides-line", role: "status", hidden: "" }, host);
  const text = html("span", {}, line);
  const clear = html("button", { type: "button", class: "small", id: "overrides-clear" }, line, "Clear");
  function send(/** @type {any} */ overrides) {
    controls.set({ overrides });
    put(overrides);
    trigger("change");
  }
  // Give modules their own rate, a share in [0, 1]; null removes it.
  override = (modules, rate) => {
    const overrides = { ...controls.state.overrides };
    for (const name of [modules].flat()) {
      if (rate === null) delete overrides[name];
      else overrides[name] = Math.min(Math.max(rate, 0), 1);
    }
    send(overrides);
  };
  clear.addEventListener("click", () => send({}));
  const take = (/** @type {any} */ value) => { if (value) controls.set({ overrides: { ...value } }); };
  watch(take);
  take(get());
  paint(() => {
    const count = Object.keys(controls.state.overrides).length;
    line.hidden = count === 0;
    const idle = controls.pruner() ? "" : "; this method prunes nothing, so none counts";
    say(text, count === 1 ? `1 matrix has a rate of its own${idle}.`
      : `${count} matrices have rates of their own${idle}.`);
  });
});
