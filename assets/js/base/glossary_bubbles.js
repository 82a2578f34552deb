// Meanings of the page's terms in a bubble at the word, for mouse, keyboard and touch. It is a
// popover, so that nothing covers it and no edge cuts it off.
// A text marks its terms with brackets: "the [energy] of math".
import { html } from "./shapes.js";

/** Term -> meaning, from assets/data/glossary.yaml; the page carries it. @type {Record<string, string>} */
export const MEANINGS = JSON.parse(document.getElementById("glossary-words")?.textContent || "{}");
const BY_LENGTH = Object.keys(MEANINGS).sort((a, b) => b.length - a.length);
const GAP = 4, EDGE = 8; // pixels to the word, and to the edge of the window
let count = 0;
let /** @type {any} */ close = null; // the bubble shown last
let /** @type {any} */ follow = null; // moves it with its word

// Below its word, or above it if there is no room below.
/** @param {any} bubble @param {any} element */
function place(bubble, element) {
  const word = element.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = bubble;
  const below = word.bottom + GAP;
  const top = below + height + EDGE <= window.innerHeight ? below : Math.max(word.top - GAP - height, EDGE);
  bubble.style.top = `${top}px`;
  bubble.style.left = `${Math.max(Math.min(word.left, document.documentElement.clientWidth - EDGE - width), EDGE)}px`;
}
/** @param {any} bubble @param {any} element */
function opener(bubble, element) {
  const hide = () => { if (bubble.matches(":popover-open")) bubble.hidePopover(); };
  const show = () => {
    if (!bubble.isConnected) return;
    close?.();
    close = hide;
    bubble.showPopover();
    follow = () => { if (bubble.matches(":popover-open")) place(bubble, element); };
    follow();
  };
  const leave = () => { if (document.activeElement !== element) hide(); };
  return { show, hide, leave };
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") close?.(); });
// Browsers send a pointer event at the same place when the page changes below the pointer.
let pointer = "", moved = false;
document.addEventListener("mousemove", ({ screenX, screenY }) => {
  const now = `${screenX} ${screenY}`;
  moved = now !== pointer;
  pointer = now;
}, true);
for (const name of ["scroll", "resize"]) window.addEventListener(name, () => follow?.(), true);

// Attach a term's meaning to an element, which becomes reachable by keyboard.
// holder: parent of the meaning, if not the element.
/** @param {any} element @param {string} term @param {Element | null} [holder] */
export const meaning = (element, term, holder = null) => {
  const id = `meaning-${++count}`;
  const bubble = html("span", { class: "meaning", role: "tooltip", popover: "manual", id }, null, MEANINGS[term]);
  bubble.of = element;
  element.classList.add("term");
  element.dataset.term = term;
  element.tabIndex = 0;
  element.setAttribute("aria-describedby", id);
  if (holder) holder.append(bubble);
  else element.after(bubble);
  const { show, hide, leave } = opener(bubble, element);
  let entered = false; // an element that appears under a resting pointer opens nothing
  element.addEventListener("mouseenter", () => { entered = true; });
  element.addEventListener("mousemove", () => {
    if (!entered || !moved) return;
    entered = false;
    show();
  });
  element.addEventListener("mouseleave", leave);
  element.addEventListener("focus", show);
  element.addEventListener("blur", hide);
};
// Fill an element with a text whose terms are in brackets; rebuilt only if it changes.
/** @param {any} element @param {string} text */
export const explain = (element, text) => {
  if (element.explained === text) return;
  element.explained = text;
  element.replaceChildren();
  text.split(/\[(.+?)\]/).forEach((/** @type {any} */ piece, /** @type {number} */ i) => {
    if (i % 2 === 0) { element.append(piece); return; }
    const term = MEANINGS[piece] ? piece : BY_LENGTH.find((entry) => piece.includes(entry));
    meaning(html("button", { type: "button" }, element, piece), term);
  });
};
