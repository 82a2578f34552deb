// Kept counts of plans that the tab does not make, asked of the server: components/server/tab_files.py answers.

const LATE_MS = 5000, MOST_KNOWN = 50;
/** Recipe as text -> its counts; none if the server does not answer. @type {Map<string, Promise<any>>} */
const known = new Map();
/** Channel -> its newest wish that waits while counts are on their way. @type {Map<string, any>} */
const newest = new Map();
/** Channels for which counts are on their way -> whether a wish without counts was sent since. */
const asking = /** @type {Map<string, boolean>} */ (new Map());

/** @param {string} address @param {string} base @param {TabMerge} merge */
function countsOf(address, base, { method, asks, models }) {
  const body = JSON.stringify({ dppa: 1, base, method, ...asks,
    models: models.map(({ model, levels }) => ({ model, levels })) });
  if (known.size > MOST_KNOWN) known.clear();
  if (!known.has(body)) known.set(body, fetch(address, { method: "POST", body, signal: AbortSignal.timeout(LATE_MS),
    headers: { "Content-Type": "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : Promise.reject())).catch(() => { known.delete(body); }));
  return known.get(body);
}

/**
 * Send a wish, with the counts of its merge if that asks for some: one request of a channel at a time, then the newest
 * wish that waits.
 * @param {any} wish @param {{address: string, base: string}} server @param {(wish: any) => void} send
 * @param {(id: number, kind: "replaced" | "failed") => void} end Called for a wish that is not sent.
 */
export async function sendCounted(wish, { address, base }, send, end) {
  const { channel } = wish, asks = Boolean(wish.merge?.asks), isAsking = asking.has(channel);
  if (newest.has(channel)) end(newest.get(channel).id, "replaced");
  newest.delete(channel);
  if (!asks) send(wish);
  if (isAsking && !asks) asking.set(channel, true);
  if (asks) newest.set(channel, wish);
  if (isAsking) return;
  for (let next = newest.get(channel); next; next = newest.get(channel)) {
    newest.delete(channel);
    asking.set(channel, false);
    const counts = await countsOf(address, base, next.merge), isPassed = asking.get(channel);
    if (counts && !isPassed) send({ ...next, merge: { ...next.merge, counts } });
    else end(next.id, isPassed ? "replaced" : "failed");
  }
  asking.delete(channel);
}
