// Pruning rates of single modules: kept here, set by whoever shows modules, told in one line.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { html, say, level } = dppa.shapes;

  // What the rate means, in the words beside the slider.
  function stays() {
    const rate = dppa.rate(), drops = `At ${level(rate)}`;
    if (rate === 0) return `${drops} all of them stay.`;
    return dppa.shows() === "random" ? `${drops} any ${level(1 - rate)} stay.` : `${drops} the strongest ${level(1 - rate)} stay.`;
  }
  dppa.paint(() => {
    const text = stays();
    for (const place of document.querySelectorAll("#rate em, .explain .stays")) say(place, text);
  });

  dppa.part("overrides", ({ host, get, put, watch, trigger }) => {
    host.replaceChildren();
    const line = html("p", { class: "overrides-line", role: "status", hidden: "" }, host);
    const text = html("span", {}, line);
    const clear = html("button", { type: "button", class: "small", id: "overrides-clear" }, line, "Clear");
    function send(overrides) {
      dppa.set({ overrides });
      put(overrides);
      trigger("change");
    }
    // Give modules a rate of their own, a share in [0, 1]; null takes it away again.
    dppa.override = (modules, rate) => {
      const overrides = { ...dppa.state.overrides };
      for (const name of [modules].flat()) {
        if (rate === null) delete overrides[name];
        else overrides[name] = Math.min(Math.max(rate, 0), 1);
      }
      send(overrides);
    };
    clear.addEventListener("click", () => send({}));
    const take = (value) => { if (value) dppa.set({ overrides: { ...value } }); };
    watch(take);
    take(get());
    dppa.paint(() => {
      const count = Object.keys(dppa.state.overrides).length;
      line.hidden = count === 0;
      const idle = dppa.pruner() ? "" : "; this method prunes nothing, so none counts";
      say(text, count === 1 ? `1 matrix has a rate of its own${idle}.` : `${count} matrices have rates of their own${idle}.`);
    });
  });
})();
