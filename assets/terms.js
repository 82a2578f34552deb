// What the words mean that the page cannot do without: a bubble at the word, for pointer, key and
// finger. A text marks its terms with brackets: "the [energy] of math".
(() => {
  "use strict";
  const dppa = window.dppa;
  const { html } = dppa.shapes;
  const MEANINGS = {
    significance: "How much a matrix matters, judged by its outliers: the larger their share, the more of it is kept.",
    outliers: "Changes much larger than the others: above a multiple of the mean that is set under Advanced.",
    energy: "The sum of the squared changes. A few large changes hold most of it.",
    "|d|": "d is a change: an entry of the domain model minus the same entry of the base. |d| is its size without the sign.",
    partition: "A band of the kept changes, by size. Each has its own factor under Amplify.",
    level: "A pruning rate at which a band ends: above the line of 90 % lies the strongest tenth.",
    exact: "Counted in the weights by the server. While a slider moves, the page estimates, and says ≈.",
    recipe: "Everything that repeats this merge: base, models, rates, factors, coefficients. Two merges with the same characters are the same.",
  };
  let count = 0;

  // The meaning of a term beside an element that shows it, which a key can then reach as well.
  dppa.meaning = (element, term) => {
    const id = `meaning-${++count}`;
    const bubble = html("span", { class: "meaning", role: "tooltip", id }, null, MEANINGS[term]);
    element.classList.add("term");
    element.tabIndex = 0;
    element.setAttribute("aria-describedby", id);
    element.after(bubble);
    element.addEventListener("keydown", (event) => { if (event.key === "Escape") element.blur(); });
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
