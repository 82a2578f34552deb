// The views of the middle column as tabs: what is drawn of the same frame, one at a time.
// Another script adds one with dppa.subview(name, title, build, draw) before the page is complete.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { html, put } = dppa.shapes;
  const views = [{ name: "modules", title: "Modules" }];

  // build(panel): fills it, once. draw(view, width): one frame of it, while it is shown.
  dppa.subview = (name, title, build, draw) => views.push({ name, title, build, draw });
  dppa.subviewShown = () => dppa.state.subview;

  dppa.buildSubviews = (host) => {
    const bar = html("div", { class: "subviews", role: "tablist", "aria-label": "Views of the merge" }, host);
    const parts = new Map();
    for (const view of views) {
      const tab = html("button", { type: "button", role: "tab", id: `tab-${view.name}`, "aria-controls": `panel-${view.name}` }, bar, view.title);
      const panel = html("div", { role: "tabpanel", id: `panel-${view.name}`, "aria-labelledby": tab.id }, null);
      tab.addEventListener("click", () => dppa.set({ subview: view.name }));
      parts.set(view.name, { ...view, tab, panel, built: view.build === undefined });
    }
    bar.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const names = [...parts.keys()];
      const next = names[(names.indexOf(dppa.state.subview) + by + names.length) % names.length];
      dppa.set({ subview: next });
      parts.get(next).tab.focus();
    });
    queueMicrotask(() => { for (const { panel } of parts.values()) host.append(panel); }); // below the bar of choices
    // Draws the view that is shown where it is not the modules; whether it did.
    function draw(view, width) {
      for (const [name, part] of parts) {
        const shown = name === dppa.state.subview;
        put(part.tab, "aria-selected", shown);
        put(part.tab, "tabindex", shown ? 0 : -1);
        part.panel.hidden = !shown;
      }
      const part = parts.get(dppa.state.subview);
      if (!part.built) { part.build(part.panel); part.built = true; }
      part.draw?.(view, width);
      return part.draw !== undefined;
    }
    return { draw, panel: (name) => parts.get(name).panel };
  };
})();
