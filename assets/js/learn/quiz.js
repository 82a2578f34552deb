// One question: every answer explains why it is right or wrong, and readers may try again. The right one,
// once found, stays marked while the others are read.
import { html, say, put } from "../base/shapes.js";
import { prose } from "./prose.js";

// earlier: the answer given before, if any. tell(number): what is given now.
export const quiz = (parent, { html: question, choices }, number, earlier, tell) => {
  const box = html("fieldset", { class: "quiz", "data-quiz": number }, parent);
  prose(question, html("legend", {}, box), "span");
  const verdict = html("p", { class: "quiz-said", role: "status" });
  const buttons = choices.map((choice, i) => {
    const button = html("button", { type: "button", class: "choice-button", "aria-pressed": "false", "data-choice": i },
      box);
    prose(choice.html, button, "span");
    button.addEventListener("click", () => { show(i); tell(i); });
    return button;
  });
  box.append(verdict);
  let solved = false;
  function show(i) {
    const { right, why } = choices[i];
    solved ||= right;
    buttons.forEach((button, k) => {
      put(button, "aria-pressed", k === i);
      put(button, "data-verdict", solved && choices[k].right ? "right" : k === i ? "wrong" : "");
    });
    put(box, "data-verdict", right ? "right" : "wrong");
    verdict.replaceChildren();
    html("strong", {}, verdict, right ? "Right. " : "Not quite. ");
    prose(why, verdict, "span");
  }
  if (choices[earlier]) show(earlier);
  else say(verdict, "");
};
