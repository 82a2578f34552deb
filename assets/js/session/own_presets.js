// The visitor's presets, stored in this browser, and saving and opening recipe files.
// Names are inserted as text, never as markup.
import { html } from "../base/shapes.js";
import * as history from "./history.js";
import { schema } from "./controls.js";
import { stateNow } from "./session_value.js";

const KEY = "dppa.presets.1";
const MOST = 50, LONGEST = 60;

// --- the store: [{name, state}] ------------------------------------------------------------------
/** @param {SessionState} state */
const isState = (state) => state?.v === schema.version && Array.isArray(state.models)
  && typeof state.amplify === "object";
function read() {
  try {
    const rows = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return rows.filter((/** @type {any} */ row) => typeof row?.name === "string" && row.name.length <= LONGEST
      && isState(row.state))
      .slice(0, MOST);
  } catch { return []; }
}
/** @param {any[]} rows */
function write(rows) {
  try { localStorage.setItem(KEY, JSON.stringify(rows)); return true; } catch { return false; }
}
/** @param {string} text */
const cleaned = (text) => text.replace(/\s+/g, " ").trim().slice(0, LONGEST);
// Why a name is not allowed; empty if it is.
/** @param {string} name @param {any[]} rows */
function objection(name, rows) {
  if (!name) return "A preset needs a name.";
  return rows.some((/** @type {any} */ row) => row.name === name)
    ? `There is a preset called ${name} already. Remove it first, or choose another name.` : "";
}

// --- the panel: tell(text, wrong) shows a message, close() closes it ----------------------------------------
/** @param {Element} parent @param {any} tell @param {() => void} close */
export const savedPresets = (parent, tell, close) => {
  html("h2", {}, parent, "Presets of your own");
  html("p", { class: "how" }, parent, "Everything as it stands now, under a name. They stay in this browser.");
  const form = html("form", { class: "line" }, parent);
  const name = html("input",
    { type: "text", id: "saved-name", maxlength: LONGEST, "aria-label": "Name to save under", placeholder: "Name",
      autocomplete: "off" }, form);
  html("button", { class: "small", id: "saved-add" }, form, "Save");
  const list = html("ul", { class: "saved-list", id: "saved-list" }, parent);
  form.addEventListener("submit", (/** @type {any} */ event) => {
    event.preventDefault();
    const rows = read(), title = cleaned(name.value);
    const problem = objection(title, rows)
      || (rows.length >= MOST ? `${MOST} presets are kept at most. Remove one first.` : "");
    if (problem) { tell(problem, true); return; }
    const kept = write([...rows, { name: title, state: stateNow() }]);
    if (kept) name.value = "";
    tell(kept ? `Saved as ${title}.`
      : "This browser does not let the page keep anything. Use the link or the recipe file.", !kept);
    fill();
  });
  function change(/** @type {any[]} */ rows, /** @type {string} */ notice) {
    if (write(rows)) tell(notice);
    fill();
  }
  function row(/** @type {any} */ { name: called, state }) {
    const item = html("li", {}, list);
    const use = html("button", { type: "button", class: "saved-name", title: "Set every control to this" }, item,
      called);
    const rename = html("button", { type: "button", class: "small", "aria-label": `Rename ${called}` }, item, "Rename");
    const remove = html("button", { type: "button", class: "small", "aria-label": `Remove ${called}` }, item, "Remove");
    use.addEventListener("click", () => { history.goTo(state); close(); });
    remove.addEventListener("click",
      () => change(read().filter((/** @type {any} */ preset) => preset.name !== called), `Removed ${called}.`));
    rename.addEventListener("click", () => renaming(item, called));
  }
  function renaming(/** @type {Element} */ item, /** @type {string} */ called) {
    item.replaceChildren();
    const box = html("input", { type: "text", maxlength: LONGEST, "aria-label": `New name of ${called}` }, item);
    box.value = called;
    const button = html("button", { type: "button", class: "small" }, item, "Rename");
    const apply = () => {
      const title = cleaned(box.value), rows = read();
      if (title === called) { fill(); return; }
      const problem = objection(title, rows);
      if (problem) { tell(problem, true); return; }
      change(rows.map((/** @type {any} */ preset) => (preset.name === called ? { ...preset, name: title } : preset)),
        `${called} is called ${title} now.`);
    };
    button.addEventListener("click", apply);
    box.addEventListener("keydown", (/** @type {any} */ event) => {
      if (event.key === "Enter") { event.preventDefault(); apply(); }
      if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); fill(); }
    });
    box.select();
  }
  function fill() {
    list.replaceChildren();
    for (const preset of read()) row(preset);
  }
  fill();
  // Another tab saved or removed a preset; text being typed here stays.
  window.addEventListener("storage", ({ key }) => { if (key === KEY && !list.querySelector("input")) fill(); });
  return fill;
};

// --- the recipe as a file: ask(event, payload) sends a request to the server -------------------------------
/**
 * Opens a recipe file that was dropped on the page.
 * @type {(file: File, told?: (what: string, wrong?: boolean) => void) => Promise<void>}
 */
export let openFile = async () => {};
/**
 * @param {Element} parent
 * @param {any} tell
 * @param {(event: string, payload: any) => void} ask
 * @param {number} longest
 */
export const recipeFile = (parent, tell, ask, longest) => {
  html("h2", {}, parent, "Recipe file");
  html("p", { class: "how" }, parent,
    "All that repeats this merge, for the command dppa merge and for this page. Recipes of mergekit open too.");
  const line = html("div", { class: "line" }, parent);
  const save = html("button", { type: "button", class: "small", id: "recipe-save" }, line, "Download recipe.yaml");
  const pick = html("button", { type: "button", class: "small", id: "recipe-pick" }, line, "Open a file …");
  const file = html("input",
    { type: "file", id: "recipe-file", accept: ".yaml,.yml,.txt", hidden: "", tabindex: -1,
      "aria-label": "Recipe file" }, line);
  const box = html("textarea",
    { id: "recipe-text", rows: 3, "aria-label": "A recipe, pasted", placeholder: "… or paste a recipe here",
      spellcheck: "false" }, parent);
  const use = html("button", { type: "button", class: "small", id: "recipe-use" }, parent, "Open this recipe");
  function open(/** @type {string} */ text, announce = tell) {
    if (!text.trim()) { announce("There is no recipe in it.", true); return; }
    if (text.length > longest) {
      announce(`This has ${text.length} characters, and a recipe at most ${longest}. Another kind of file is the usual `
        + `cause.`, true);
      return;
    }
    announce("Opening the recipe …");
    ask("read", { recipe: text });
  }
  openFile = async (upload, announce = tell) => {
    // Larger than any recipe: not read.
    if (upload.size > 4 * longest) announce(`${upload.name} has ${upload.size} bytes, too many for a recipe.`, true);
    else open(await upload.text(), announce);
  };
  save.addEventListener("click", () => ask("write", {}));
  pick.addEventListener("click", () => file.click());
  use.addEventListener("click", () => open(box.value));
  file.addEventListener("change", async () => {
    const [upload] = file.files;
    if (upload) await openFile(upload);
    file.value = "";
  });
  return () => { box.value = ""; };
};
/** @param {any} options */
export const download = ({ name, text }) => {
  const address = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  const link = html("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
};
