// Packed weights: fetched with progress, unpacked, checked by their hash, and kept by the browser.
// dppa_core/tab/packing.py packs them.

const CACHE = "dppa-weights-1";

/** The gzip file at an address, unpacked. @param {string} url @param {(bytes: number) => void} progress */
export async function unzipped(url, progress = () => {}) {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`${url} is not there (${response.status}).`);
  const count = new TransformStream({
    transform: (chunk, out) => { progress(chunk.length); out.enqueue(chunk); },
  });
  const stream = response.body.pipeThrough(count).pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Put the two halves of each number together again. @param {Uint8Array} planes */
function joined(planes) {
  const count = planes.length >> 1, numbers = new Uint16Array(count);
  for (let i = 0; i < count; i++) numbers[i] = (planes[i] << 8) | planes[count + i];
  return numbers;
}

/** Steps from the base become weights. @param {Uint16Array} steps Changed. @param {Uint16Array} base */
function climb(steps, base) {
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

/**
 * A model's weights as bfloat16. What the browser has kept was checked before; a page without https has only the
 * browser's usual cache.
 * @param {{url: string, sha256: string}} file
 * @param {Promise<Uint16Array> | null} base Null for the base itself.
 * @param {(bytes: number) => void} progress Called with the bytes of each piece.
 */
export async function weights({ url, sha256 }, base, progress) {
  const kept = await globalThis.caches?.open(CACHE).catch(() => null);
  const key = `${new URL(url).origin}/${sha256}`, earlier = await kept?.match(key);
  if (earlier) return new Uint16Array(await earlier.arrayBuffer());
  const numbers = joined(await unzipped(`${url}?${sha256.slice(0, 16)}`, progress));
  if (base) climb(numbers, await base);
  if ((await digest(numbers) ?? sha256) !== sha256) throw new Error(`${url} is not the file that was announced.`);
  await kept?.put(key, new Response(numbers)).catch(() => null); // a full disk is no trouble
  return numbers;
}
