// The walk of one small matrix through a merge, with numbers that a reader edits; the server computes the steps.
import { block, did, solved } from "../frame.js";
import { solvedOf } from "../progress.js";
import { buildEditor } from "./by_hand_numbers.js";
import { walk } from "./by_hand_walk.js";

const KEPT = "dppa-by-hand";
// Numbers and step last for as long as the tab does.
function kept() {
  try { return JSON.parse(sessionStorage.getItem(KEPT) ?? "null"); } catch { return null; }
}
function keep(value) {
  try { sessionStorage.setItem(KEPT, JSON.stringify(value)); } catch { /* a browser that keeps nothing */ }
}

block("by-hand",
  (given) => walk({ ...given, edit: buildEditor, did, kept, keep, solved, before: solvedOf("by-hand") }),
  { tasks: true });
