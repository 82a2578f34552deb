// What a curve of the pinned answer says in words.
import { three, THIN } from "../base/shapes.js";

/** A value of the varied control. @param {{axis: string}} over @param {number} x */
export const amount = (over, x) =>
  (over.axis === "rate" ? `${+(100 * x).toFixed(1)}${THIN}%` : `${THIN}×${THIN}${three(x)}`.trim());
/**
 * Where the answer changes. While more is measured, no value is named over which it does not.
 * @param {{axis: string}} over @param {{start: number, points: any[], changes: [number, number][]}} curve @param
 *   {boolean} more
 */
export function changesIn(over, { start, points, changes }, more) {
  const [up,
    down] = changes.map(([low, high]) =>
      (low >= start ? `between ${amount(over, low)} and ${amount(over, high)}` : `below ${amount(over, high)}`));
  if (up) return `The answer first changes ${up}${down ? `, and ${down}` : ""}.${more ? " Measuring more …" : ""}`;
  if (more) return points.length > 1 ? "No change so far. Measuring more …" : "Measuring …";
  return `The answer is the same from ${amount(over, points[0][0])} to ${amount(over, points[points.length - 1][0])}.`;
}
