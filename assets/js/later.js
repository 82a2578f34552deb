// What the first plot and the controls beside it do not need; entry.js fetches it once that plot is drawn.
import "./base/glossary_links.js";
import "./base/number_boxes.js";
import "./plots/advice.js";
import "./plots/attribution.js";
import "./plots/compare.js";
import "./plots/experiments.js";
import "./plots/matrix.js";
import "./controls/levels.js";
import "./panes/chat.js";
import "./panes/perplexity.js";
import "./panes/score.js";
export { failed } from "./base/field_notices.js";
export { offerRests } from "./controls/offer.js";
export { ended } from "./controls/start_and_stop.js";
export { makingRests } from "./panes/export.js";
export { pushBegins, pushRests } from "./panes/push.js";
export { recall, remember } from "./panes/restored_chat.js";
export { startSearch } from "./panes/search.js";
