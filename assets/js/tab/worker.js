// Merges and answers in the visitor's tab, beside the page. One wish at a time, merges before models alone; the newest
// one waits, and what is young is finished before it: at sixty wishes a second nothing else would ever be finished.
import { weights } from "./files.js";
import { memory } from "./memory.js";
import { tokenizer } from "./tokenizer.js";
import { treatments } from "./treatments.js";
import { REPLACED, writer } from "./writer.js";

const YOUNG_MS = 120, GROWTH_MS = 30;
const post = (/** @type {any} */ message, /** @type {Transferable[]} */ moved = []) =>
  globalThis.postMessage(message, { transfer: moved });

/** @type {any} */
let tab = null;
/** The newest wish of each channel, in the order in which they came. @type {Map<string, any>} */
const waiting = new Map();
let running = false;

/**
 * @param {{wasm: string, manifest: string, models: Record<string, string>, integrity?: Record<string, string>}} files
 *   Addresses, and hashes of the first two; the manifest has those of the models.
 * @param {TabShare} [share] What another worker has of them already.
 */
async function open(files, share) {
  const { loops = "", manifest: text = "" } = files?.integrity ?? {};
  const [module, manifest] = share ? [share.module, share.manifest] : await Promise.all([
    WebAssembly.compileStreaming(fetch(files.wasm, { integrity: loops })),
    fetch(files.manifest, { integrity: text }).then((response) => response.json()),
  ]);
  const { exports: wasm } = await WebAssembly.instantiate(module);
  const held = memory(wasm, manifest);
  for (const [model, bits] of share?.copies ?? []) held.put(model, bits);
  if (share) post({ kind: "opened" });
  return { module, manifest, held, files, writes: writer(wasm, tokenizer(manifest.vocabulary)) };
}

/** Fetch models, all at once. @param {string[]} missing @param {string} channel */
async function load(missing, channel) {
  const { held, files, manifest } = await tab;
  let bytes = 0;
  const fetched = (/** @type {string} */ model, base = null) =>
    weights({ url: files.models[model], sha256: manifest.sha256[model] }, base, (piece) => {
      bytes += piece;
      post({ channel, kind: "progress", bytes, models: missing.length });
    });
  const base = held.has(manifest.base) ? held.weightsOf(manifest.base) : fetched(manifest.base);
  await Promise.all(missing.map(async (model) =>
    held.put(model, await (model === manifest.base ? base : fetched(model, base)))));
}

/**
 * Posts an answer as it grows, no oftener than a page can draw it.
 * @param {string} channel @param {number} id
 */
function growing(channel, id) {
  let posted = performance.now();
  return (/** @type {any} */ answer) => {
    const now = performance.now();
    if (!answer.last && now - posted < GROWTH_MS) return;
    posted = now;
    post({ channel, id, kind: "words", ...answer });
  };
}

/** @param {any} wish */
async function fulfil(wish) {
  const { channel, id, merge, model, models = [model], prompt, reply, limit, draft, copies } = wish;
  const begun = performance.now();
  const stale = () => waiting.has(channel) && performance.now() - begun > YOUNG_MS;
  const { module, held, manifest, writes } = await tab;
  const used = new Set([manifest.base, ...(merge?.models.map((/** @type {any} */ part) => part.model) ?? models)]);
  const missing = [...used].filter((model) => !held.has(model));
  if (missing.length) await load(missing, channel);
  const started = performance.now();
  const parts = merge ? treatments(merge, manifest) : [];
  if (merge) held.merge(parts);
  const now = performance.now(), address = held.at(merge ? "merged" : model);
  post({ channel, id, kind: "merged", ms: now - started, at: performance.timeOrigin + now, models: used });
  if (copies) {
    const pairs = copies.map((/** @type {string} */ name) => [name, held.weightsOf(name)]);
    post({ channel, id, kind: "copies", module, manifest, copies: pairs }, pairs.map(([, bits]) => bits.buffer));
  }
  if (reply !== undefined)
    post({ channel, id, kind: "reading", ...await writes.reading(address, prompt, reply, stale) });
  else if (prompt !== undefined)
    await writes.answer(address, prompt, { limit, draft: draft ?? [], stale, grown: growing(channel, id) });
  const ranked = parts.filter(({ planned }) => planned.length && !merge.counts); // the server draws what it counted
  if (ranked.length) post({ channel, id, kind: "plans", plans: Object.fromEntries(ranked.map((part) =>
    [part.model, { planned: part.planned, ...held.measured(part.model, part.planned) }])) });
}

async function run() {
  if (running) return;
  running = true;
  while (waiting.size) {
    const wishes = [...waiting.values()], wish = wishes.find(({ merge }) => merge) ?? wishes[0], { channel } = wish;
    waiting.delete(channel);
    try {
      await fulfil(wish);
      post({ channel, id: wish.id, kind: "fulfilled" });
    } catch (error) {
      const kind = error === REPLACED ? "replaced" : error instanceof RangeError ? "refused" : "failed";
      post({ channel, id: wish.id, kind, why: error.message });
    }
  }
  running = false;
}

globalThis.onmessage = ({ data }) => {
  if (data.kind === "open") tab = open(data.files, data.share);
  else {
    const { channel } = data, older = waiting.get(channel);
    if (older) post({ channel, id: older.id, kind: "replaced" });
    waiting.delete(channel);
    waiting.set(channel, data);
    run();
  }
};
