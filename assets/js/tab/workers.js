// The workers of a tab: one merges and writes; where there is room, a second one writes for two unmerged models.

const SHARED = 2, ENOUGH_GB = 4; // with all models, two workers would take more than 100 MB
const started = () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
/** Whether there are memory and a core for a second one: not on a phone. */
const isRoomy = () => navigator.hardwareConcurrency > 1 && !matchMedia("(pointer: coarse)").matches
  && (/** @type {any} */ (navigator).deviceMemory ?? ENOUGH_GB) >= ENOUGH_GB;

/**
 * Begin the first one. The second begins once a model is asked alone, with copies of what the first one holds.
 * @param {any} files As `open` in worker.js has them. @param {(message: any) => void} take Called with every message.
 */
export function workers(files, take) {
  const first = started(), fetched = /** @type {Set<string>} */ (new Set());
  let second = /** @type {Worker | null} */ (null), ofSecond = /** @type {string[]} */ ([]), isShared = !isRoomy();
  first.onerror = (event) => take({ kind: "failed", why: event.message ?? "The worker did not start." });
  first.onmessage = ({ data }) => {
    if (data.kind === "merged") for (const model of data.models) fetched.add(model);
    if (data.channel === "share") { if (data.kind === "copies") begin(data); } else take(data);
  };
  first.postMessage({ kind: "open", files });

  function begin(/** @type {TabShare} */ share) {
    second = started();
    second.onmessage = ({ data }) => {
      if (data.kind === "opened") ofSecond = share.copies.map(([model]) => model);
      take(data);
    };
    second.postMessage({ kind: "open", share }, share.copies.map(([, bits]) => bits.buffer));
  }
  return {
    /** Models that are in the tab, the base first. */
    fetched,
    /** @param {{channel: string, id: number} & TabWish} wish */
    send(wish) {
      const isOfSecond = !wish.merge && ofSecond.includes(wish.model ?? "");
      (isOfSecond && second ? second : first).postMessage(wish);
      if (isShared || !wish.model || fetched.size < SHARED) return;
      isShared = true;
      const models = [...fetched].slice(0, SHARED);
      first.postMessage({ channel: "share", models, copies: models });
    },
    end() { first.terminate(); second?.terminate(); },
  };
}
