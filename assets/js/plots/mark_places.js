// Where the marks of a plot stand: series side by side, and the room around marks that can be clicked.
const FINGER = 12, LEAST = 5, WIDEST = 26, NEAR = 6; // pixels

/** The width of a bar. @param {any} chart @param {any} at */
export const bandOf = (chart, at) => (at.room ? Math.min((at.room * 0.8) / chart.series.length, WIDEST) : 0);

/**
 * Pixels by which the marks of a series stand beside their place.
 * @param {any} chart @param {number} place of the series @param {any} at
 */
export function shiftOf(chart, place, at) {
  const many = chart.series.length;
  const numbers = chart.series[place].line ? 0 : chart.apart ?? 0;
  const apart = at.room ? Math.min(NEAR, at.room / many) : numbers;
  return (place - (many - 1) / 2) * (chart.kind === "bars" ? bandOf(chart, at) : apart);
}

/**
 * The room around a mark that can be clicked: a finger's; where another mark is near, half of the way to it.
 * @param {any} chart @param {any} at places of numbers, in pixels
 * @returns {(x: number, y: number) => number} the radius around a place
 */
export function fingerRoom(chart, at) {
  /** @type {number[][]} */
  const marks = (chart.places ? chart.series : []).flatMap(
    (/** @type {any} */ { line, x, y }, /** @type {number} */ n) =>
      (line ? [] : x.map((/** @type {any} */ value, /** @type {number} */ i) =>
        [at.x(value) + shiftOf(chart, n, at), at.y(y[i])])));
  return (x, y) => marks.map(([a, b]) => Math.hypot(a - x, b - y) / 2).filter((way) => way > 0)
    .reduce((least, way) => Math.min(least, Math.max(way, LEAST)), FINGER);
}
