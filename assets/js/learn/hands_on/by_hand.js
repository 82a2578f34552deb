// The walk of one small matrix through a merge, with numbers that a reader edits. The tab looks the steps of the usual
// numbers up; the server computes all others.
import { block, did, solved } from "../frame.js";
import { solvedOf } from "../progress.js";
import { onGrid } from "./by_hand_grid.js";
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

const find = (args, value) => (args.start === value.start ? onGrid(value.grid, args) : null);
block("by-hand",
  (given) => walk({ ...given, find, edit: buildEditor, did, kept, keep, solved, before: solvedOf("by-hand") }),
  { tasks: true });
