// The display of long work: its progress bar, its messages.
import { html, put, sayProse } from "../base/shapes.js";
import { redraw, server, waits } from "./parts.js";
import * as tables from "./tables.js";

/**
 * A progress bar, a message, and a check of values: those sent before the server heard of Cancel are dropped.
 * @param {HTMLElement} host @param {string} name Of the activity, and of the button NAME-stop.
 * @param {{label: string, idle: string, changed?: (recipe: string) => string}} words
 */
export const watchRuns = (host, name, { label, idle, changed }) => {
  server.activity[name] = "idle";
  const progress = html("div",
    { class: "progress", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 }, host);
  const filled = html("div", {}, progress);
  const line = html("p", { class: "standing", role: "status" }, host);
  const over = new Set(); // runs that have ended
  /** @type {Record<string, any>} */
  let value = { state: "idle" };
  let any = false;
  function words(/** @type {any} */ measured, /** @type {any} */ stale) {
    if (server.activity[name] === "waiting" && value.state !== "running") return waits();
    if (value.state === "running")
      return value.total ? `${value.done} of ${value.total}: ${value.what}` : `${value.what} …`;
    if (value.state === "failed") return value.note;
    if (value.state === "stopped" && value.told) return value.told;
    if (value.state === "stopped")
      return any ? "Cancelled. What was measured before stays." : "Cancelled before anything was measured.";
    if (stale)
      return changed ? changed(stale.slice(0, 6))
      : `Stale: measured on recipe ${stale.slice(0, 6)}, and the merge has changed since. Measure again.`;
    if (value.state === "idle") return idle;
    const now = measured === tables.recipe() ? ", the merge as it is now" : ""; // else it is not known yet
    return value.told ?? (measured ? `Measured on recipe ${measured.slice(0, 6)}${now}.` : "");
  }
  return {
    // Whether a value counts; if so, updates the bar and the status.
    take(/** @type {any} */ next) {
      if (!next || !next.state) return false;
      if (next.state !== "running" && next.id) over.add(next.id);
      else if (over.has(next.id)) return false;
      value = next;
      any ||= Boolean(next.result);
      server.activity[name] = next.state === "running" ? "measuring" : "idle";
      const share = next.total ? next.done / next.total : 0;
      put(progress, "aria-valuenow", Math.round(100 * share));
      filled.style.width = `${100 * share}%`;
      put(host, `data-${name}-state`, next.state);
      redraw();
      return true;
    },
    // measured: the recipe of the measured merge; empty if there was none.
    paint(/** @type {any} */ measured) {
      const resting = server.activity[name] === "idle";
      const recipe = tables.recipe();
      const stale = measured && recipe !== null && measured !== recipe ? measured : "";
      put(host, "data-stale", Boolean(stale) && resting);
      progress.style.visibility = resting ? "hidden" : "";
      put(progress, "data-moving", !value.total);
      sayProse(line, words(measured, stale));
      for (const [end, off] of [["stop", resting], ["run", !resting]]) {
        const button = document.getElementById(`${name}-${end}`);
        if (button) put(button, "aria-disabled", off);
      }
    },
  };
};
