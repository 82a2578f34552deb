// The guided way: at each station a question, one action, and what followed. Targets are parts of the stage.
import { byId } from "../base/shapes.js";
import { pinnedNow } from "../pinned/answer.js";
import * as controls from "../session/controls.js";

const says = () => `It says: “${pinnedNow().answer?.text ?? ""}”`;
const isWritten = () => byId("pinned-text").dataset.state === "whole";
const isPressed = (/** @type {string} */ name) =>
  [...document.querySelectorAll('.shown-merges [aria-pressed="true"]')]
    .some(({ textContent }) => textContent?.startsWith(name));
const keeps = () => `It keeps ${document.querySelector(".kept-number")?.textContent}. `;

/**
 * `right` is the place of the right option; one that `hides` shows its target after the prediction; without `done`
 * reading is enough.
 * @type {{at: string, title: string, hides?: boolean, ask: string, options: string[], right: number, act: string,
 *   done?: () => boolean, outcome: () => string}[]}
 */
export const STEPS = [
  { at: "#pinned", title: "One base, three models", hides: true, right: 0,
    ask: "Math, finance and law were trained from one base. Who tells the tone of a headline?",
    options: ["Finance, and the merge", "All three, and the base"],
    act: "Read the five answers.",
    outcome: () => "The merge has what finance learned, and what math and law learned as well." },
  { at: "#sliders-box", title: "Prune", right: 1,
    ask: "At 95 % only the largest twentieth of each model's changes stays. The answer …",
    options: ["stays right", "goes wrong"],
    act: "Drag the pruning rate to 95 %.",
    done: () => controls.state.rate >= 94 && controls.pruner() !== null && isWritten(), outcome: says },
  { at: "#verdict", title: "One answer is no measure", hides: true, right: 0,
    ask: "How much of what the three models know is left now?",
    options: ["About a third", "About two thirds"],
    act: "Read the large number.",
    outcome: () => `${keeps()}It counts many questions; one broken answer could be chance.` },
  { at: "#plots", title: "A rate for every matrix", hides: true, right: 1,
    ask: "DPPA prunes a matrix less where its changes stand out. The layers keep …",
    options: ["all the same share", "very different shares"],
    act: "Choose law beside “Matrices of”.",
    done: () => controls.state.focus === "zoo:law",
    outcome: () => `Of law: ${document.querySelector(".plot-kept h3")?.textContent}.` },
  { at: "#sliders-box", title: "Amplify", right: 1,
    ask: "What stays is shorter than the whole change was. Which half mends this answer if it grows?",
    options: ["The strongest half", "The next half"],
    act: "Set the factor of the next half to 3.",
    done: () => (controls.factorsFor(controls.state.factors)[1] ?? 1) >= 2.9 && isWritten(), outcome: says },
  { at: "#verdict", title: "Search", hides: true, right: 1,
    ask: "A search tried as many settings for one factor as for DPPA's two. At 95 % more is kept by …",
    options: ["one factor", "DPPA"],
    act: "Press DPPA searched, in the row of four.",
    done: () => isPressed("DPPA"),
    outcome: () => `${keeps()}Rates that differ by matrix need factors: without, magnitude's single rate keeps more. `
      + "The search also chose how far the rates differ, the strength. At 80 % all hardly differ." },
  { at: "#verdict", title: "When not to prune", hides: true, right: 1,
    ask: "And all changes added whole, without pruning, keep …",
    options: ["less than DPPA", "more than DPPA"],
    act: "Press whole, in the row of four.",
    done: () => isPressed("whole"),
    outcome: () => `${keeps()}${document.querySelector("#verdict .when")?.textContent}` },
  { at: "#models-box", title: "Coefficients", right: 0,
    ask: "A coefficient weighs a whole model, a factor a band of its changes. Without math the merge loses …",
    options: ["what math knew", "some of everything"],
    act: "Drag math to 0, a third from the left; below 0 it is subtracted.",
    done: () => controls.state.models
      .some(({ ref, coefficient }) => ref === "zoo:math" && Math.abs(coefficient) <= 0.05),
    outcome: () => "The headline's answer stays as it was. Ask a question of math: that one goes wrong." },
];
