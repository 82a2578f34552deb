// What every part of the page works with: the values from the server, the drawing loop, and the elements
// that Gradio mounts and a script fills.

// --- values from the server, and its current work ----------------------------------------------
/**
 * Shared by all modules; each sets the values it receives.
 * @typedef {{kind: string, modules: string[], layers: number[], kinds: string[], count: number} & Record<string, any>}
 *   Table
 */
export const server = {
  /** All methods: texts, settings, what is known before a merge. @type {any[]} */
  methods: [],
  /** Reference -> decoded table. @type {Record<string, any>} */
  tables: {},
  /**
   * Reference -> its label, colour, highest rank, and what its spectrum takes.
   * @type {Record<string, {label: string, colour: string, few_bits?: string, rank?: number,
   *   spectrum?: {matrices: number, time: string}}>}
   */
  names: {},
  /** Threshold of outliers as a multiple of the mean. @type {number | null} */
  outliers: null,
  trouble: "",
  /** The last exact plan. @type {any} */
  exact: null,
  /** The current measuring of a newly chosen significance. */
  measuring: "",
  /** @type {Record<string, any>} */
  service: { models: "starting", merged: false },
  /**
   * What a link opens beside its settings, and the pair that a button compares; each part takes its own.
   * @type {{question?: string, tab?: string, pane?: string, directions?: [string, string]}}
   */
  opens: {},
  /** The pinned question. */
  question: "",
  /** Recipe of the newest merged answer. @type {string | null} */
  answered: null,
  /** Recipe of the last scored merge. @type {string | null} */
  scored: null,
  /** What the last scored merge keeps. @type {{recipe: string | null, text: string, questions: number} | null} */
  kept: null,
  /** Number of the state being sent to the server. */
  restoring: 0,
  /**
   * A visitor's own questions by list, in the place of the examples.
   * @type {{model: string, label: string, prompts: string[], lines: string[]}[]}
   */
  own: [],
  /** The questions picked last in the chat and for an attribution; Python reads them. */
  picked: "", asked: "",
  /** Part -> its current activity. @type {Record<string, string>} */
  activity: { chat: "idle", score: "idle", see: "idle", merge: "idle", conflict: "idle", drill: "idle",
    losses: "idle" },
};

/** @param {string} part @param {string} activity */
export const setActivity = (part, activity) => { server.activity[part] = activity; redraw(); };

// --- the queue: Gradio writes "queue: 1/2" into a hidden element while an event waits ---------
const SETTLED_MS = 400; // a short wait without other visitors is not shown as a queue
let /** @type {any} */ since = null;
/** @param {string} part */
function before(part) {
  const text = document.getElementById(`${part}-place`)?.textContent ?? "";
  return Number(/queue: (\d+)\//.exec(text)?.[1] ?? 0);
}
export const waits = () => {
  const part = Object.keys(server.activity).find((name) => server.activity[name] === "waiting");
  if (!part) { since = null; return ""; }
  since ??= performance.now();
  setTimeout(redraw, SETTLED_MS);
  const count = performance.now() - since < SETTLED_MS ? 0 : before(part);
  return count ? `waiting, ${count} before it …` : "waiting for its turn …";
};

// --- the drawing loop: one animation frame draws everything, however many controls have moved --
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

// --- parts ---------------------------------------------------------------------------------------
/**
 * The input of a part. Values are JSON text: Gradio copies a structure number by number at every event.
 * @typedef {object} Part
 * @property {HTMLElement} host Where it draws.
 * @property {HTMLElement} outer Its container in Gradio or the page.
 * @property {(event: string) => void} trigger Tells Python of an event.
 * @property {() => any} get The current value.
 * @property {(value: any) => void} put Gives Python a value.
 * @property {(callback: (value: any) => void) => void} watch Calls back with every value from Python.
 */

/** @type {Record<string, (part: Part) => void>} */
const parts = {};
/** Those that Gradio has mounted before their module is here. @type {Record<string, () => void>} */
const early = {};

/**
 * Registers the function that builds a part once Gradio has mounted it.
 * @param {string} name @param {(part: Part) => void} build
 */
export const part = (name, build) => {
  parts[name] = build;
  early[name]?.();
};

/** @param {any} text */
const parse = (text) => (typeof text === "string" && text ? JSON.parse(text) : null);

/**
 * Called by Gradio for each part.
 * @param {string} name @param {HTMLElement} element @param {{value: any}} props
 * @param {(event: string) => void} trigger @param {(name: string, callback: () => void) => void} watch
 */
export const mount = (name, element, props, trigger, watch) => {
  if (!parts[name]) {
    early[name] = () => mount(name, element, props, trigger, watch);
    return;
  }
  const host = /** @type {HTMLElement} */ (element.querySelector(`[data-part="${name}"]`));
  const outer = /** @type {HTMLElement} */ (element.closest(`#${CSS.escape(host.dataset.outer || name)}`) || element);
  parts[name]({
    host, outer, trigger,
    get: () => parse(props.value),
    put: (value) => { props.value = JSON.stringify(value); },
    watch: (callback) => watch("value", () => callback(parse(props.value))),
  });
};
