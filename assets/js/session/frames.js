// The drawing loop: one animation frame draws everything, however many controls have moved.
/** @typedef {(input: number | null) => void} Painter Draws; input: the time stamp of the event that led here. */

/** @type {Painter[]} */
const painters = [];
/** @type {(() => void)[]} */
const followers = [];
/** The last 500 draws, for measurements. @type {object[]} */
export const paints = [];
let frame = 0;
/** @type {number | null} */
let newestInput = null;

// User events are seen here first, to measure the delay from their time stamp.
document.addEventListener("input", (event) => { newestInput = event.timeStamp; }, true);

/** At every frame from now on. @param {Painter} painter */
export const paint = (painter) => { painters.push(painter); redraw(); };
/** After all painters of every frame. @param {() => void} follower */
export const afterFrame = (follower) => { followers.push(follower); };
export const redraw = () => { if (!frame) frame = requestAnimationFrame(draw); };

function draw() {
  frame = 0;
  const input = newestInput;
  newestInput = null;
  for (const painter of painters) painter(input);
  for (const follower of followers) follower();
}
