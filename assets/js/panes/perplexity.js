// Perplexity of a text for all models of the score: a row for each, the lowest marked.
// Names are inserted as text, never as markup.
import { byId, html, say, put, three } from "../base/shapes.js";
import { paint, part, server } from "../session/parts.js";
import { watchRuns } from "../session/runs.js";
import { saveable } from "../session/save_plots.js";

const IDLE = "Not measured yet. The merge, plain merges, the domain models and the base read the same text.";
const rounded = (value) => (value >= 1000 ? Math.round(value).toLocaleString("en") : three(value));
const size = ({ tokens, windows }) =>
  `${tokens.toLocaleString("en")} tokens in ${windows === 1 ? "one window" : `${windows} windows`}`;
const COLUMNS = ["model", "perplexity", "bits per byte"];
function how(rows) {
  const alike = rows.every(({ tokens }) => tokens === rows[0].tokens);
  return `Perplexity: among how many equally likely tokens a model is as unsure as here, ${size(rows[0])}. ${rows[
      0].perplexity.ci95
    ? "In brackets: 95\u202f% intervals over the windows; of few windows they are wide."
    : "One window gives no interval: use a longer "
        + "text."}${alike ? "" : " These models cut the text into other tokens: compare bits per byte."}`;
}

// A text file is read here, into the box NAME-text; the server receives only the box's text, on Measure.
export function opener(host, name) {
  const pick = html("button", { type: "button", class: "small", id: `${name}-pick` }, host, "Open a text file …");
  const file = html("input",
    { type: "file", id: `${name}-file`, accept: ".txt,.md,text/*", hidden: "", tabindex: -1,
      "aria-label": "Text file" }, host);
  const note = html("p", { class: "how", role: "status" }, host);
  pick.addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    const [upload] = file.files;
    if (!upload) return;
    const box = byId(`${name}-text`).querySelector("textarea"), most = box.maxLength;
    const text = (await upload.slice(0, 4 * most).text()).replace(/^\ufeff/, "");
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value")?.set?.call(box, text.slice(0, most));
    box.dispatchEvent(new Event("input", { bubbles: true }));
    const cut = upload.size > 4 * most || text.length > most;
    say(note,
      `${cut ? `The first ${most.toLocaleString("en")} characters of ${upload.name} stand` : `${upload.name} stands`} `
      + `above.`);
    file.value = "";
  });
}

part("perplexity", ({ host, get, watch }) => {
  host.replaceChildren();
  opener(host, "perplexity");
  const runs = watchRuns(host, "perplexity", { label: "Reading", idle: IDLE });
  const scroll = html("div",
    { class: "scroll", hidden: "", tabindex: "0", role: "region", "aria-label": "Table of perplexities" }, host);
  const table = html("table", { class: "scores" }, scroll);
  const note = html("p", { class: "how" }, host);
  let /** @type {any} */ result = null;
  const saves = saveable(host, "perplexity", () => result && {
    columns: [...COLUMNS, "95 % interval from", "95 % interval to", "tokens", "windows"],
    rows: result.rows.map((row) =>
      [row.label, row.perplexity.value, row.bits_per_byte, ...(row.perplexity.ci95 ?? [null, null]), row.tokens,
        row.windows]),
  });
  saves.hidden = true;
  function draw() {
    const least = Math.min(...result.rows.map((row) => row.bits_per_byte));
    table.replaceChildren();
    const head = html("tr", {}, html("thead", {}, table));
    for (const name of COLUMNS) html("th", { scope: "col" }, head, name);
    const body = html("tbody", {}, table);
    for (const row of result.rows) {
      const tr = html("tr", { "data-key": row.key, "data-best": row.bits_per_byte === least }, body);
      tr.style.setProperty("--model", row.key === "recipe" ? "var(--d-accent)" : server.names[row.model]?.colour
        ?? "var(--d-base)");
      const name = html("th", { scope: "row" }, tr);
      html("span", { class: "swatch", "aria-hidden": "true" }, name);
      html("span", {}, name, row.label);
      const cell = html("td", { "data-perplexity": row.perplexity.value }, tr);
      html("span", { class: "score-number" }, cell, rounded(row.perplexity.value));
      if (row.perplexity.ci95)
        html("span", { class: "muted" }, cell, ` (${row.perplexity.ci95.map(three).join("–")})`);
      html("td", {}, tr, `${row.bits_per_byte.toFixed(2)}${row.bits_per_byte === least ? " · least" : ""}`);
    }
    say(note, how(result.rows));
  }
  function accept(next) {
    if (!runs.take(next) || !next.result) return;
    result = next.result;
    draw();
    scroll.hidden = saves.hidden = false;
  }
  watch(accept);
  accept(get());
  paint(() => { runs.paint(result?.recipe); put(host, "data-result", Boolean(result)); });
});
