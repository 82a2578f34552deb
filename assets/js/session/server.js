// Values from the server, and its current work.
import { redraw } from "./frames.js";

/**
 * Shared by all modules; each sets the values it receives.
 * @typedef {{kind: string, modules: string[], layers: number[], kinds: string[], count: number} & Record<string, any>} Table
 */
export const server = {
  /** All methods: texts, settings, what is known before a merge. @type {any[]} */
  methods: [],
  /** Reference -> decoded table. @type {Record<string, any>} */
  tables: {},
  /** Reference -> its label and colour. @type {Record<string, {label: string, colour: string}>} */
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
  /** Recipe of the newest merged answer. @type {string | null} */
  answered: null,
  /** Recipe of the last scored merge. @type {string | null} */
  scored: null,
  /** Number of the state being sent to the server. */
  restoring: 0,
  /** Part -> its current activity. @type {Record<string, string>} */
  activity: { chat: "idle", score: "idle", see: "idle", merge: "idle", conflict: "idle", drill: "idle", losses: "idle" },
};

/** @param {string} part @param {string} activity */
export const setActivity = (part, activity) => { server.activity[part] = activity; redraw(); };
