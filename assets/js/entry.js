// The page's entry module: imports every module that builds a part, and defines the few global names.
import { failed } from "./base/field_notices.js";
import "./base/glossary_links.js";
import "./base/number_boxes.js";
import * as controls from "./session/controls.js";
import { redraw } from "./session/frames.js";
import * as history from "./session/history.js";
import { override } from "./session/overrides.js";
import { mount } from "./session/parts.js";
import { saveable } from "./session/save_plots.js";
import { server, setActivity } from "./session/server.js";
import { stateNow, stateText } from "./session/session_value.js";
import * as tables from "./session/tables.js";
import { asked } from "./plots/attribution.js";
import { view } from "./plots/frame_values.js";
import "./plots/advice.js";
import "./plots/compare.js";
import "./plots/experiments.js";
import "./plots/matrix.js";
import * as words from "./plots/plot_sentences.js";
import "./plots/plots.js";
import { lossesNow, sparsityOf } from "./plots/sparsity.js";
import "./plots/view_switch.js";
import { pinnedNow } from "./pinned/answer.js";
import "./pinned/breaks.js";
import "./controls/class_locked.js";
import "./controls/controls.js";
import "./controls/levels.js";
import "./controls/method.js";
import { offerRests } from "./controls/offer.js";
import { tuneFailed } from "./controls/session_bar.js";
import { ended } from "./controls/start_and_stop.js";
import "./controls/status.js";
import "./panes/blind_votes.js";
import { picked } from "./panes/chat.js";
import { makingRests } from "./panes/export.js";
import "./panes/perplexity.js";
import { pushBegins, pushRests } from "./panes/push.js";
import { recall, remember } from "./panes/restored_chat.js";
import "./panes/score.js";
import { startSearch } from "./panes/search.js";
import { ask, fail, go } from "./learn/entry.js";

/** @type {any} */ (window).dppa = {
  // Called by name from `js=` of events in components/.
  mount, failed, ended, redraw,
  busy: setActivity,
  activity: server.activity,
  move: controls.move,
  set: controls.set,
  get asked() { return asked; },
  get picked() { return picked; },
  offerRests: () => offerRests(),
  tuneFailed: () => tuneFailed(),
  makingRests: () => makingRests(),
  pushBegins: () => pushBegins(),
  pushRests: () => pushRests(),
  startSearch: () => startSearch(),
  learn: { failed: fail, ask, go },
  // For tests/e2e; `learn.ask` and `learn.go` as well.
  state: controls.state,
  get restoring() { return server.restoring; },
  override: (modules, rate) => override(modules, rate),
  isCurrent: tables.isCurrent,
  history: history.history, goTo: history.goTo, showSlot: history.showSlot,
  stateNow, stateText, saveable, view, words, sparsityOf,
  losses: lossesNow,
  talk: { recall, remember },
  pinned: pinnedNow,
};
// Parts that Gradio has mounted already wait for this.
window.dispatchEvent(new Event("dppa:complete"));
