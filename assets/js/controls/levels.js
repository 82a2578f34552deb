// The levels as a draggable bar: the kept changes, from the strongest to the weakest, and the ends of
// bands, as shares of the kept changes. The text box beside it handles typed levels.
import { html, say, sayProse, put as write, level, spread } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { redraw, paint, part } from "../session/parts.js";
import { shade } from "../plots/heatmap.js";
import { changeFactors } from "./controls.js";

// levels beside the rate; shares
const MOST = (controls.controlOf("partitions").span[1] ?? 1) - 1, GAP = 0.01, LEAP = 0.05;
const LABEL = 48; // pixels from the middle of one label to that of the next, at least
const two = (x) => Math.round(x * 100) / 100;

part("levels-editor", ({ host, get, put, watch, trigger }) => {
  host.replaceChildren();
  const title = html("div", { class: "setting-name", id: "levels-title" }, host, "Levels, to drag");
  const track = html("div", { class: "levels-track", role: "group", "aria-labelledby": title.id }, host);
  const line = html("div", { class: "line" }, host);
  const button = (id, text, hint, act) => {
    const element = html("button", { type: "button", class: "small", id, title: hint }, line, text);
    element.addEventListener("click", act);
    return element;
  };
  const add = button("level-add", "Add level", "Splits the widest band", () => insert(middleOfWidest()));
  const drop = button("level-drop", "Remove level", "The level chosen last", () => remove(current));
  const even = button("level-even", "Evenly", "All bands equally wide", () => apply([], controls.bands().length, true));
  html("p", { class: "how" }, host,
    "What is kept, the strongest changes first. A click makes a level; drag it, or move it with the arrow keys; Delete "
    + "removes it.");
  let bands = [], handles = [], current = 0, dragged = false, width = 0;
  new ResizeObserver(() => { width = track.clientWidth; redraw(); }).observe(track);

  // The ends of the inner bands, also if split evenly.
  const ends = () => {
    const levels = controls.bands(), kept = 1 - levels[levels.length - 1];
    return levels.slice(0, -1).map((rate) => (1 - rate) / kept);
  };
  function apply(shares, partitions, settled) {
    controls.set({ shares, partitions });
    put(shares);
    if (settled) trigger("settle");
  }
  function move(k, share, settled = false) {
    const now = ends();
    const low = (now[k - 1] ?? 0) + GAP, high = (now[k + 1] ?? 1) - GAP;
    if (low > high) return;
    apply(now.map((end, i) => (i === k ? two(Math.min(Math.max(share, low), high)) : end)), now.length + 1, settled);
  }
  // A new level splits a band: both halves keep its factor; a removed one gives its band to the stronger.
  function insert(share) {
    const now = ends(), split = two(share);
    if (now.length >= MOST || [0, ...now, 1].some((end) => Math.abs(end - split) < GAP - 1e-9)) return;
    const k = now.filter((end) => end < split).length;
    changeFactors((factors) => [...factors.slice(0, k + 1), ...factors.slice(k)]);
    current = k;
    apply([...now.slice(0, k), split, ...now.slice(k)], now.length + 2, true);
    focusSoon();
  }
  function remove(k) {
    const now = ends();
    if (!now.length || k >= now.length) return;
    changeFactors((factors) => factors.filter((_, i) => i !== k + 1));
    current = Math.max(k - 1, 0);
    apply(now.filter((_, i) => i !== k), now.length, true);
    focusSoon();
  }
  function middleOfWidest() {
    const all = [0, ...ends(), 1];
    const widths = all.slice(1).map((end, i) => end - all[i]);
    const k = widths.indexOf(Math.max(...widths));
    return all[k] + widths[k] / 2;
  }
  const focusSoon = () => requestAnimationFrame(() => requestAnimationFrame(() => (handles[current] ?? add).focus()));

  // --- pointer and keys ----------------------------------------------------------------------------
  const shareAt = (event) => {
    const { left, width } = track.getBoundingClientRect();
    return (event.clientX - left) / width;
  };
  track.addEventListener("pointerdown", (event) => {
    const k = handles.indexOf(event.target.closest(".level-handle"));
    if (k < 0) { insert(shareAt(event)); return; }
    event.preventDefault();
    current = k;
    dragged = true;
    handles[k].focus();
    track.setPointerCapture(event.pointerId);
  });
  track.addEventListener("pointermove", (event) => { if (dragged) move(current, shareAt(event)); });
  for (const name of ["pointerup", "pointercancel"]) {
    track.addEventListener(name, () => { if (dragged) { dragged = false; trigger("settle"); } });
  }
  track.addEventListener("keydown", (event) => {
    const k = handles.indexOf(event.target);
    if (k < 0) return;
    const by = { ArrowRight: GAP, ArrowUp: GAP, ArrowLeft: -GAP, ArrowDown: -GAP, PageUp: LEAP,
      PageDown: -LEAP }[event.key];
    if (by) move(k, ends()[k] + (event.shiftKey ? 5 * by : by), true);
    else if (event.key === "Delete" || event.key === "Backspace") remove(k);
    else return;
    event.preventDefault();
  });

  function build(count) {
    track.replaceChildren();
    bands = Array.from({ length: count },
      (_, k) => html("div", { class: "level-band", style: `background:${shade(k, count)}` }, track));
    handles = Array.from({ length: count - 1 }, (_, k) => {
      const handle = html("button",
        { type: "button", class: "level-handle", role: "slider", "aria-valuemin": 1, "aria-valuemax": 99 }, track);
      html("span", {}, handle);
      handle.addEventListener("focus", () => { current = k; });
      return handle;
    });
  }
  watch((value) => { if (Array.isArray(value)) controls.set({ shares: value }); });
  if (Array.isArray(get())) controls.state.shares = get();
  paint(() => {
    const levels = controls.bands(), now = ends();
    if (bands.length !== levels.length) build(levels.length);
    const all = [0, ...now, 1];
    const labels = spread(now.map((end) => end * width), width, LABEL);
    bands.forEach((band, k) => {
      band.style.left = `${100 * all[k]}%`;
      band.style.width = `${100 * (all[k + 1] - all[k])}%`;
    });
    handles.forEach((handle, k) => {
      handle.style.left = `${100 * now[k]}%`;
      write(handle, "aria-label", `Level ${k + 1} of ${levels.length}`);
      write(handle, "aria-valuenow", Math.round(100 * now[k]));
      write(handle, "aria-valuetext", `${level(levels[k])}, after ${Math.round(100 * now[k])} % of what is kept`);
      say(handle.firstChild, level(levels[k]));
      handle.firstChild.style.marginLeft = `${Math.round(labels[k] - now[k] * width)}px`;
    });
    write(add, "aria-disabled", now.length >= MOST);
    write(drop, "aria-disabled", now.length === 0);
    write(even, "aria-disabled", controls.state.shares.length === 0);
  });
});

// --- the box of levels: the current levels, or the error in its text -----------------------------
part("levels-note", ({ host, get, watch, trigger }) => {
  host.replaceChildren();
  const problem = html("p", { class: "problem", id: "levels-problem", role: "status" }, host);
  const now = html("p", { class: "how", id: "levels-now" }, host);
  const box = () => document.querySelector("#levels :is(input, textarea)");
  let /** @type {any} */ wrong = null; // {text, problem}, as long as that text stands in the box
  let typed = false; // since it was last applied
  const within = (event) => event.target === box();
  document.addEventListener("input", (event) => { if (within(event)) { typed = true; redraw(); } });
  const apply = () => { typed = false; trigger("apply"); };
  document.addEventListener("keydown", (event) => { if (event.key === "Enter" && within(event)) apply(); });
  document.addEventListener("focusout", (event) => { if (typed && within(event)) apply(); });
  const take = (value) => { wrong = value; redraw(); };
  watch(take);
  take(get());
  paint(() => {
    const field = box();
    if (!field) return; // folded away and not built yet
    const bad = wrong !== null && wrong.text === field.value;
    write(field, "aria-invalid", bad);
    write(field, "aria-describedby", "levels-problem levels-now");
    sayProse(problem, bad ? wrong.problem : "");
    say(now, `Now ${controls.bands().map(level).join(", ")}.`);
  });
});
