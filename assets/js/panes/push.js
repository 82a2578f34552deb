// The state of a push to the Hub. Names and notes are inserted as text; the address is the Hub's.
import { html, say, sayProse, put as write } from "../base/shapes.js";
import { redraw, paint, part, server, setActivity, waits } from "../session/parts.js";

/** A push was asked for. @type {() => void} */
export let pushBegins = () => {};
/** A push has ended. @type {() => void} */
export let pushRests = () => {};
server.activity.push = "idle";

part("pushed", ({ host, get, watch }) => {
  host.replaceChildren();
  const bar = html("div",
    { class: "progress", role: "progressbar", "aria-label": "Pushed", "aria-valuemin": 0, "aria-valuemax": 100 }, host);
  const filled = html("div", {}, bar);
  const line = html("p", { class: "made-line", role: "status" }, host);
  const place = html("p", {}, host);
  const link = html("a", { class: "made-link", target: "_blank", rel: "noopener noreferrer" }, place);
  const notes = html("p", { class: "how" }, host);
  const over = new Set();
  let /** @type {any} */ value = null;
  function words() {
    if (server.activity.push === "waiting") return waits() || "Starting …";
    if (value?.state === "working") return `${value.name}: ${value.what} …`;
    if (value?.state === "done") return "Uploaded.";
    if (value?.state === "stopped") return "Stopped. What was begun on the Hub is taken back.";
    return value?.state === "failed" ? value.note : "";
  }
  function fill() {
    const busy = server.activity.push !== "idle";
    write(host, "data-pushed", busy ? "working" : value?.state ?? "idle");
    write(line, "data-trouble", value?.state === "failed" && !busy);
    sayProse(line, words());
    const share = value?.state === "working" ? value.share : null;
    bar.hidden = !busy;
    write(bar, "data-moving", share === null);
    if (share !== null) write(bar, "aria-valuenow", Math.round(100 * share));
    filled.style.width = `${100 * (share ?? 0)}%`;
    const uploaded = value?.state === "done" && /^https?:\/\//.test(value.url ?? "");
    place.hidden = !uploaded;
    if (uploaded) { write(link, "href", value.url); say(link, value.url); }
    sayProse(notes, uploaded ? value.notes.join(" ") : "");
  }
  pushBegins = () => { if (server.activity.push === "idle") setActivity("push", "waiting"); };
  pushRests = () => { if (value?.id) over.add(value.id); setActivity("push", "idle"); };
  function take(next) {
    if (!next) return;
    if (next.state !== "working") over.add(next.id);
    else if (over.has(next.id)) return; // sent before the server received Stop
    value = next;
    server.activity.push = value.state === "working" ? "exporting" : "idle";
    fill();
    redraw();
  }
  watch(take);
  take(get());
  paint(fill);
});
