// The views of the middle column, one at a time.
import { redraw } from "../session/frames.js";
import { part } from "../session/parts.js";

part("views", ({ host }) => {
  const buttons = [...host.querySelectorAll("button[data-view]")];
  const show = (name) => {
    document.body.dataset.view = name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.view === name));
    redraw();
  };
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.view));
  show("modules");
});
