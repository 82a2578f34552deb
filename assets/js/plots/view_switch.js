// The views of the middle column, one at a time; and how a view shows work that takes its time.
(() => {
  "use strict";
  const dppa = window.dppa;
  dppa.part("views", ({ host }) => {
    const buttons = [...host.querySelectorAll("button[data-view]")];
    dppa.showView = (name) => {
      document.body.dataset.view = name;
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.view === name));
      dppa.redraw();
    };
    for (const button of buttons) button.addEventListener("click", () => dppa.showView(button.dataset.view));
    dppa.showView("modules");
  });

  // A bar, a line of words, and which value counts: what the server sent before it heard of Cancel does
  // not. `name`: of the activity, and of the button NAME-stop. Returns {take, paint}.
  dppa.runs = (host, name, { label, idle, changed }) => {
    const { html, say, put } = dppa.shapes;
    dppa.activity[name] = "idle";
    const progress = html("div", { class: "progress", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 }, host);
    const filled = html("div", {}, progress);
    const line = html("p", { class: "standing", role: "status" }, host);
    const over = new Set(); // runs that have ended
    let value = { state: "idle" }, any = false;
    function words(measured, stale) {
      if (dppa.activity[name] === "waiting" && value.state !== "running") return dppa.waits();
      if (value.state === "running") return value.total ? `${value.done} of ${value.total}: ${value.what}` : `${value.what} …`;
      if (value.state === "failed") return value.note;
      if (value.state === "stopped" && value.told) return value.told;
      if (value.state === "stopped") return any ? "Cancelled. What was measured before stays." : "Cancelled before anything was measured.";
      if (stale) return changed ? changed(stale.slice(0, 6)) : `Stale: measured on recipe ${stale.slice(0, 6)}, and the merge has changed since. Measure again.`;
      if (value.state === "idle") return idle;
      return value.told ?? (measured ? `Measured on recipe ${measured.slice(0, 6)}, the merge as it is now.` : "");
    }
    return {
      // Whether a value counts; then the bar and the status follow it.
      take(next) {
        if (!next || !next.state) return false;
        if (next.state !== "running" && next.id) over.add(next.id);
        else if (over.has(next.id)) return false;
        value = next;
        any ||= Boolean(next.result);
        dppa.activity[name] = next.state === "running" ? "measuring" : "idle";
        const share = next.total ? next.done / next.total : 0;
        put(progress, "aria-valuenow", Math.round(100 * share));
        filled.style.width = `${100 * share}%`;
        put(host, `data-${name}-state`, next.state);
        dppa.redraw();
        return true;
      },
      // measured: the recipe of the merge that was looked at; empty where none was.
      paint(measured) {
        const resting = dppa.activity[name] === "idle";
        const recipe = dppa.recipe();
        const stale = measured && recipe !== null && measured !== recipe ? measured : "";
        put(host, "data-stale", Boolean(stale) && resting);
        progress.style.visibility = resting ? "hidden" : "";
        put(progress, "data-moving", !value.total);
        say(line, words(measured, stale));
        for (const [end, off] of [["stop", resting], ["run", !resting]]) {
          const button = document.getElementById(`${name}-${end}`);
          if (button) put(button, "aria-disabled", off);
        }
      },
    };
  };
})();
