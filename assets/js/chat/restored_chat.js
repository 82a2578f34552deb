// Keeps the conversation and the typed question over a reload, in this tab's storage, limited in size and
// checked when read. The server stores none of it; texts are inserted as text, never as markup.
import { isRunning } from "./answer.js";
import { fineVote, votes } from "./blind_votes.js";

const KEY = "dppa.talk.1";
const MOST_TURNS = 20, MOST_ANSWERS = 20, LONGEST = 50_000, MOST_LETTERS = 1_000_000;
const NOTE = "stopped: the page was loaded anew";

// Storage may be full, off, or anybody's text.
const text = (value) => typeof value === "string" && value.length <= LONGEST;
const list = (value, most) => Array.isArray(value) && value.length <= most;
const numbers = (value) => list(value, LONGEST) && value.every(Number.isFinite);
const fineAnswer = (answer) => answer
  && ["target", "label", "recipe", "state", "text", "note", "prompt"].every((key) => text(answer[key]))
  && ["tokens", "seconds", "loss"].every((key) => Number.isFinite(answer[key]))
  && numbers(answer.ends) && numbers(answer.entropy) && answer.ends.length === answer.entropy.length;
const fineTurn = (turn) => turn && text(turn.id) && text(turn.prompt) && typeof turn.blind === "boolean"
  && ["max_tokens", "temperature", "top_p", "seed"].every((key) => Number.isFinite(turn.settings?.[key]))
  && text(turn.expected ?? "") && text(turn.outside ?? "")
  && list(turn.answers, MOST_ANSWERS) && turn.answers.length > 0 && turn.answers.every(fineAnswer)
  && (!turn.blind || turn.answers.length === 2);

// Unfinished answers have ended: the server stops them when a visitor leaves.
export const endTurn = (turn, note) => ({ ...turn,
  answers: turn.answers.map((answer) =>
    ({ ...answer, before: true, ...(isRunning(answer) && { state: "stopped", note }) })) });
const stored = () => { try { return JSON.parse(sessionStorage.getItem(KEY) ?? "null") ?? {}; } catch { return {}; } };
const kept = stored().typed;
/** The question that was being typed. */
export const typed = text(kept) ? kept : "";
export const recall = () => {
  const { turns, votes: voted } = stored();
  if (!list(turns, MOST_TURNS) || !turns.every(fineTurn)) return [];
  for (const { id } of turns) if (fineVote(voted?.[id])) votes.set(id, voted[id]);
  return turns.map((turn) => endTurn(turn, NOTE));
};
// The oldest questions are dropped if the size limit is exceeded.
export const remember = (turns) => {
  let kept = turns.slice(-MOST_TURNS), data = "";
  const box = document.querySelector("#prompt textarea")?.value ?? "";
  const packed = () =>
    JSON.stringify({ typed: box, turns: kept, votes: Object.fromEntries(kept.map(({ id }) => [id, votes.get(id)])) });
  while ((data = packed()).length > MOST_LETTERS && kept.length) kept = kept.slice(1);
  try {
    if (kept.length || box) sessionStorage.setItem(KEY, data);
    else sessionStorage.removeItem(KEY);
  } catch { /* this tab remembers nothing */ }
};
