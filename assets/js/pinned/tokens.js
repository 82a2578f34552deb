// The text of an answer, split into its tokens, and the words that differ from an earlier text.

/** Tokens by their ends, counted in characters. @param {{text: string, ends: number[], entropy: number[]}} answer */
export const pieces = (answer) => {
  const letters = [...answer.text];
  let start = 0;
  return answer.ends.map((end, i) => {
    const from = Math.min(start, end);
    const piece = letters.slice(start, end).join("");
    start = Math.max(start, end);
    return { piece, from, end, bits: answer.entropy[i] };
  });
};

/** Words with their places, counted in characters. @param {string} text */
const words = (text) => {
  const places = [];
  let at = 0;
  for (const part of text.split(/(\s+)/)) {
    const length = [...part].length;
    if (part.trim()) places.push({ word: part, from: at, end: at + length });
    at += length;
  }
  return places;
};

/**
 * Places of the words of `text` that are not in the longest common sequence with `before`.
 * @param {string} before @param {string} text @returns {{from: number, end: number}[]}
 */
export const changedWords = (before, text) => {
  const old = words(before).map(({ word }) => word), now = words(text);
  const common = Array.from({ length: old.length + 1 }, () => new Array(now.length + 1).fill(0));
  for (let i = old.length - 1; i >= 0; i--)
    for (let j = now.length - 1; j >= 0; j--)
      common[i][j] = old[i] === now[j].word ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
  const changed = [];
  for (let i = 0, j = 0; j < now.length;) {
    if (i < old.length && old[i] === now[j].word) { i++; j++; }
    else if (i < old.length && common[i + 1][j] >= common[i][j + 1]) i++;
    else changed.push(now[j++]);
  }
  return changed;
};
