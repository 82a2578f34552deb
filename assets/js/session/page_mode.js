// The page as a stage, which shows one merge, or as the workbench, which has all controls and views.
import { say } from "../base/shapes.js";
import { paint, redraw, server } from "./parts.js";
import * as controls from "./controls.js";

const KEY = "dppa-page", PAGES = ["stage", "workbench"];
const recalled = () => { try { return localStorage.getItem(KEY) ?? ""; } catch { return ""; } };
const { searchParams } = new URL(window.location.href);

/** @returns {string} */
export const pageNow = () => document.body.dataset.page ?? "";

/** @param {string} name One of PAGES. @param {boolean} isChosen Whether a visitor chose it, and finds it next time. */
export function openPage(name, isChosen = true) {
  document.body.dataset.page = name;
  if (isChosen) keep(name);
  if (name === "stage") // the plots that it shows
    for (const place of ['#views [data-view="modules"]', '#panes [data-pane="see"]'])
      /** @type {HTMLElement | null} */ (document.querySelector(place))?.click();
  redraw();
}
/** For the next visit, and for a reload of an address that says otherwise. @param {string} name */
function keep(name) {
  try { localStorage.setItem(KEY, name); } catch { /* a browser that keeps nothing */ }
  const url = new URL(window.location.href);
  if (!url.searchParams.has("view")) return;
  url.searchParams.set("view", name);
  window.history.replaceState(window.history.state, "", url);
}
const nextPage = () =>
  (pageNow() === "stage" ? { name: "workbench", label: "Workbench" } : { name: "stage", label: "Stage" });

/** The stage is made for the embedded models and for what its controls say. */
export const fitsStage = () => controls.state.base === "zoo:base"
  && controls.state.models.every(({ ref }) => /^zoo:\w+$/.test(ref) && server.names[ref]);

const asked = searchParams.get("view") ?? "";
const needsAll = ["class", "tab", "pane"].some((name) => searchParams.has(name));
const first = [asked, needsAll ? "workbench" : "", recalled()].find((name) => PAGES.includes(name));
openPage(first ?? "stage", false);
// What the server draws of the first preset is hidden where another merge or question opens.
const isNew = () => { try { return sessionStorage.length === 0; } catch { return true; } };
const isOther = ["c", "q", "learn", "class"].some((name) => searchParams.has(name));
document.body.dataset.opening = isOther || !isNew() ? "other" : "usual";
document.addEventListener("click", (event) => {
  if (event.target instanceof Element && event.target.closest("#page-open")) openPage(nextPage().name);
});
// At every draw: Gradio may mount the title late.
paint(() => {
  const button = document.getElementById("page-open");
  if (button) say(button, nextPage().label);
});
