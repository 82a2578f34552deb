// The export: rows of available files, the file being made, files to download.
// Texts of recipes and cards are data: saved, copied, and inserted only as text.
import { html, say, sayProse, put as write, THIN } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { paint, redraw, part, server, setActivity, waits } from "../session/parts.js";
import * as tables from "../session/tables.js";

/** Make a file of a kind; an adapter of a rank, 0 for an exact one.
 * @type {(kind: string, rank?: number) => void} */
let makeExport = () => {};
/** Nothing is made any more. @type {() => void} */
export let makingRests = () => {};
server.activity.export = "idle";

const FILES = [
  ["checkpoint", "Merged checkpoint",
    "A folder that transformers loads, zipped: weights, tokenizer, recipe and model card."],
  ["adapter", "LoRA adapter",
    "The strongest directions of each linear module's changes, for PEFT and vLLM. Shares are of all changes."],
  ["packs", "Delta packs",
    "What is left of each model's changes, before its coefficient, one small file a model; on its base, a pack is a "
    + "model."],
  ["report", "Report", "One web page that stands alone: plots to look into, numbers, hashes, and how to repeat it."],
];
const TEXTS = [
  ["recipe", "Recipe", "All that repeats this merge: dppa merge recipe.yaml --out DIR."],
  ["mergekit", "mergekit recipe", "The same merge, said for mergekit."],
  ["card", "Model card", "The README.md of the merged folder."],
];

function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const link = html("a", { href: address, download: name }, document.body);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
const button = (parent, text, label, act) => {
  const element = html("button", { type: "button", class: "take-button", "aria-label": label }, parent, text);
  element.addEventListener("click", act);
  return element;
};
function row(list, key, title, words) {
  const item = html("li", { class: "take-row", "data-kind": key }, list);
  html("h3", {}, item, title);
  const size = html("span", { class: "take-size" }, item);
  const buttons = html("div", { class: "take-buttons" }, item);
  html("p", { class: "how" }, item, words);
  const note = html("p", { class: "take-note" }, item);
  return { item, size, buttons, note };
}

// --- available files -----------------------------------------------------------------------
part("export", ({ host, get, watch, trigger }) => {
  host.replaceChildren();
  const problem = html("p", { class: "problem", role: "status", hidden: "" }, host);
  const list = html("ul", { class: "take" }, host);
  const files = {}, texts = {};
  let /** @type {any} */ value = null, requested = "";
  for (const [kind, title, words] of FILES) {
    const view = (files[kind] = row(list, kind, title, words));
    view.made = html("ul", { class: "made", "data-made-of": kind }, view.item);
    view.make = button(view.buttons, "Make", `Make: ${title}`, () => makeExport(kind, rankOf(kind)));
  }
  const line = html("label", { class: "choice" }, undefined, "Rank ");
  files.adapter.size.after(line);
  const ranks = html("select", { "aria-label": "Rank of the adapter" }, line);
  ranks.addEventListener("change", () => fill());
  let offered = "";
  const rankOf = (kind) => (kind === "adapter" ? Number(ranks.value) : 0);
  /** The ranks of this merge; the chosen one stays if it is among them. */
  function offerRanks(choices) {
    if (offered === JSON.stringify(choices)) return;
    offered = JSON.stringify(choices);
    const before = ranks.value, able = choices.map(({ rank }) => String(rank));
    ranks.replaceChildren();
    for (const { rank, label } of choices) html("option", { value: rank }, ranks, label);
    ranks.value = [before, "0", "16", able[0]].find((rank) => able.includes(rank)) ?? "";
  }
  for (const [key, title, words] of TEXTS) {
    const view = (texts[key] = row(list, key, title, words));
    const text = () => value.texts[key];
    view.save = button(view.buttons, "Save", `Save: ${title}`, () => save(text().name, text().text));
    view.copy = button(view.buttons, "Copy", `Copy: ${title}`, async () => {
      try {
        await navigator.clipboard.writeText(text().text);
        say(view.copy, "Copied");
      } catch { say(view.copy, "Use Save"); } // no secure page, or not allowed
      setTimeout(() => say(view.copy, "Copy"), 2000);
    });
  }
  const current = () => Boolean(value && value.recipe && value.recipe === tables.recipe());
  function fill() {
    const fresh = current();
    write(host, "data-export", fresh ? "ready" : value?.problem ? "problem" : "looking");
    write(host, "data-recipe", value?.recipe ?? "");
    problem.hidden = !value?.problem;
    sayProse(problem, value?.problem ?? "");
    const busy = server.activity.export !== "idle";
    const choices = value?.files?.adapter?.ranks ?? [];
    offerRanks(choices);
    line.hidden = !choices.length || Boolean(value.files.adapter.reason);
    for (const [kind, view] of Object.entries(files)) {
      const file = value?.files?.[kind];
      view.item.hidden = Boolean(value?.files) && !file && !view.made.hasChildNodes();
      const able = Boolean(file) && !file.reason;
      const size = choices.find(({ rank }) => kind === "adapter" && rank === rankOf(kind))?.size ?? file?.size;
      say(view.size, able ? `${size} · about ${file.time}` : file ? "not possible" : "…");
      sayProse(view.note, file?.reason || file?.note || "");
      view.make.disabled = !able || !fresh || busy;
      view.make.hidden = Boolean(file?.reason);
    }
    for (const [key, view] of Object.entries(texts)) {
      const entry = value?.texts?.[key];
      const able = Boolean(entry?.text);
      say(view.size, able ? entry.size : entry ? "not possible" : "…");
      sayProse(view.note, [entry?.reason, ...(entry?.notes ?? [])].filter(Boolean).join(" "));
      view.save.disabled = view.copy.disabled = !able || !fresh;
      view.save.hidden = view.copy.hidden = Boolean(entry) && !able;
    }
  }
  function take(next) {
    if (!next) return;
    value = next;
    fill();
  }
  watch(take);
  take(get());
  // Requested only while the pane is visible, once for each recipe at rest.
  const REST_MS = 250;
  let timer = 0;
  paint(() => {
    fill();
    if (document.body.dataset.pane !== "export") return;
    const recipe = tables.recipe();
    const key = recipe === null ? "" : recipe || JSON.stringify(controls.choices());
    if (!key || key === requested || value?.recipe === recipe) return;
    clearTimeout(timer);
    timer = setTimeout(() => { requested = key; trigger("look"); }, REST_MS);
  });
});
document.addEventListener("click", (event) => {
  if (event.target?.closest?.("#panes button")) setTimeout(redraw);
});

// --- the file being made, and finished files ---------------------------------------------------
const NAMES = Object.fromEntries(FILES);
function within(seconds) {
  return seconds < 90 ? `${seconds}${THIN}s` : seconds < 5400 ? `${Math.round(seconds / 60)}${THIN}min`
    : `${Math.round(seconds / 3600)}${THIN}h`;
}
const ENDING_MS = 600; // after a stop Gradio mistakes a new run for the stopped one: see start_and_stop.js
part("made", ({ host, get, put, watch, trigger }) => {
  host.replaceChildren();
  const line = html("p", { class: "made-line", role: "status" }, host);
  const bar = html("div",
    { class: "progress", role: "progressbar", "aria-label": "Made", "aria-valuemin": 0, "aria-valuemax": 100 }, host);
  const filled = html("div", {}, bar);
  const over = new Set(); // runs that have ended
  const stop = button(host, "Stop", "Stop making", () => {
    if (held) { clearTimeout(held); held = 0; makingRests(); return; }
    early = pressed; // the server has not started: Stop is sent once it has
    if (value?.id) over.add(value.id);
    makingRests();
    if (!early) trigger("stop");
  });
  const list = html("ul", { class: "made" }, host);
  stop.id = "made-stop";
  let /** @type {any} */ value = null, pressed = false, early = false, held = 0, quiet = 0;
  makeExport = (kind, rank = 0) => {
    if (server.activity.export !== "idle") return;
    pressed = true;
    early = false;
    setActivity("export", "waiting");
    const begin = () => { held = 0; put({ make: kind, rank }); trigger("make"); };
    const wait = quiet - performance.now();
    if (wait > 0) held = setTimeout(begin, wait);
    else begin();
    fill();
  };
  makingRests = () => { pressed = false; setActivity("export", "idle"); fill(); };
  function words() {
    if (pressed && value?.state !== "working") return waits() || "Starting …";
    if (!value) return "";
    const title = NAMES[value.kind] ?? "";
    if (value.state === "working") return `${title}: ${value.what}`;
    if (value.state === "stopped") return "Stopped. Nothing half-made was kept.";
    if (value.state === "failed") return value.note;
    return "";
  }
  function item(file) {
    const place = document.querySelector(`#export [data-made-of="${CSS.escape(file.kind)}"]`) ?? list;
    const li = html("li", { class: "made-row", "data-word": file.word }, place);
    html("a", { class: "made-link", href: file.address, download: file.name }, li, file.name);
    html("span", { class: "take-size" }, li, file.size);
    const about = html("p", { class: "how" }, li, `Can be fetched for ${within(file.seconds)}. SHA-256 `);
    html("code", { title: file.sha256 }, about, `${file.sha256.slice(0, 12)}…`);
    const remove = html("button", { type: "button", class: "remove", "aria-label": `Remove ${file.name}` }, li,
      "Remove");
    remove.addEventListener("click", () => { put({ forget: file.word }); trigger("forget"); });
  }
  let built = "";
  function fill() {
    const working = pressed || value?.state === "working";
    write(host, "data-made", working ? "working" : value?.state ?? "idle");
    write(line, "data-trouble", value?.state === "failed" && !working);
    sayProse(line, words());
    bar.hidden = stop.hidden = !working;
    const share = value?.state === "working" ? value.share : null;
    write(bar, "data-moving", share === null);
    if (share !== null) write(bar, "aria-valuenow", Math.round(100 * share));
    filled.style.width = `${100 * (share ?? 0)}%`;
    const key = JSON.stringify(value?.rows ?? []);
    if (key === built) return;
    built = key;
    for (const row of document.querySelectorAll("#export-pane .made-row")) row.remove();
    for (const file of value?.rows ?? []) item(file);
  }
  function take(next) {
    if (!next || !Array.isArray(next.rows)) return; // a value put by this list
    if (early && next.state === "working") {
      over.add(next.id);
      trigger("stop");
    }
    early = false;
    if (next.state === "stopped") quiet = performance.now() + ENDING_MS;
    if (next.state !== "working") over.add(next.id);
    else if (over.has(next.id)) return; // sent before the server received Stop
    value = next;
    pressed = false;
    server.activity.export = value.state === "working" ? "exporting" : "idle";
    fill();
    redraw();
  }
  watch(take);
  take(get());
  paint(fill);
});
