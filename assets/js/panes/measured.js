// Runs whose table stays while another one runs, fails or is cancelled: a label beside the table tells the recipe
// that was measured.
import { html, put, say } from "../base/shapes.js";
import { server } from "../session/parts.js";
import { watchRuns } from "../session/runs.js";
import * as tables from "../session/tables.js";

function labelOf(measured, current) {
  const name = measured.slice(0, 6);
  if (current === null) return `Measured on recipe ${name}.`; // the current one is not known yet
  if (current !== measured) return `Stale: measured on recipe ${name}, and the merge has changed since. Measure again.`;
  return `Measured on recipe ${name}, the merge as it is now.`;
}

/**
 * As `watchRuns`, with a label for the table below it.
 * @param {HTMLElement} host @param {string} name Of the activity, and of the buttons NAME-run and NAME-stop.
 * @param {string} idle
 * @param {(completed: number, total: number) => string} kept Says what a cancelled run leaves, once something was done.
 */
export const measuredRuns = (host, name, idle, kept) => {
  const runs = watchRuns(host, name, { label: "Asking", idle });
  const label = html("p", { class: "how measured", role: "status", hidden: "" }, host);
  let last = { state: "idle" }, recipe = "", cleared = "";
  function messageOf(next) {
    if (next.state === "done") return { told: "Done." };
    return next.state === "stopped" && next.done ? { told: kept(next.done, next.total) } : {};
  }
  // A run begins: the message of the one before is over, even if this one is refused or leaves the queue.
  document.addEventListener("click", (event) => {
    if (!event.target?.closest?.(`#${name}-run`) || last.state === "idle") return;
    cleared = last.id;
    const activity = server.activity[name];
    runs.take({ state: recipe ? "done" : "idle", told: "" });
    server.activity[name] = activity;
  });
  return {
    // Whether a value counts; see `watchRuns`.
    take(next) {
      if (next?.id && next.id === cleared) return false; // Cancel sends it again
      if (!next || !runs.take({ ...next, ...messageOf(next) })) return false;
      last = next;
      recipe = next.result?.recipe ?? recipe;
      return true;
    },
    paint() {
      runs.paint("");
      put(host, "data-result", Boolean(recipe));
      label.hidden = !recipe;
      if (!recipe) return;
      const current = tables.recipe();
      put(label, "data-stale", current !== null && current !== recipe);
      say(label, labelOf(recipe, current));
    },
  };
};

/**
 * A row of such a table, with the model's name in its colour.
 * @param {Element} body @param {{key: string, model: string, label: string}} row
 */
export const modelRow = (body, row) => {
  const tr = html("tr", { "data-key": row.key }, body);
  tr.style.setProperty("--model", row.key === "recipe" ? "var(--d-accent)" : server.names[row.model]?.colour
    ?? "var(--d-base)");
  const name = html("th", { scope: "row" }, tr);
  html("span", { class: "swatch", "aria-hidden": "true" }, name);
  html("span", {}, name, row.label);
  return tr;
};
