// The room around marks that can be clicked: a finger's; where another mark is near, half of the way to it.
const FINGER = 12, LEAST = 5; // pixels

/**
 * @param {any} chart @param {any} at places of numbers, in pixels
 * @returns {(x: number, y: number) => number} the radius around a place
 */
export function fingerRoom(chart, at) {
  /** @type {number[][]} */
  const marks = (chart.places ? chart.series : []).flatMap((/** @type {any} */ { line, x, y }) =>
    (line ? [] : x.map((/** @type {any} */ value, /** @type {number} */ i) => [at.x(value), at.y(y[i])])));
  return (x, y) => marks.map(([a, b]) => Math.hypot(a - x, b - y) / 2).filter((way) => way > 0)
    .reduce((least, way) => Math.min(least, Math.max(way, LEAST)), FINGER);
}
