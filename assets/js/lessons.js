// All modules that draw lessons, loaded together when the first lesson is opened.
import "./learn/hands_on/by_hand.js";
import "./learn/hands_on/break_it.js";
import "./learn/blocks/deltas.js";
import "./learn/blocks/matrices.js";
import "./learn/blocks/pruning.js";
import "./learn/blocks/significance.js";
import "./learn/blocks/amplification.js";
import "./learn/blocks/factors.js";
import "./learn/blocks/merged_answer.js";
import "./learn/blocks/conflict.js";
import "./learn/blocks/coefficients.js";
import "./learn/blocks/comparison.js";
import "./learn/blocks/open_questions.js";
import "./learn/hands_on/playground.js";

export { build } from "./learn/frame.js";
