// Questions and answers, side by side by model; example questions.
// What people and models wrote goes into the page as text, never as markup.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { html, say, put } = dppa.shapes;
  const STATES = {
    waiting: "waits its turn …", merging: "merging the weights …", writing: "writing …",
    done: "", stopped: "stopped", failed: "failed",
  };

  dppa.part("transcript", ({ host, get, watch }) => {
    host.replaceChildren();
    const empty = html("p", { class: "empty" }, host,
      "Ask your own question or take one of these, then Send. Each question stands alone: earlier ones are not read.");
    const list = html("div", { class: "turns" }, host);
    const waits = html("p", { class: "note waits", hidden: "" }, host);
    const stage = host.closest("#chat-stage");
    const told = html("output", { class: "sr", "aria-live": "polite" }, host);
    let turns = [];
    let value = { turns: [] };

    function turnOf(turn) {
      const root = html("section", { class: "turn", "data-turn": turn.id, "aria-label": "Question and answers" }, list);
      html("p", { class: "question" }, root, turn.prompt);
      const grid = html("div", { class: `answers n${Math.min(turn.answers.length, 3)}` }, root);
      return { id: turn.id, root, answers: turn.answers.map((answer) => answerOf(grid, answer)) };
    }
    function answerOf(grid, answer) {
      const root = html("article", { class: "answer", "data-target": answer.target }, grid);
      const head = html("header", {}, root);
      html("span", { class: "swatch", "aria-hidden": "true" }, head);
      html("strong", {}, head, answer.label);
      const recipe = html("span", { class: "tag" }, head);
      const text = html("p", { class: "answer-text" }, root);
      const note = html("p", { class: "note" }, root);
      return { root, recipe, text, note };
    }
    function fill({ root, recipe, text, note }, answer, current) {
      const stale = answer.recipe !== "" && answer.recipe !== current;
      put(root, "data-state", answer.state);
      put(root, "data-recipe", answer.recipe);
      put(root, "data-stale", stale);
      root.style.setProperty("--model", answer.target === "merged" ? "var(--d-accent)"
        : dppa.names[answer.target]?.colour ?? "var(--d-base)");
      say(recipe, answer.recipe ? `recipe ${answer.recipe.slice(0, 6)}${stale ? " · stale" : ""}` : "");
      put(recipe, "title", stale ? "The sliders have moved since this answer." : "");
      say(text, answer.text || (answer.state === "done" ? "(an empty answer)" : ""));
      say(note, answer.note || STATES[answer.state] || "");
      if (answer.recipe && (answer.state === "writing" || answer.state === "done")) dppa.noteMerged(answer.recipe);
    }
    function paint() {
      const current = dppa.recipe();
      value.turns.forEach((turn, i) => turn.answers.forEach((answer, j) => fill(turns[i].answers[j], answer, current)));
    }
    // What the server sent before it heard of Stop may arrive after it: an ended turn stays ended.
    const running = (turn) => turn.answers.some(({ state }) => ["waiting", "merging", "writing"].includes(state));
    const ended = new Map();
    function settled(turn) {
      if (!running(turn)) ended.set(turn.id, turn);
      return ended.get(turn.id) ?? turn;
    }
    function take(next) {
      if (!next || !Array.isArray(next.turns)) return;
      const low = host.scrollHeight - host.scrollTop - host.clientHeight < 60;
      const all = next.turns.map(settled);
      value = { turns: all, activity: next.activity !== "idle" && all.some(running) ? next.activity : "idle" };
      empty.hidden = value.turns.length > 0;
      if (stage) put(stage, "data-begun", empty.hidden); // the examples then make room for the answers
      const kept = new Map(turns.map((turn) => [turn.id, turn]));
      turns = value.turns.map((turn) => kept.get(turn.id) ?? turnOf(turn));
      for (const [id, turn] of kept) if (!turns.some((one) => one.id === id)) turn.root.remove();
      const merged = value.turns.flatMap((turn) => turn.answers).filter((a) => a.recipe && a.text);
      dppa.answered = merged.length ? merged[merged.length - 1].recipe : null;
      if (dppa.activity.chat !== value.activity && value.activity === "idle") {
        say(told, "The answers are complete.");
      }
      dppa.activity.chat = value.activity || "idle";
      put(host, "aria-busy", dppa.activity.chat !== "idle");
      paint();
      if (low) host.scrollTop = host.scrollHeight;
      dppa.redraw();
    }
    watch(take);
    take(get());
    let last;
    dppa.paint(() => {
      const waiting = dppa.activity.chat === "waiting";
      if (waits.hidden === waiting) {
        waits.hidden = !waiting;
        if (waiting) host.scrollTop = host.scrollHeight;
      }
      if (waiting) say(waits, `Your question is ${dppa.waits()}`);
      // only the stale marks follow the sliders
      const current = dppa.recipe();
      if (current !== last) { last = current; paint(); }
    });
  });

  // Gradio's box sends with Shift+Enter; this adds what other chats are sent with.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !(event.ctrlKey || event.metaKey)) return;
    if (!event.target.matches?.("#prompt textarea")) return;
    event.preventDefault();
    document.querySelector("#send").click();
  });

  dppa.part("examples", ({ host, get, trigger }) => {
    host.replaceChildren();
    for (const { domain, colour, prompts } of get() || []) {
      const group = html("div", { class: "example-group", role: "group", "aria-label": `Examples: ${domain}` }, host);
      group.style.setProperty("--model", colour);
      prompts.forEach((prompt, i) => {
        const button = html("button", { type: "button", class: "example", "data-domain": domain, title: prompt,
          "aria-label": `Example ${i + 1}, ${domain}: ${prompt}` }, group);
        const head = html("span", { class: "example-domain" }, button);
        html("span", { class: "swatch", "aria-hidden": "true" }, head);
        html("span", {}, head, domain);
        html("span", { class: "example-text" }, button, prompt);
        button.addEventListener("click", () => { dppa.picked = prompt; trigger("pick"); });
      });
    }
  });
})();
