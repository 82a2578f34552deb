// What the words mean that the page cannot do without: a bubble at the word, for pointer, key and
// finger. It is a popover, so that nothing lies over it and no edge cuts it off.
// A text marks its terms with brackets: "the [energy] of math".
(() => {
  "use strict";
  const dppa = window.dppa;
  const { html } = dppa.shapes;
  const MEANINGS = {
    significance: "How much a matrix matters, judged by its outliers: the larger their share, the more of it is kept.",
    outliers: "Changes much larger than the others: above a multiple of the mean that is set under Advanced.",
    energy: "The sum of the squared changes. A few large changes hold most of it.",
    length: "Of a whole matrix: the root of the sum of its squared entries, written ‖ ‖. d is the change, W the base's weights, so ‖d‖/‖W‖ says by what part of its size a matrix moved. D' is what is left of the change D.",
    "|d|": "d is a change: an entry of the domain model minus the same entry of the base. |d| is its size without the sign.",
    "Fisher information": "How strongly the model's answers would change with this weight: the mean squared gradient on questions of its domain.",
    "opposite signs": "One model makes this weight larger, the other smaller: merged, they take from each other. Two models without anything in common would do so in half of all. A negative coefficient turns a model's signs round.",
    input: "What comes in where this weight is multiplied, over all tokens of questions of the model's domain.",
    partition: "A band of the kept changes, by size. Each has its own factor under Amplify.",
    level: "A pruning rate at which a band ends: above the line of 90 % lies the strongest tenth.",
    exact: "Counted in the weights by the server. While a slider moves, the page estimates, and says ≈.",
    recipe: "Everything that repeats this merge: base, models, rates, factors, coefficients. Two merges with the same characters are the same.",
    speed: "Tokens written, the one that ends the answer included. Tokens per second of this model's own computing, reading the question included; the turns of others are not counted.",
    loss: "How surprised the model is by its own answer: the mean of −ln p over these tokens, p as the model had it, before temperature and top-p. In nats per token; 0 is certain.",
    entropy: "How open the next token was: the entropy of the model's distribution, before temperature and top-p. 0 bits is certain; 1 bit is a coin; each bit more doubles the choice. Point at a token, tap it, or take the arrow keys, for its number.",
  };
  const GAP = 4, EDGE = 8; // pixels to the word, and to the edge of the window
  let count = 0;
  let close = null; // the bubble shown last
  let follow = null; // moves it along with its word

  // Below its word, or above where there is no room below.
  function place(bubble, element) {
    const word = element.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = bubble;
    const below = word.bottom + GAP;
    const top = below + height + EDGE <= window.innerHeight ? below : Math.max(word.top - GAP - height, EDGE);
    bubble.style.top = `${top}px`;
    bubble.style.left = `${Math.max(Math.min(word.left, window.innerWidth - EDGE - width), EDGE)}px`;
  }
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
  // A browser tells of the pointer anew when the page changes under it, at the same place.
  let pointer = "", moved = false;
  document.addEventListener("mousemove", ({ screenX, screenY }) => {
    const now = `${screenX} ${screenY}`;
    moved = now !== pointer;
    pointer = now;
  }, true);
  for (const name of ["scroll", "resize"]) window.addEventListener(name, () => follow?.(), true);

  // The meaning of a term beside an element that shows it, which a key can then reach as well.
  dppa.meaning = (element, term) => {
    const id = `meaning-${++count}`;
    const bubble = html("span", { class: "meaning", role: "tooltip", popover: "manual", id }, null, MEANINGS[term]);
    element.classList.add("term");
    element.tabIndex = 0;
    element.setAttribute("aria-describedby", id);
    element.after(bubble);
    const { show, hide, leave } = opener(bubble, element);
    let entered = false; // what appears under a resting pointer opens nothing
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
  // Fill an element with a text whose terms are in brackets; built anew only where it changes.
  dppa.explain = (element, text) => {
    if (element.explained === text) return;
    element.explained = text;
    element.replaceChildren();
    text.split(/\[(.+?)\]/).forEach((piece, i) => {
      if (i % 2 === 0) { element.append(piece); return; }
      const term = Object.keys(MEANINGS).find((known) => piece.includes(known));
      dppa.meaning(html("button", { type: "button" }, element, piece), term);
    });
  };
})();
