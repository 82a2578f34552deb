// Walks of the usual numbers for a grid of rates and factors, fetched once: dppa_core/teaching/by_hand/grid.py.
import { unzipped } from "../../tab/files.js";

const AGAIN_MS = 5000;
/** @type {Map<string, Promise<void>>} */
const coming = new Map();
/** @type {Map<string, any>} */
const grids = new Map();

/** Settled once the grid of an address is here. @param {string} url */
export function fetchGrid(url) {
  let promise = coming.get(url);
  if (!promise) {
    promise = unzipped(url).then((bytes) => { grids.set(url, JSON.parse(new TextDecoder().decode(bytes))); });
    promise.catch(() => setTimeout(() => coming.delete(url), AGAIN_MS)); // a later move tries again
    coming.set(url, promise);
  }
  return promise;
}

/**
 * The walk of some settings, from the grid of an address; null if it is not here yet, or has no such walk.
 * @param {string} url
 * @param {any} args As the block takes them.
 */
export function onGrid(url, { start, rate, factor, first, second, weights }) {
  if (Object.keys(weights).length) return null;
  fetchGrid(url).catch(() => {});
  const grid = grids.get(url);
  if (grid?.start !== start || grid.settings.first !== first || grid.settings.second !== second) return null;
  const { rates, factors, parts, steps, ...walk } = grid;
  const at = (/** @type {number[]} */ values, /** @type {number} */ value) =>
    values.findIndex((one) => Math.abs(one - value) < 1e-9);
  const row = at(rates, rate), column = at(factors, factor);
  if (row < 0 || column < 0) return null;
  return { ...walk, grid: url, source: "tab", settings: { rate, factor, first, second },
    weights: structuredClone(walk.weights), // a reader edits them
    steps: steps[row * factors.length + column].map((/** @type {number} */ i) => parts[i]) };
}
