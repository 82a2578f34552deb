// What stands beside the pinned answer: where its words come from, its recipe, its time.
import { percent, put, say, three, THIN } from "../base/shapes.js";
import { tab } from "../tab/words.js";

/**
 * Right or wrong; nothing where no answer is known.
 * @param {HTMLElement} mark
 * @param {boolean | null | undefined} right
 * @param {string} expected
 */
export const showMark = (mark, right, expected) => {
  say(mark, right === true ? "✓ right" : right === false ? "✗ wrong" : "");
  put(mark, "data-right", right ?? "");
  put(mark, "title", right === false ? `The right answer: ${expected}` : "");
};

const fetched = () => (tab.state === "loading" && tab.share ? percent(tab.share) : "");

const WRITTEN = { tab: "This tab merged the models and wrote the words. The server was not asked.",
  server: "The server wrote the words." };

/**
 * The sign of who writes, or wrote. `share`: of the models fetched; `titles`: what each source did.
 * @param {HTMLElement} sign @param {"tab" | "server" | undefined} source
 */
export function showSource(sign, source, { share = fetched(), by = "by the ", titles = WRITTEN } = {}) {
  sign.hidden = !source;
  put(sign, "data-source", source ?? "");
  say(sign, source ? `${by}${source}${share ? ` · tab ${share}` : ""}` : "");
  put(sign, "title", share ? "The models are fetched into this tab. Until then the server writes."
    : source === "tab" ? titles.tab : titles.server
      + (titles === WRITTEN && tab.state === "failed" ? ` This tab cannot: ${tab.why}` : ""));
}

/**
 * The line below the answer.
 * @param {{question: string, answer: any, before: string}} pinned @param {boolean} fresh @param {string} later
 */
export function noteOf({ question, answer, before }, fresh, later) {
  const share = fetched();
  if (!question) return "Its answer will follow every slider.";
  if (share) return `Fetching the models into this tab: ${share}`;
  if (later === "busy" || later === "often")
    return "Many questions are asked now: this answer follows once the sliders rest.";
  if (later === "large") return "These models are too large to merge unasked: Send asks them.";
  if (answer?.trouble) return answer.trouble;
  if (!answer) return "Written as soon as the models are in memory …";
  if (!fresh) return "The answer of this merge is awaited …"
    + (answer.recipe ? ` (recipe ${answer.recipe.slice(0, 6)} wrote the one before)` : "");
  const marked = !before ? "" : before !== answer.text
    ? " · highlighted: changed since the sliders last rested" : " · the same answer as before";
  return `recipe ${answer.recipe ? answer.recipe.slice(0, 6) : "…"} · `
    + `${answer.seconds < 1 ? `${three(1000 * answer.seconds)}${THIN}ms`
      : `${three(answer.seconds)}${THIN}s`}${marked}`;
}
