// Puts each living figure in the place of its picture, where a server gives the site out; a file can start no worker.
(() => {
  const folder = new URL("../living/index.html", document.currentScript.src);
  const isServed = location.protocol.startsWith("http");
  const theme = () => (document.body.dataset.mdColorScheme === "slate" ? "dark" : "light");
  const frames = [];
  for (const figure of document.querySelectorAll("figure.living")) {
    if (!isServed) {
      const note = document.createElement("figcaption");
      note.textContent = "This figure moves where a server gives the site out: run python3 -m http.server in its folder.";
      figure.append(note);
      continue;
    }
    const frame = document.createElement("iframe"), picture = figure.querySelector("img");
    frame.title = picture.alt;
    frame.loading = "lazy";
    frame.height = figure.offsetHeight;
    const point = () => {
      frame.style.colorScheme = theme(); // else the browser lays a ground below a transparent frame
      frame.src = `${folder}#${figure.dataset.figure}&ground=transparent&theme=${theme()}`;
    };
    point();
    figure.replaceChildren(frame);
    frames.push({ frame, point });
  }
  window.addEventListener("message", ({ source, data }) => {
    const shown = frames.find(({ frame }) => frame.contentWindow === source);
    if (shown && Number.isFinite(data?.livingHeight)) shown.frame.height = data.livingHeight;
  });
  new MutationObserver(() => { for (const { point } of frames) point(); })
    .observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
})();
