// Terms of the glossary in the labels and sentences of the workbench, and in lessons: in each box the first one that is
// not
// linked yet becomes a link. Sentences may change at any time.
import { MEANINGS, meaning } from "./glossary_bubbles.js";
import { html } from "./shapes.js";

const BOXES = "#preset-box, #models-box, #method-box, #advice-box, #sliders-box, #advanced, #see-column, "
  + "#compare-view, #attribution-view, "
  + "#experiments-view, #chat-pane, #score-pane, #search-pane, #export-pane, .lesson";
const WORDS = '[data-testid="block-info"], .info-text, label[for], .setting-name, .how, .standing, .score-line, '
  + '.question, #exact span, .base-line, .take-note, .losses-line span, '
  + ".lesson .prose-text :is(p, li, em, strong, .figure), .lesson .block-box :is(p, li)";
// from the first change to a pass over all of them: four passes a second of 0.5 ms while a slider moves
const REST_MS = 250;
// Words mostly used in their everyday sense; scripts mark them where they are terms.
const PLAIN = new Set(["exact", "input", "speed", "length", "sureness"]);
// Word -> its term in the glossary.
const ALSO = { factor: "amplification factor", amplification: "amplification factor", matrices: "matrix",
    module: "matrix", method: "merge method", "size |d|": "|d|",
  "linear module": "matrix", outlier: "outliers", magnitude: "magnitude pruning", "opposite sign": "opposite signs",
  "search question": "search split", bands: "partition", band: "partition" };
const named =
  new Map(
    Object.entries(
      { ...Object.fromEntries(Object.keys(MEANINGS).filter((term) => !PLAIN.has(term))
        .map((term) => [term.toLowerCase(), term])), ...ALSO }));
/** @param {string} text */
const escaped = (text) => text.replace(/[|\\{}()[\]^$+*?.-]/g, "\\$&");
const forms = [...named.keys()].sort((a, b) => b.length - a.length).map(escaped).join("|");
const FORM = new RegExp(`(?<![\\w|.-])(${forms})(?:s|es)?(?![\\w|-]|\\.\\w)`, "gi");
/** @param {string} word */
const termOf = (word) => {
  const small = word.toLowerCase();
  const term = named.get(small) ?? named.get(small.replace(/s$/, "")) ?? named.get(small.replace(/es$/, ""));
  return term && /^[A-Z]+$/.test(term) && word !== term ? null : term; // TIES is not "ties"
};
// Every term in a text: [{at, word, term}].
/** @param {string} text */
const termsIn = (text) =>
  [...text.matchAll(FORM)].map((found) => ({ at: found.index, word: found[0], term: termOf(found[0]) }))
  .filter(({ term }) => term);

let /** @type {any} */ holder = null; // element with the meanings, outside the page's labels
/** @param {Text} node @param {any} known */
function wrap(node, known) {
  const found = termsIn(node.data).find(({ term }) => !known.has(term));
  if (!found) return;
  const rest = node.splitText(found.at), after = rest.splitText(found.word.length);
  const link = html("span", {}, null, found.word);
  rest.replaceWith(link);
  meaning(link, found.term ?? "", holder);
  link.addEventListener("click", (/** @type {any} */ event) => { // inside a label, a tap would activate its control
    event.preventDefault();
    link.focus();
  });
  known.add(found.term);
  wrap(after, known);
}
/** @param {any} element @param {any} known */
function link(element, known) {
  const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
  const whole = element.textContent;
  for (const node of texts) wrap(node, known);
  if (element.childNodes.length > 1 && !element.explained) element.linked = whole;
}
function pass() {
  holder ??= html("div", { class: "meanings" }, document.body);
  for (const bubble of holder.children) if (!bubble.of.isConnected) bubble.remove();
  for (const box of document.querySelectorAll(BOXES)) {
    const own = (/** @type {any} */ element) => element.closest(BOXES) === box;
    const known = new Set([...box.querySelectorAll(".term")].filter(own).map((one) => one.dataset.term));
    for (const element of box.querySelectorAll(WORDS)) {
      if (own(element) && !element.closest("button, summary, table, a, .term, .meaning")) link(element, known);
    }
  }
}
// Texts change without an event, and Gradio mounts unfolded parts late. A pass without new terms changes nothing.
let timer = 0;
new MutationObserver(() => { if (!timer) timer = setTimeout(() => { timer = 0; pass(); }, REST_MS); })
  .observe(document.documentElement, { childList: true, subtree: true, characterData: true });
