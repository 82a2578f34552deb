// The same five questions before the first lesson and after the last: optional, answered once each time, and
// explained after the second.
import { html, put } from "../base/shapes.js";
import { prose } from "./prose.js";
import { keep, progress } from "./progress.js";

/** Its two pages: name in addresses -> title. @type {Record<string, string>} */
export const FIVE = { before: "Five questions first", after: "The same five again" };
const UNKNOWN = "I do not know.";
const given = (time) => progress().five[time];
const isRight = ({ choices }, pick) => Boolean(choices[pick]?.right);
/** How many of the questions were answered right, as a text; empty if they were not answered. */
export const fiveResult = (time, questions) => {
  const picks = given(time);
  return picks ? `${questions.filter((question, i) => isRight(question, picks[i])).length} of ${questions.length}` : "";
};
/** Each question with what was answered, for the saved page. */
export const fiveLines = (questions) => questions.map((question, i) => {
  const said = Object.keys(FIVE).filter(given)
    .map((time) => `${time} ${isRight(question, given(time)[i]) ? "right" : "not right"}`);
  return { html: question.html, said: said.join(", ") };
});

export function drawFive(main, time, questions, redraw) {
  html("h2", { class: "lesson-title", tabindex: "-1" }, main, FIVE[time]);
  html("p", { class: "lesson-about" }, main,
    "The same five before the first lesson and after the last, if you like. They show what the lessons added.");
  const stored = given(time), explains = stored && time === "after";
  if (stored) {
    const [before, after] = Object.keys(FIVE).map((each) => fiveResult(each, questions));
    html("p", { class: "lesson-done", role: "status" }, main, time === "before"
      ? `${before} right. Which ones, you see after the last lesson.`
      : `${after} right${before ? `; before the lessons ${before}` : ""}.`);
  }
  const picks = stored ?? [];
  const ready = () => questions.every((_, i) => picks[i] !== undefined);
  const boxes = questions.map((question, i) => {
    const box = html("fieldset", { class: "quiz", "data-quiz": i }, main);
    prose(question.html, html("legend", {}, box), "span");
    const choices = [...question.choices, { html: UNKNOWN }];
    const buttons = choices.map((choice, k) => {
      const button = html("button", { type: "button", class: "choice-button" }, box);
      prose(choice.html, button, "span");
      button.disabled = Boolean(stored);
      button.addEventListener("click", () => { picks[i] = k; mark(); });
      return button;
    });
    function mark() {
      buttons.forEach((button, k) => {
        put(button, "aria-pressed", picks[i] === k);
        if (explains) put(button, "data-verdict", choices[k].right ? "right" : picks[i] === k ? "wrong" : "");
      });
      if (!stored) finish.disabled = !ready();
    }
    if (explains) {
      const { why } = question.choices.find(({ right }) => right);
      prose(why, html("p", { class: "quiz-said" }, box), "span");
    }
    return mark;
  });
  const finish = html("button", { type: "button", class: "small" }, stored ? null : main, "Count my answers");
  finish.addEventListener("click", () => {
    keep((now) => { now.five[time] = picks; });
    redraw();
  });
  if (!stored) html("p", { class: "how" }, main, "Counted once. Nothing is sent: it stays in this browser.");
  for (const mark of boxes) mark();
}
