// The preflight findings as a list, and the card of models that are not here yet: a set, or typed ones.
// Nothing is requested or downloaded before a button is pressed.
import { html, say, sayProse, put as write } from "../base/shapes.js";
import { part } from "../session/parts.js";

/** A handler of the card failed. @type {() => void} */
export let offerRests = () => {};
const WORDS = { blocker: "stops the merge", warning: "look at this", note: "good to know" };
const MARKS = { blocker: "✕", warning: "!", note: "·" };

// value: {head, rows: [{severity, topic, model, what, why, remedy}], fine}, or null for nothing.
function findings(host, value) {
  host.replaceChildren();
  host.hidden = !value;
  if (!value) return;
  html("p", { class: "found-head" }, host, value.head);
  const list = html("ul", { class: "found" }, host);
  for (const row of value.rows) {
    const item = html("li", { "data-severity": row.severity, "data-topic": row.topic }, list);
    html("span", { class: "found-mark", "aria-hidden": "true" }, item, MARKS[row.severity]);
    const body = html("div", {}, item);
    html("span", { class: "sr" }, body, `${WORDS[row.severity]}: `);
    sayProse(html("span", { class: "found-what" }, body), row.model ? `${row.model}: ${row.what}` : row.what);
    if (row.remedy) sayProse(html("span", { class: "found-do" }, body), ` ${row.remedy}`);
    if (row.why) item.title = row.why.replaceAll("`", "");
  }
  if (value.fine) html("p", { class: "how" }, host, value.fine);
}

part("findings", ({ host, get, watch }) => {
  host.classList.add("findings");
  write(host, "role", "status");
  const take = (value) => findings(host, value);
  watch(take);
  take(get());
});

part("offer", ({ host, outer, get, put, watch, trigger }) => {
  host.replaceChildren();
  const card = html("section", { class: "offer", "aria-label": "Models to fetch" }, host);
  const head = html("div", { class: "offer-head" }, card);
  const title = html("h2", { class: "offer-title", tabindex: -1 }, head);
  const close = html("button", { type: "button", class: "remove" }, head, "Close");
  const models = html("p", { class: "how" }, card);
  const lines = html("ul", { class: "offer-lines" }, card);
  const note = html("p", { class: "offer-note" }, card);
  const findingsBox = html("div", { class: "findings", role: "status" }, card);
  const trouble = html("p", { class: "problem", role: "status" }, card);
  const bar = html("div",
    { class: "offer-bar", role: "progressbar", "aria-label": "Fetched", "aria-valuemin": 0, "aria-valuemax": 100 },
    card);
  const filled = html("i", {}, bar);
  const now = html("p", { class: "how", role: "status" }, card);
  const buttons = html("div", { class: "offer-buttons" }, card);
  const button = (id, text, act) => {
    const element = html("button", { type: "button", id, class: "offer-button" }, buttons, text);
    element.addEventListener("click", act);
    return element;
  };
  let /** @type {any} */ value = null, busy = "";
  const ask = (event, words) => () => {
    if (event !== "stop" && (busy || value?.state === "fetching")) return;
    busy = event === "stop" ? "" : words;
    const { name, references, new_base } = value;
    put(references ? { name, references, new_base } : { name });
    trigger(event);
    fill();
  };
  const check = button("offer-check", "Check before fetching", ask("check", "Checking …"));
  const fetch = button("offer-fetch", "Fetch and open", ask("fetch", "Beginning …"));
  const stop = button("offer-stop", "Stop", ask("stop", ""));
  fetch.classList.add("lead");
  close.addEventListener("click", () => {
    if (value?.state === "fetching") ask("stop", "")();
    const typed = Boolean(value?.references);
    value = null;
    fill();
    const from = typed ? document.querySelector("#reference input") : document.getElementById("preset-choice");
    from?.focus();
  });

  function fill() {
    const open = value !== null;
    outer.hidden = !open;
    card.hidden = !open;
    if (!open) return;
    const fetching = value.state === "fetching";
    write(card, "data-state", busy ? "asking" : value.state);
    say(title, value.title);
    say(models, value.models.join(" · "));
    lines.replaceChildren();
    for (const line of value.lines) sayProse(html("li", {}, lines), line);
    note.hidden = !value.note;
    sayProse(note, value.note ?? "");
    findings(findingsBox, value.findings);
    sayProse(trouble, value.trouble ?? "");
    bar.hidden = !fetching;
    write(bar, "data-moving", fetching && value.share === null);
    if (typeof value.share === "number") write(bar, "aria-valuenow", Math.round(100 * value.share));
    filled.style.width = `${100 * (value.share ?? 0)}%`;
    say(now, fetching ? value.what : busy || (value.state === "stopped" ? "Stopped; what is whole is kept." : ""));
    fetch.hidden = fetching;
    check.hidden = fetching || !value.checks; // a model of the program is checked once it is here
    stop.hidden = !fetching;
    say(fetch, value.open);
    check.disabled = fetch.disabled = Boolean(busy);
  }
  function take(next) {
    if (next && !next.title) return; // a value put by this card
    const fresh = next !== null && (next.name !== value?.name || `${next.references}` !== `${value?.references}`);
    busy = "";
    value = next;
    fill();
    if (fresh) title.focus();
  }
  // After a failure the card stays unchanged: its buttons can be pressed again.
  offerRests = () => { busy = ""; fill(); };
  watch(take);
  take(get());
});
