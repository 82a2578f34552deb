// The page's entry module: imports what the first plot and the controls beside it need, fetches the rest
// (later.js) once that plot is drawn, and defines the few global names.
import * as controls from "./session/controls.js";
import * as history from "./session/history.js";
import { override } from "./session/overrides.js";
import { mount, redraw, server, setActivity } from "./session/parts.js";
import { saveable } from "./session/save_plots.js";
import { stateNow, stateText } from "./session/session_value.js";
import "./session/page_mode.js";
import * as tables from "./session/tables.js";
import { view } from "./plots/frame_values.js";
import * as words from "./plots/plot_sentences.js";
import "./plots/plots.js";
import { lossesNow, sparsityOf } from "./plots/sparsity.js";
import "./controls/class_locked.js";
import "./controls/controls.js";
import "./controls/panes.js";
import "./controls/method.js";
import { tuneFailed } from "./controls/session_bar.js";
import "./controls/status.js";
import { ask, fail, go, lessonsFrom } from "./learn/entry.js";

lessonsFrom(() => import("./lessons.js"));
const PATIENCE_MS = 1000; // from the page's parts to the rest, where no plot is drawn: a lesson, a class link
/** @type {any} */
let rest = {}, /** @type {any} */ fetched = null;
const fetchRest = () => (fetched ??= import("./later.js").then((all) => (rest = all)));
window.addEventListener("dppa:paint", fetchRest, { once: true });
const later = (name) => async (...values) => { (await fetchRest())[name](...values); };

/** @type {any} */ (window).dppa = {
  // Called by name from `js=` of events in components/.
  mount: /** @type {typeof mount} */ ((...values) => { mount(...values); setTimeout(fetchRest, PATIENCE_MS); }),
  redraw,
  busy: setActivity,
  activity: server.activity,
  move: controls.move,
  get asked() { return server.asked; },
  get picked() { return server.picked; },
  tuneFailed: () => tuneFailed(),
  failed: later("failed"), ended: later("ended"),
  offerRests: later("offerRests"), makingRests: later("makingRests"),
  pushBegins: later("pushBegins"), pushRests: later("pushRests"),
  sends: later("sends"), startSearch: later("startSearch"),
  learn: { failed: fail, ask, go },
  // For tests/e2e; `learn.ask` and `learn.go` as well.
  state: controls.state, set: controls.set,
  get restoring() { return server.restoring; },
  override: (modules, rate) => override(modules, rate),
  isCurrent: tables.isCurrent,
  history: history.history, goTo: history.goTo, showSlot: history.showSlot,
  stateNow, stateText, saveable, view, words, sparsityOf,
  losses: lossesNow,
  get talk() { return rest; },
};
// Parts that Gradio has mounted already wait for this.
window.dispatchEvent(new Event("dppa:complete"));
