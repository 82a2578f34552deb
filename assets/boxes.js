// The number boxes beside Gradio's sliders: only a number the slider allows counts. While something
// else is typed, nothing changes; on Enter or when the box is left, it falls back to what counts.
(() => {
  "use strict";
  const boxOf = (event) => event.target.closest?.('input[data-testid="number-input"]');
  const fits = (box) => {
    const text = box.value.trim(), value = +text;
    return text !== "" && value >= +box.min && value <= +box.max;
  };
  function settle(event) {
    const box = boxOf(event);
    if (!box || fits(box)) return;
    const slider = box.closest(".block").querySelector("input[type=range]");
    const typed = box.value.trim();
    box.value = typed === "" ? slider.value : Math.min(Math.max(+typed, +box.min), +box.max);
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  // Before anybody else hears of it, Gradio and the store included.
  window.addEventListener("input", (event) => {
    const box = boxOf(event);
    if (box && !fits(box)) event.stopImmediatePropagation();
  }, true);
  // A decimal comma, which the browser drops without a word where the page's language has a point.
  window.addEventListener("beforeinput", (event) => {
    if (event.data !== "," || !event.target.matches?.('input[type="number"]')) return;
    event.preventDefault();
    document.execCommand("insertText", false, ".");
  }, true);
  window.addEventListener("keydown", (event) => { if (event.key === "Enter") settle(event); }, true);
  window.addEventListener("blur", settle, true);
})();
