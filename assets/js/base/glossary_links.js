// Terms of the glossary in the labels and sentences of the workbench, and in lessons: in each box the first one that is
// not
// linked yet becomes a link. Sentences may change at any time.
import { MEANINGS, meaning } from "./glossary_bubbles.js";
import { html } from "./shapes.js";

const BOXES = "#preset-box, #models-box, #method-box, #advice-box, #sliders-box, #forms-box, #advanced, #see-column, "
  + "#compare-view, #spectrum-view, #size-view, #attribution-view, "
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
  [...text.matchAll(FORM)].map((match) => ({ at: match.index, word: match[0], term: termOf(match[0]) }))
  .filter(({ term }) => term);

let /** @type {any} */ holder = null; // element with the meanings, outside the page's labels
/** @param {Text} node @param {any} linked */
function wrap(node, linked) {
  const match = termsIn(node.data).find(({ term }) => !linked.has(term));
  if (!match) return;
  const rest = node.splitText(match.at), after = rest.splitText(match.word.length);
  const link = html("span", {}, null, match.word);
  rest.replaceWith(link);
  meaning(link, match.term ?? "", holder);
  link.addEventListener("click", (/** @type {any} */ event) => { // inside a label, a tap would activate its control
    event.preventDefault();
    link.focus();
  });
  linked.add(match.term);
  wrap(after, linked);
}
/** @param {any} element @param {any} linked */
function link(element, linked) {
  const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
  const whole = element.textContent;
  for (const node of texts) wrap(node, linked);
  if (element.childNodes.length > 1 && !element.explained) element.linked = whole;
}
function pass() {
  holder ??= html("div", { class: "meanings" }, document.body);
  for (const bubble of holder.children) if (!bubble.of.isConnected) bubble.remove();
  for (const box of document.querySelectorAll(BOXES)) {
    const isInBox = (/** @type {any} */ element) => element.closest(BOXES) === box;
    const linked = new Set([...box.querySelectorAll(".term")].filter(isInBox).map((element) => element.dataset.term));
    for (const element of box.querySelectorAll(WORDS)) {
      if (isInBox(element) && !element.closest("button, summary, table, a, .term, .meaning")) link(element, linked);
    }
  }
}
// Texts change without an event, and Gradio mounts unfolded parts late. A pass without new terms changes nothing.
let timer = 0;
new MutationObserver(() => { if (!timer) timer = setTimeout(() => { timer = 0; pass(); }, REST_MS); })
  .observe(document.documentElement, { childList: true, subtree: true, characterData: true });
