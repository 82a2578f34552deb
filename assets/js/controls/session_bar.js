// The session bar: undo, redo, reset, two slots, presets and recipes, and the link.
// session_value.js defines the state.
import { html, sayProse, put as write } from "../base/shapes.js";
import * as history from "../session/history.js";
import { savedPresets, openFile, recipeFile, download } from "../session/own_presets.js";
import { redraw, paint, part, server, setActivity } from "../session/parts.js";
import { adoptState, linkText, stateNow, addressWith, stateText } from "../session/session_value.js";

/** The server did not take a state. @type {() => void} */
export let tuneFailed = () => {};
const TOLD_MS = 5000, GAP = 6, EDGE = 8;

part("tune", ({ host, get, put, watch, trigger }) => {
  const { start, address, longest, living } = get();
  let count = 0;
  let nextState = null; // the state to request next, after the pending answer
  const ask = (event, payload) => {
    count += 1;
    if (event !== "write") server.restoring = count;
    put({ id: count, ...payload });
    trigger(event);
  };
  const restore = (state) => {
    adoptState(state);
    if (server.restoring) nextState = state;
    else ask("restore", { state });
  };
  history.restoreBy(restore);
  // One request at a time; of those made meanwhile, only the last counts.
  function answered() {
    const next = nextState;
    nextState = null;
    server.restoring = 0;
    if (next) restore(next);
    else history.agreed();
  }

  // --- the buttons ------------------------------------------------------------------------------
  host.replaceChildren();
  const bar = html("div", { class: "tune-bar", role: "group", "aria-label": "History and sharing" }, host);
  const button = (id, text, title, act) => {
    const element = html("button", { type: "button", class: "small", id, title }, bar, text);
    element.addEventListener("click", () => { if (element.getAttribute("aria-disabled") !== "true") act(element); });
    return element;
  };
  const undo = button("undo", "Undo", "", history.undo);
  const redo = button("redo", "Redo", "", history.redo);
  const reset = button("reset", "Reset", "Back to what the page opens with; Undo brings this back",
    () => history.goTo(start));
  const both = html("span",
    { class: "slots", role: "group", "aria-label": "Two settings to switch between",
      title: "Two settings to switch between and to compare" }, bar);
  html("span", { class: "slots-name" }, both, "settings");
  const slotButtons = ["A", "B"].map((name) => {
    const slotButton = html("button",
      { type: "button", class: "small", id: `slot-${name}`, "aria-pressed": "false" }, both, name);
    slotButton.addEventListener("click", () => {
      const { slot, slots } = history.history(), begins = name !== slot && !slots[name];
      history.showSlot(name);
      if (begins) tell(`${name} begins as a copy of ${slot}. What you change now stays in ${name}.`);
    });
    return [name, slotButton];
  });
  const keep = html("button",
    { type: "button", class: "small", id: "keep", title: "Presets of your own, and the recipe as a file" }, bar,
    "Save");
  const shareButton = button("share", "Share", "Copy a link to these settings, this question, tab and pane", share);

  const line = html("p", { class: "tune-line", role: "status", hidden: "" }, host);
  const text = html("span", {}, line);
  const box = html("input",
    { type: "text", readonly: "", id: "share-link", "aria-label": "Link to these settings", hidden: "" }, line);
  const dismiss = html("button", { type: "button", class: "small", "aria-label": "Put this message away" }, line, "OK");
  const openLink = html("button", { type: "button", class: "small", id: "open-linked", hidden: "" }, line,
    "Open the link");
  let embed = (/** @type {boolean} */ _offers) => {}; // fetched at the first Share
  let /** @type {any} */ linked = null; // the state of a link that waits for this click
  openLink.addEventListener("click", () => {
    const state = linked;
    linked = null;
    tell("");
    if (history.refusal()) restore(state); // a class link sets nothing else at once
    else history.goTo(state); // taken back if the server refuses
  });
  let fade = 0;
  function tell(notice, wrong = false, link = "", offers = false) {
    clearTimeout(fade);
    embed(offers);
    sayProse(text, notice);
    line.hidden = !notice;
    line.classList.toggle("wrong", wrong);
    openLink.hidden = true;
    box.hidden = !link;
    box.value = link;
    if (link) box.select();
    if (!wrong && !link && !offers) fade = setTimeout(() => tell(""), TOLD_MS);
  }
  function putAway() {
    const inside = line.contains(document.activeElement);
    linked = null;
    tell("");
    if (inside) shareButton.focus();
  }
  dismiss.addEventListener("click", putAway);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !line.hidden) putAway();
  });

  // --- the panel of saved presets and files ------------------------------------------------------
  const panel = html("div",
    { class: "keep-panel", popover: "auto", id: "keep-panel", role: "dialog", "aria-label": "Save and open" }, host);
  keep.popoverTargetElement = panel;
  const close = () => panel.hidePopover();
  const inside = html("p", { class: "keep-told", role: "status" });
  const tellInside = (notice, wrong = false) => { sayProse(inside, notice); inside.classList.toggle("wrong", wrong); };
  const refill = savedPresets(panel, tellInside, close);
  const emptied = recipeFile(panel, tellInside, ask, longest.recipe);
  panel.append(inside);
  panel.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    refill();
    tellInside("");
    const { left, bottom } = keep.getBoundingClientRect();
    panel.style.top = `${bottom + GAP}px`;
    // beside a scroll bar, not below it
    panel.style.left =
      `${Math.max(EDGE, Math.min(left, document.documentElement.clientWidth - panel.offsetWidth - EDGE))}px`;
  });

  // --- a recipe dropped on the models --------------------------------------------------------------
  let dropped = false;
  const models = document.getElementById("models-box");
  const isFile = (event) => event.dataTransfer?.types.includes("Files");
  models?.addEventListener("dragover", (event) => {
    if (isFile(event)) { event.preventDefault(); models.classList.add("drop"); }
  });
  for (const end of ["dragleave", "drop"]) models?.addEventListener(end, () => models.classList.remove("drop"));
  models?.addEventListener("drop", (event) => {
    const [file] = event.dataTransfer?.files ?? [];
    if (!file) return;
    event.preventDefault();
    if (history.refusal()) { tell(history.refusal(), true); return; }
    dropped = true;
    openFile(file, tell);
  });

  // --- the link ---------------------------------------------------------------------------------
  async function share() {
    embed = await import("./embed.js").then(({ embedOffer }) => embedOffer(line, living));
    const link = await linkText(stateNow());
    if (link === null || link.length > longest.link) {
      tell(link === null ? "This browser cannot write links. Save the recipe as a file instead."
        : "These settings are too many for a link. Save the recipe as a file instead.", true);
      return;
    }
    const { view: tab, pane, page: view } = document.body.dataset;
    const url = new URL(addressWith(link, address || window.location.href, { q: server.question, tab, pane, view }));
    url.searchParams.delete("__theme"); // the recipient chooses it
    try {
      await navigator.clipboard.writeText(url.href);
      tell("Link copied: it opens these settings, this question, tab and pane.", false, "", true);
    } catch {
      tell("This browser keeps the clipboard closed. The link, to copy by hand:", false, url.href, true);
    }
  }
  let newest = 0;
  async function follow() {
    if (linked) return; // a reload offers the link again
    const serial = (newest += 1), { state } = history.history();
    const plain = stateText(state) === stateText(start);
    const link = plain ? "" : await linkText(state);
    if (serial !== newest) return; // another state has come to rest meanwhile
    const fits = link !== null && link.length <= longest.link;
    window.history.replaceState(window.history.state, "", addressWith(fits ? link : ""));
  }
  history.onSettled(follow);

  // --- the server's answers ------------------------------------------------------------------------
  tuneFailed = () => {
    server.restoring = 0;
    nextState = null;
    setActivity("see", "idle");
    history.takeBack();
    tellInside("");
  };
  function take(value) {
    if (value?.done && value.done === server.restoring) {
      answered();
      const read = Boolean(value.notes || value.beyond) || panel.matches(":popover-open") || dropped;
      dropped = false;
      if (panel.matches(":popover-open")) { emptied(); close(); }
      if (read)
        tell(["The recipe is open.", value.beyond ?? "",
          ...(value.notes ?? []).map((note) => `Differs from mergekit: ${note}`)].filter(Boolean).join(" "));
      redraw();
    }
    if (value?.refused && value.id === server.restoring) { // not of a request that another one followed
      tuneFailed();
      dropped = false;
      if (panel.matches(":popover-open")) tellInside(value.refused, true);
      else tell(value.refused, true);
    }
    if (value?.saved) { download(value.saved); tellInside("Saved."); }
    if (value?.notice) tell(`The link could not be opened. ${value.notice}`, true);
    if (value?.opens) { server.opens = value.opens; redraw(); }
    if (value?.open) ask("restore", { state: value.open });
    if (value?.confirm) {
      tell(`This link names models of the Hugging Face Hub: ${value.hub.join(", ")}. To open it looks them up there, `
        + `with the login of this computer if it has one.`, true);
      linked = value.confirm;
      openLink.hidden = false;
    }
  }
  watch(take);

  paint(() => {
    const { ready, state, slot, back, forth } = history.history();
    write(undo, "aria-disabled", back === null);
    write(redo, "aria-disabled", forth === null);
    write(undo, "title", back === null ? "Nothing to undo" : `Undo: ${back} (Ctrl+Z)`);
    write(redo, "title", forth === null ? "Nothing to redo" : `Redo: ${forth} (Ctrl+Shift+Z)`);
    write(reset, "aria-disabled", !ready || stateText(state) === stateText(start));
    for (const [name, slotButton] of slotButtons) {
      write(slotButton, "aria-pressed", name === slot);
      write(slotButton, "title", name === slot ? `Settings ${name}: shown now`
        : `Show settings ${name}; ${slot} stays as it is`);
    }
    write(host, "data-slot", slot);
    write(host, "data-restoring", Boolean(server.restoring));
  });
});
