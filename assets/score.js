// The table of scores: a row per model, a column per domain, intervals drawn and written.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { html, say, put, percent } = dppa.shapes;
  const IDLE = "Not run yet. The merge, the domain models and the base answer the same unseen questions.";
  const whole = (share) => String(Math.round(100 * share));
  const about = (seconds) => (seconds === null ? "" : dppa.about(seconds));
  function stopped(cells) {
    const finished = cells.filter(Boolean).length;
    if (!finished) return "Stopped before a first cell was finished.";
    return `Stopped. ${finished} of ${cells.length} cells were finished and stand below; scoring again goes on from them.`;
  }
  function words(value) {
    if (value.state === "running") {
      const parts = value.activity === "scoring" && value.total
        ? [value.what, `${value.done} of ${value.total} questions`, about(value.seconds_left)] : [`${value.what} …`];
      return parts.filter(Boolean).join(" · ");
    }
    if (value.state === "stopped") return stopped(value.rows.flatMap((row) => row.cells));
    return value.note || value.sentence || (value.state === "done" ? "Done." : IDLE);
  }

  dppa.part("score", ({ host, get, watch }) => {
    host.replaceChildren();
    const progress = html("div", { class: "progress", role: "progressbar", "aria-label": "Scoring", "aria-valuemin": 0, "aria-valuemax": 100 }, host);
    const filled = html("div", {}, progress);
    const line = html("p", { class: "score-line", role: "status" }, host);
    const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of scores" }, host);
    const table = html("table", { class: "scores" }, scroll);
    html("p", { class: "how" }, host,
      "Share of unseen test questions answered exactly right, in percent; in brackets and as a bar, the 95 % interval. More questions make it narrower.");
    let value = null, built = "";
    const over = new Set(); // runs that have ended
    const saves = dppa.saveable(host, "score", () => {
      const kinds = ["accuracy (share)", "95 % interval from (share)", "95 % interval to (share)", "questions (count)"];
      return value && {
        columns: ["model", "recipe", ...value.domains.flatMap((domain) => kinds.map((kind) => `${domain}: ${kind}`)), "mean accuracy (share)"],
        rows: value.rows.map(({ target, recipe, cells, mean }) =>
          [target, recipe, ...cells.flatMap((cell) => (cell ? [cell.accuracy, cell.low, cell.high, cell.n] : [null, null, null, null])), mean]),
      };
    });

    function head(domains) {
      const row = html("tr", {}, html("thead", {}, table));
      for (const name of ["model", ...domains, "mean"]) html("th", { scope: "col" }, row, name);
    }
    function cell(parent, row, domain, score) {
      const td = html("td", { "data-target": row.target, "data-domain": domain }, parent);
      if (!score) { td.textContent = "–"; return; }
      put(td, "data-accuracy", score.accuracy);
      html("span", { class: "score-number" }, td, percent(score.accuracy));
      html("span", { class: "muted" }, td, ` (${whole(score.low)}–${whole(score.high)})`);
      const bar = html("span", { class: "interval", "aria-hidden": "true" }, td);
      bar.style.setProperty("--low", `${100 * score.low}%`);
      bar.style.setProperty("--high", `${100 * score.high}%`);
      bar.style.setProperty("--at", `${100 * score.accuracy}%`);
    }
    function build() {
      const key = JSON.stringify([value.rows, value.domains, value.limit, dppa.names]);
      if (key === built) return;
      built = key;
      table.replaceChildren();
      html("caption", {}, table, value.limit ? `Test accuracy, ${value.limit} questions per domain` : "Test accuracy");
      head(value.domains);
      const body = html("tbody", {}, table);
      for (const row of value.rows) {
        const tr = html("tr", { "data-target": row.target }, body);
        tr.style.setProperty("--model", row.target === "merged" ? "var(--d-accent)" : dppa.names[row.target]?.colour ?? "var(--d-base)");
        const name = html("th", { scope: "row" }, tr);
        html("span", { class: "swatch", "aria-hidden": "true" }, name);
        html("span", {}, name, row.label);
        if (row.recipe) html("span", { class: "tag", "data-recipe": row.recipe }, name);
        value.domains.forEach((domain, i) => cell(tr, row, domain, row.cells[i]));
        html("td", { class: "mean" }, tr, row.mean === null ? "–" : percent(row.mean));
      }
      stale();
    }
    function stale() {
      const current = dppa.recipe();
      for (const tag of table.querySelectorAll(".tag")) {
        const recipe = tag.dataset.recipe;
        say(tag, `${recipe.slice(0, 6)}${recipe === current ? "" : " · stale"}`);
      }
    }
    // Whoever is asked, or was scored, has been merged.
    function noteMerged() {
      for (const row of value.rows) {
        const asked = value.state === "running" && value.activity === "scoring";
        if (row.recipe && (asked || row.cells.some(Boolean))) dppa.noteMerged(row.recipe);
      }
    }
    function take(next) {
      if (!next || !Array.isArray(next.rows)) return;
      if (next.state !== "running") over.add(next.id);
      else if (over.has(next.id)) return; // sent before the server heard of Stop
      value = next;
      put(host, "data-score-state", value.state);
      const share = value.total ? value.done / value.total : 0;
      put(progress, "aria-valuenow", Math.round(100 * share));
      filled.style.width = `${100 * share}%`;
      dppa.activity.score = value.state === "running" ? value.activity : "idle";
      dppa.left.score = value.activity === "scoring" ? value.seconds_left ?? undefined : undefined;
      dppa.scored = value.rows.find((row) => row.recipe && row.cells.some(Boolean))?.recipe ?? null;
      noteMerged();
      scroll.hidden = saves.hidden = value.rows.length === 0;
      build();
      dppa.redraw();
    }
    watch(take);
    take(get());
    let last;
    dppa.paint(() => {
      const current = dppa.recipe();
      if (current !== last) { last = current; stale(); }
      const activity = dppa.activity.score;
      progress.style.visibility = activity === "idle" ? "hidden" : "";
      put(progress, "data-moving", activity !== "scoring"); // how far it is cannot be said yet
      say(line, activity === "waiting" && value?.state !== "running" ? dppa.waits() : value ? words(value) : IDLE);
    });
  });

  dppa.complete = true;
  window.dispatchEvent(new Event("dppa:complete"));
})();
