// The line that puts a living figure with the current settings into another page.
import { html, say } from "../base/shapes.js";
import { asideOf } from "../session/local_address.js";
import { FIGURES, figureAddress } from "../session/figure_address.js";
import { server } from "../session/parts.js";
import { mergeNow } from "../tab/words.js";

/** Pixels that each needs in a column of a text. @type {Record<string, number>} */
const HEIGHTS = { stage: 1340, strip: 700, heatmap: 600, kept: 460, distribution: 380, answer: 400, "by-hand": 1000 };
/** A view of the page -> the figure that is most like it; the answer otherwise. @type {Record<string, string>} */
const OF_VIEW = { modules: "heatmap", sparsity: "kept" };
const UNFRAMED = "No other site may show it yet: this server's setting DPPA_FRAMES lists those that may.";
const SPEAKING = ["stage", "strip", "answer"], LONG = ["stage", "by-hand"];
const ASIDE = "These settings have no living figure: it shows DPPA, magnitude, task arithmetic and DARE for the three "
  + "embedded models, the same factors for each, and no rates of single matrices.";

/**
 * Build the choice of a figure and its line; the returned function shows or hides them.
 * @param {Element} parent
 * @param {{address: string, framed: boolean, strengths: number[], models: string[], methods: string[]}} living
 */
export function embedOffer(parent, living) {
  offer ??= built(parent, living);
  return offer;
}
let /** @type {((offers: boolean) => void) | null} */ offer = null;
/** @param {Element} parent @param {any} living */
function built(parent, living) {
  const box = html("span", { class: "embed", hidden: "" }, parent);
  const label = html("label", {}, box, "Embed ");
  const choice = html("select", { id: "embed-figure" }, label);
  for (const name of FIGURES) html("option", { value: name }, choice, name);
  const slide = html("label", {}, box), wide = html("input", { type: "checkbox", id: "embed-wide" }, slide);
  html("span", {}, slide, " 16:9, for slides");
  const line = html("input", { type: "text", readonly: "", id: "embed-line", "aria-label": "Line for another page" },
    box);
  const copy = html("button", { type: "button", class: "small", id: "embed-copy" }, box, "Copy");
  const note = html("span", { class: "how", role: "status" }, box);

  function draw() {
    const folder = new URL(living.address ? `${living.address.replace(/\/$/, "")}/` : "living/", document.baseURI);
    const merge = mergeNow(), question = SPEAKING.includes(choice.value) ? server.question : "";
    const address = choice.value === "by-hand" ? "#figure=by-hand"
      : merge && !merge.asks ? figureAddress(choice.value, question, living) : "";
    const isWide = wide.checked && !LONG.includes(choice.value);
    const source = `${folder}index.html${address}${isWide ? "&ratio=16:9" : ""}`.replaceAll("&", "&amp;");
    const size = isWide ? 'style="border:0;width:100%;aspect-ratio:16/9"'
      : `width="100%" height="${HEIGHTS[choice.value]}" style="border:0"`;
    line.value = address && `<iframe src="${source}" ${size} loading="lazy" title="DPPA: ${choice.value}"></iframe>`;
    line.hidden = copy.hidden = !address;
    slide.hidden = !address || LONG.includes(choice.value);
    say(note, !address ? ASIDE : [asideOf(folder), living.framed ? "" : UNFRAMED].join(" ").trim());
  }
  for (const control of [choice, wide]) control.addEventListener("change", draw);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(line.value);
      say(note, "Copied.");
    } catch {
      line.select();
      say(note, "This browser keeps the clipboard closed: copy it by hand.");
    }
  });
  return (/** @type {boolean} */ offers) => {
    box.hidden = !offers;
    if (!offers) return;
    const { page, view, pane } = document.body.dataset;
    choice.value = page === "stage" ? "stage" : pane === "chat" && view !== "modules" ? "answer"
      : OF_VIEW[view ?? ""] ?? "stage";
    draw();
  };
}
