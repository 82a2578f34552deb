// Answers of one model in memory, token by token: read in short pieces, so that newer wishes are heard between.

const PIECE = 16, POSITIONS = 512, VOCABULARY = 1024; // as assets/tab/kernels/model.ts
const BREATH_MS = 6;
const LIKELIEST = 8, TEMPERATURES = Array.from({ length: 20 }, (_, step) => (step + 1) / 10);

/** Thrown where a newer wish replaces this one. */
export const REPLACED = new Error("A newer wish replaced this one.");

/** @param {any} wasm @param {any} tokenizer */
export function writer(wasm, tokenizer) {
  const end = tokenizer.encode("<|end|>")[0];
  const channel = new MessageChannel();
  let breathed = performance.now(), wake = () => {};
  channel.port1.onmessage = () => wake();
  /** Let messages in, from time to time. @param {() => boolean} stale */
  async function breathe(stale) {
    if (performance.now() - breathed > BREATH_MS) {
      await new Promise((resolve) => { wake = () => resolve(null); channel.port2.postMessage(0); });
      breathed = performance.now();
    }
    if (stale()) throw REPLACED;
  }
  /**
   * Read tokens behind those read before; the logits from one of them on, a row each.
   * @param {number} model Its address. @param {number[]} tokens @param {number} before @param {number} from
   * @param {() => boolean} stale
   */
  async function read(model, tokens, before, from, stale) {
    const rows = [];
    for (let at = 0; at < tokens.length; at += PIECE) {
      await breathe(stale);
      const piece = tokens.slice(at, at + PIECE), first = Math.min(Math.max(from - at, 0), piece.length);
      new Uint32Array(wasm.memory.buffer, wasm.IDS.value, PIECE).set(piece);
      wasm.read(model, piece.length, before + at, first);
      const logits = new Float32Array(wasm.memory.buffer, wasm.LOGITS.value, VOCABULARY * (piece.length - first));
      for (let row = 0; row < piece.length - first; row++)
        rows.push(logits.slice(row * VOCABULARY, (row + 1) * VOCABULARY));
    }
    return rows;
  }
  const best = (/** @type {Float32Array} */ logits) => {
    let place = 0;
    for (let i = 1; i < logits.length; i++) if (logits[i] > logits[place]) place = i;
    return place;
  };
  /** ln of the sum of all weights at a temperature. @param {Float32Array} logits @param {number} t */
  function logSum(logits, t = 1) {
    const most = logits[best(logits)];
    let sum = 0;
    for (const x of logits) sum += Math.exp((x - most) / t);
    return most / t + Math.log(sum);
  }
  /** A token's loss in nats, its distribution's entropy in bits. @param {Float32Array} logits @param {number} token */
  function numbers(logits, token) {
    const all = logSum(logits);
    let nats = 0;
    for (const x of logits) nats += Math.exp(x - all) * (all - x);
    return { loss: Math.max(all - logits[token], 0), entropy: Math.max(nats / Math.LN2, 0) };
  }

  /** Refuse a prompt without room for an answer. @param {number} used Its tokens. */
  function checkRoom(used) {
    if (used >= POSITIONS)
      throw new RangeError(`The prompt takes ${used} tokens and the model reads at most ${POSITIONS}. Shorten it.`);
  }

  return {
    /**
     * Write a greedy answer. A draft is confirmed in one reading with the prompt, as far as it is right.
     * @param {number} model @param {string} text The prompt in its template.
     * @param {{limit: number, draft: number[], stale: () => boolean, grown: (answer: any) => void}} options
     */
    async answer(model, text, { limit, draft, stale, grown }) {
      const asked = tokenizer.encode(text), written = [], ends = [], entropy = [];
      checkRoom(asked.length);
      const most = Math.min(limit, POSITIONS - asked.length), begun = performance.now();
      const guess = draft.slice(0, Math.max(most - 1, 0));
      let rows = await read(model, [...asked, ...guess], 0, asked.length - 1, stale), loss = 0, last = false;
      for (let at = 0; at < most && !last; at++) {
        rows[at] ??= (await read(model, [written[at - 1]], asked.length + at - 1, 0, stale))[0];
        const logits = rows[at], token = best(logits), of = numbers(logits, token);
        last = token === end;
        if (token !== guess[at]) rows = rows.slice(0, at + 1); // the rest was read behind another token
        written.push(token);
        loss += of.loss;
        const raw = tokenizer.decode(last ? written.slice(0, -1) : written).replace(/\ufffd+$/, "").trimStart();
        ends.push([...raw].length);
        entropy.push(Math.round(1000 * of.entropy) / 1000);
        grown({ text: raw.trimEnd(), tokens: ends.length, ids: written, ends, entropy, loss: loss / ends.length,
          seconds: (performance.now() - begun) / 1000, last: last || at + 1 === most });
      }
    },
    /**
     * How a model reads a text as its answer: its loss, and the likeliest tokens behind it, as the server says it.
     * @param {number} model @param {string} text @param {string} reply @param {() => boolean} stale
     */
    async reading(model, text, reply, stale) {
      const asked = tokenizer.encode(text), body = tokenizer.encode(reply);
      checkRoom(asked.length + body.length);
      const rows = await read(model, [...asked, ...body], 0, asked.length - 1, stale), logits = rows[rows.length - 1];
      const losses = [...body, end].map((token, i) => logSum(rows[i]) - rows[i][token]);
      const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b).slice(0, LIKELIEST);
      return {
        loss: losses.reduce((sum, x) => sum + x, 0) / losses.length,
        next: order.map((token) => ({ text: token === end ? "" : tokenizer.decode([token]), end: token === end,
          logit: logits[token] })),
        log_sums: TEMPERATURES.map((t) => logSum(logits, t)),
      };
    },
  };
}
