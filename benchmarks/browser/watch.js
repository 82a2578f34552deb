// Notes when wishes leave a page, when their answers are on it, and its frames: visits.py adds this to the page.
// A wish begins with the slider's event before it, by the event's own time stamp.
const bench = {
  input: null, inputs: 0, merged: [], whole: [], shown: [], frames: [], firstWish: null, firstWords: null,
};
const now = () => performance.now(), living = () => document.querySelector('[data-living="answer"]');
const begins = new Map(); // number of a wish -> the event's time stamp
let asked = null; // of the newest answer of the server
let isOld = false; // whether the answer that is shown is still the one before the last event

window.bench = bench;
document.addEventListener("input", (event) => {
  bench.input = event.timeStamp;
  bench.inputs++;
  isOld = true;
}, true);

function arrived({ data }) {
  const begun = begins.get(data.id);
  if (data.kind === "words" && begins.has(data.id)) bench.firstWords ??= now();
  if (!begun) return;
  if (data.kind === "merged") bench.merged.push(data.at - (performance.timeOrigin + begun)); // by the worker's clock
  if (data.kind === "words" && data.last && living().textContent.trim() === data.text) bench.shown.push(now() - begun);
}
if (window.Worker)
  window.Worker = class extends window.Worker {
    #listens = false;
    postMessage(message, ...rest) {
      if (!this.#listens) this.addEventListener("message", arrived); // behind the page's own listener
      this.#listens = true;
      if (message.channel === "pinned") {
        bench.firstWish ??= now();
        begins.set(message.id, bench.input);
      }
      super.postMessage(message, ...rest);
    }
  };

const { fetch } = window;
window.fetch = async (...request) => {
  const begun = bench.input, answer = await fetch(...request);
  if (!String(request[1]?.body ?? "").includes('\\"moving\\":')) return answer;
  const later = (await answer.clone().text()).includes('\\"later\\":');
  if (begun && !later) asked = begun;
  return answer;
};

function look() {
  const { state, source } = living().dataset;
  if (state !== "whole") isOld = false;
  if (state === "whole" && bench.input && !isOld) {
    bench.whole.push(now() - bench.input);
    bench.input = null;
  }
  if (source === "server" && asked) {
    bench.shown.push(now() - asked);
    asked = null;
  }
}
bench.watch = () => {
  const box = living().closest(".pinned");
  new MutationObserver(look).observe(box, { attributes: true, childList: true, subtree: true });
  let before = now();
  function frame(at) {
    bench.frames.push(at - before);
    before = at;
    requestAnimationFrame(frame);
  }
  requestAnimationFrame(frame);
};

// Events of a mouse would be fewer where the machine is busy with other work.
bench.drag = async (seconds, events) => {
  const slider = document.querySelector("#rate input[type=range]");
  const { set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  const tell = (kind, Kind) => slider.dispatchEvent(new Kind(kind, { bubbles: true }));
  const begun = now(), before = bench.inputs;
  tell("pointerdown", PointerEvent);
  for (let step = 0; now() - begun < 1000 * seconds; step = Math.ceil((events * (now() - begun)) / 1000)) {
    set.call(slider, String(25 + Math.abs((step % 120) - 60))); // from 85 % down and back in two seconds
    tell("input", Event);
    const due = begun + (1000 * (step + 1)) / events;
    await new Promise((wake) => setTimeout(wake, due - now()));
  }
  tell("change", Event);
  tell("pointerup", PointerEvent);
  return (1000 * (bench.inputs - before)) / (now() - begun);
};

/** Send the question in the chat; resolves with the milliseconds until so many models have answered. */
bench.ask = (models) => new Promise((done) => {
  const turns = () => document.querySelectorAll("#transcript .turn"), known = turns().length, begun = now();
  const watch = new MutationObserver(() => {
    const answers = turns().length > known ? [...turns()].at(-1).querySelectorAll('.answer[data-state="done"]') : [];
    if (answers.length < models) return;
    watch.disconnect();
    done(now() - begun);
  });
  const host = document.querySelector("#transcript");
  watch.observe(host, { subtree: true, childList: true, attributes: true });
  document.querySelector("#send").click();
});

/** Seconds after which the worker had each token of the current merge's answer. */
bench.speak = async (question) => {
  const entry = document.querySelector('script[src$="/entry.js"]').src;
  const { mergeNow, rendered, wishFor } = await import(new URL("./tab/words.js", entry));
  return new Promise((done, fail) => {
    const seconds = [];
    wishFor("bench", { merge: mergeNow(), prompt: rendered(question), pause: 0 }, ({ kind, ...words }) => {
      if (kind === "words") seconds.push(words.seconds);
      if (kind === "words" && words.last) done(seconds);
      if (["failed", "refused", "replaced"].includes(kind)) fail(new Error(words.why));
    });
  });
};
