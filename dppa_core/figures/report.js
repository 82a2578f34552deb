// Draws the figures of a report in the reader's theme, using Plotly.
(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures")?.textContent ?? "");
  const root = document.documentElement;
  const wish = window.matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  // Numbers would overlap in narrow cells: the table has them.
  const fits = (host, [{ x }], { annotations: notes = [] }) =>
    (host.clientWidth - 124) / x.length >= 4 + 6 * Math.max(0, ...notes.map(({ text }) => text.length));
  function draw() {
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
    for (const host of document.querySelectorAll(".plot")) {
      const { data, layout } = figures[+(host.dataset.figure ?? 0)];
      const themed = {
        ...layout, annotations: fits(host, data, layout) ? layout.annotations : [], paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { color: colour("--ink"), family: "system-ui, sans-serif", size: 13 },
        xaxis: { ...layout.xaxis, ...axis }, yaxis: { ...layout.yaxis, ...axis },
      };
      const options = { responsive: true, displaylogo: false, toImageButtonOptions: { format: "svg" } };
      window.Plotly.react(host, data, themed, options).then(() => host.setAttribute("data-drawn", ""));
    }
  }
  function show(theme) {
    root.dataset.theme = theme;
    draw();
  }
  document.getElementById("theme")?.addEventListener("click", () =>
    show(root.dataset.theme === "dark" ? "light" : "dark"));
  wish.addEventListener("change", () => show(wish.matches ? "dark" : "light"));
  show(wish.matches ? "dark" : "light");
})();
