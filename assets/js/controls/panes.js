// The panes: one beside the plots; on a phone, one at a time with the plots.
import { byId } from "../base/shapes.js";
import { paint, part, server } from "../session/parts.js";

part("panes", ({ host }) => {
  const buttons = [...host.querySelectorAll("button[data-pane]")];
  const show = (pane) => {
    document.body.dataset.pane = pane;
    for (const button of buttons) {
      const wide = window.innerWidth > 900 && pane === "see" ? "chat" : pane;
      button.setAttribute("aria-pressed", String(button.dataset.pane === wide));
    }
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      if (window.innerWidth <= 900 && document.body.dataset.pane !== button.dataset.pane) window.scrollTo(0, 0);
      show(button.dataset.pane);
    });
  }
  window.addEventListener("resize", () => show(document.body.dataset.pane));
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("#skip a"))) {
    link.addEventListener("click", (event) => { // by hand: the page has a base, so that the link would load it anew
      event.preventDefault();
      show(link.dataset.shows);
      const to = byId(link.hash.slice(1));
      to.tabIndex = -1;
      to.focus();
    });
  }
  show("see");
  paint(() => {
    const { pane } = server.opens;
    if (!pane) return;
    delete server.opens.pane;
    show(pane);
  });
  // The columns at the sides end with the screen, below the head as well.
  const work = byId("work"), column = byId("side-column");
  let above = 0;
  const fit = () => {
    const now = Math.max(0, Math.round(column.getBoundingClientRect().top));
    if (now !== above) work.style.setProperty("--above", `${above = now}px`);
  };
  window.addEventListener("scroll", fit, { passive: true });
  new ResizeObserver(fit).observe(byId("head"));
});
