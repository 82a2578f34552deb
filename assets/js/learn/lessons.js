// All modules that draw lessons, loaded together when the first lesson is opened.
import "./blocks/by_hand.js";
import "./blocks/break_it.js";
import "./blocks/deltas.js";
import "./blocks/matrices.js";
import "./blocks/pruning.js";
import "./blocks/significance.js";
import "./blocks/amplification.js";
import "./blocks/factors.js";
import "./blocks/conflict.js";
import "./blocks/coefficients.js";
import "./blocks/comparison.js";
import "./blocks/open_questions.js";

export { build } from "./frame.js";
