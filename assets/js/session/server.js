// What the server has sent, and what it does now. Knows no control.
import { redraw } from "./frames.js";

/**
 * One for all modules, so that each may set what it hears of.
 * @typedef {{kind: string, modules: string[], layers: number[], kinds: string[], count: number} & Record<string, any>} Table
 */
export const server = {
  /** Every method there is: words, settings, what is known before a merge. @type {any[]} */
  methods: [],
  /** Reference -> decoded table. @type {Record<string, any>} */
  tables: {},
  /** Reference -> its label and colour. @type {Record<string, {label: string, colour: string}>} */
  names: {},
  /** How many times the mean an outlier is. @type {number | null} */
  outliers: null,
  trouble: "",
  /** The last exact plan. @type {any} */
  exact: null,
  /** What is measured before another significance can be drawn. */
  measuring: "",
  /** @type {Record<string, any>} */
  service: { models: "starting", merged: false },
  /** Recipe of the newest merged answer. @type {string | null} */
  answered: null,
  /** Recipe of the merge that was scored last. @type {string | null} */
  scored: null,
  /** Number of the state the server is being told of. */
  restoring: 0,
  /** Part -> what runs of it. @type {Record<string, string>} */
  activity: { chat: "idle", score: "idle", see: "idle", merge: "idle", conflict: "idle", drill: "idle", losses: "idle" },
};

/** @param {string} part @param {string} activity */
export const setActivity = (part, activity) => { server.activity[part] = activity; redraw(); };
