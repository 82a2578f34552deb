// Packed weights: fetched with progress, unpacked, checked by their hash, and kept by the browser.
// dppa_core/tab/packing.py packs them.

const CACHE = "dppa-weights-1";

/** The gzip file at an address, unpacked. @param {string} url @param {(bytes: number) => void} progress */
async function unzipped(url, progress) {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`${url} is not there (${response.status}).`);
  const count = new TransformStream({
    transform: (chunk, out) => { progress(chunk.length); out.enqueue(chunk); },
  });
  const stream = response.body.pipeThrough(count).pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Put the two halves of each number together again. @param {Uint8Array} planes @param {Uint16Array} out */
function joined(planes, out) {
  const count = out.length;
  for (let i = 0; i < count; i++) out[i] = (planes[i] << 8) | planes[count + i];
}

/** Steps from the base become weights. @param {Uint16Array} steps Changed. @param {Uint16Array} base */
function climbed(steps, base) {
  for (let i = 0; i < steps.length; i++) {
    const from = base[i], place = from ^ (from & 0x8000 ? 0xffff : 0x8000), step = steps[i];
    const to = (place + ((step >>> 1) ^ -(step & 1))) & 0xffff;
    steps[i] = to ^ (to & 0x8000 ? 0x8000 : 0xffff);
  }
}

/** SHA-256 as hexadecimal digits. A page without https cannot compute it: gzip's own check must do. */
async function digest(/** @type {Uint16Array} */ bytes) {
  const hash = await globalThis.crypto.subtle?.digest("SHA-256", /** @type {any} */ (bytes));
  return hash && [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Kept weights; a page without https has no such cache, and asks the browser's own. */
const cache = () => globalThis.caches?.open(CACHE).catch(() => null);

/**
 * Fill a model's place in memory.
 * @param {Uint16Array} out @param {Uint16Array | null} base Null for the base itself.
 * @param {{url: string, sha256: string}} file
 * @param {(bytes: number) => void} progress Called with the bytes of each piece.
 */
export async function fill(out, base, { url, sha256 }, progress) {
  const kept = await cache(), key = `${new URL(url).origin}/${sha256}`, earlier = await kept?.match(key);
  if (earlier) {
    const bytes = new Uint8Array(await earlier.arrayBuffer());
    new Uint8Array(out.buffer, out.byteOffset, bytes.length).set(bytes);
    return;
  }
  joined(await unzipped(url, progress), out);
  if (base) climbed(out, base);
  if ((await digest(out) ?? sha256) !== sha256) throw new Error(`${url} is not the file that was announced.`);
  await kept?.put(key, new Response(out.slice())).catch(() => null); // a full disk is no trouble
}
