// The curve of an answer over one control, measured in the tab. components/views/see/answer_curve.py is its rule.
import * as controls from "../session/controls.js";
import { nearest } from "../tab/planner.js";
import { rendered, wishFor } from "../tab/words.js";

/** @typedef {[number, number, string]} Point Value of the control, loss of the reference answer, the merge's answer. */
/** @typedef {{values: number[], step: number}} Axis Values to begin with, and the width that is narrow enough. */

const four = (/** @type {number} */ x) => Math.round(1e4 * x) / 1e4;

/**
 * Neighbours between which the answer first differs from the one at `start`, upwards, then downwards.
 * @param {Point[]} points By rising value. @param {number} start @returns {[number, number][]}
 */
export function firstChanges(points, start) {
  const usual = points.find(([x]) => x === start)?.[2];
  const up = points.filter(([x]) => x >= start), down = points.filter(([x]) => x <= start).reverse();
  return [up, down].flatMap((side) => {
    const at = side.findIndex(([, , text]) => text !== usual);
    return at < 1 ? [] : [/** @type {[number, number]} */ ([side[at - 1][0], side[at][0]].sort((a, b) => a - b))];
  });
}

/** The middles of first changes that are still wide. @param {Point[]} points @param {Axis} axis */
const narrowed = (points, { values: [start], step }) =>
  firstChanges(points, start).filter(([low, high]) => high - low > step + 1e-9)
    .map(([low, high]) => four(nearest(four((low + high) / 2) / step) * step));

/**
 * A merge with one control set to another value.
 * @param {TabMerge} merge @param {{axis: string, model: string, band: number}} over @param {number} x
 * @returns {TabMerge}
 */
function varied(merge, { axis, model, band }, x) {
  const models = merge.models.map((part) => {
    if (axis === "rate") return { ...part, levels: controls.levels(x) };
    if (axis === "factor" && (controls.state.linked || part.model === model))
      return { ...part, factors: part.factors.with(band, x) };
    return axis === "coefficient" && part.model === model
      ? { ...part, coefficients: part.coefficients.map(() => x) } : part;
  });
  return { ...merge, models: models.filter(({ coefficients }) => coefficients.some((c) => c !== 0)) };
}

/** @param {any} wish @returns {Promise<any>} Its reading, or its whole answer. */
const fulfilled = (wish) => new Promise((resolve, reject) =>
  wishFor("curve", { ...wish, key: "" }, (message) => {
    if (message.kind === "reading" || message.last) resolve(message);
    else if (["failed", "refused", "replaced"].includes(message.kind)) reject(new Error(message.why));
  }));

/**
 * Measure it: first far apart, then close where the answer changes.
 * @param {{axis: string, model: string, band: number}} over @param {Axis} axis @param {TabMerge} merge
 * @param {string} question @param {{answer: string} | undefined} item Without one, `model` writes the reference answer.
 * @param {(points: Point[], reference: string, isCoarse: boolean) => boolean} grown Whether to go on; called after
 *   every point.
 */
export async function measured(over, axis, merge, question, item, grown) {
  const prompt = rendered(question), points = /** @type {Point[]} */ ([]);
  const reference = item?.answer ?? (await fulfilled({ model: over.model, prompt })).text;
  let draft = [];
  for (let queue = axis.values; queue.length; queue = narrowed(points, axis))
    for (const x of queue) {
      const at = varied(merge, over, x), { loss } = await fulfilled({ merge: at, prompt, reply: reference });
      const { text, ids } = await fulfilled({ merge: at, prompt, draft });
      draft = ids;
      points.push([x, loss, text]);
      points.sort(([a], [b]) => a - b);
      if (!grown([...points], reference, points.length < axis.values.length)) return;
    }
}
