// The text of a lesson: made safe by the server, with numbers filled in by blocks and links to terms.
import { meaning } from "../base/glossary_bubbles.js";
import { THIN, html, percent, percent1, put, say, three } from "../base/shapes.js";

const percent2 = (x) => `${(100 * x).toFixed(2)}${THIN}%`;
// Keeps a number and its %, or × and its number, in one line, on the page and in print.
export const tied = (text) => text.replace(/(\d) %/g, `$1${THIN}%`);
export const numbered = ({ number, title }) => (number ? `${number}. ${title}` : title);
const FORMATS = { three, percent, percent1, percent2, count: (n) => Math.round(n).toLocaleString("en-US"),
    times: (x) => `×${THIN}${three(x)}`, text: String,
  points: (x) => `${x < 0 ? "−" : "+"}${Math.abs(100 * x).toFixed(1)} points` };

/** Numbers computed by the blocks of the open lesson: BLOCK.KEY -> value. @type {{now: Record<string, any>}} */
export const figures = { now: {} };
// Numbers in the text come from blocks; those of a quiz are filled in when its text appears.
export function fill(root, values = figures.now) {
  for (const span of root.querySelectorAll("[data-figure]")) {
    const value = values[span.dataset.figure];
    if (value === undefined) continue;
    say(span, tied(FORMATS[span.dataset.as](value)));
    put(span, "data-filled", true);
  }
}

export function prose(text, parent, tag = "div") {
  const box = html(tag, { class: "prose-text" }, parent);
  box.innerHTML = text; // the lesson's own, made safe by the server
  for (const table of box.querySelectorAll("table")) {
    const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" });
    table.replaceWith(scroll);
    scroll.append(table);
  }
  for (const term of box.querySelectorAll("[data-term]")) meaning(term, term.dataset.term);
  fill(box);
  return box;
}
