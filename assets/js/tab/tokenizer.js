// Texts as token numbers and back, as the embedded models' tokenizer.json says: added tokens, single digits,
// GPT-2's pattern, byte-level BPE.

/** @typedef {{tokens: string[], merges: string[], added: Record<string, number>}} Vocabulary */

const PATTERN = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const ENCODER = new TextEncoder(), DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

/** The letter that stands for each byte, as GPT-2 chose them. */
function letters() {
  const table = [];
  for (let byte = 0, next = 256; byte < 256; byte++) {
    const plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    table.push(String.fromCodePoint(plain ? byte : next++));
  }
  return table;
}

/** @param {Vocabulary} vocabulary */
export function tokenizer({ tokens, merges, added }) {
  const letter = letters(), byteOf = new Map(letter.map((name, byte) => [name, byte]));
  const ids = new Map(tokens.map((name, id) => [name, id]));
  const order = new Map(merges.map((pair, place) => [pair, place]));
  const special = new Set(Object.values(added));
  const names = Object.keys(added).map((name) => name.replace(/[|\\{}()[\]^$+*?.]/g, "\\$&"));
  const apart = new RegExp(`(${names.join("|")})`);

  function pieces(/** @type {string} */ word) {
    let parts = [...ENCODER.encode(word)].map((byte) => letter[byte]);
    for (;;) {
      let best = -1, least = Infinity;
      for (let i = 0; i + 1 < parts.length; i++) {
        const place = order.get(`${parts[i]} ${parts[i + 1]}`) ?? Infinity;
        if (place < least) [best, least] = [i, place];
      }
      if (best < 0) return parts.map((part) => /** @type {number} */ (ids.get(part)));
      const [left, right] = [parts[best], parts[best + 1]], next = [];
      for (let i = 0; i < parts.length; i++) {
        const meets = parts[i] === left && parts[i + 1] === right;
        next.push(meets ? left + right : parts[i]);
        if (meets) i += 1;
      }
      parts = next;
    }
  }
  return {
    /** @param {string} text @returns {number[]} */
    encode: (text) =>
      text.split(apart).flatMap((part) => (Object.hasOwn(added, part) ? [added[part]]
        : part.split(/(\p{N})/u).flatMap((run) => (run.match(PATTERN) ?? []).flatMap(pieces)))),
    /** Without special tokens; an incomplete character is U+FFFD. @param {number[]} numbers */
    decode: (numbers) =>
      DECODER.decode(Uint8Array.from(numbers.filter((id) => !special.has(id))
        .flatMap((id) => [...tokens[id]].map((name) => byteOf.get(name) ?? 0)))),
  };
}
