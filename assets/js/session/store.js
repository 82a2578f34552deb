// What the page knows in the browser: the controls, the tables, the last exact plan.
// Knows no plot. Draws happen in one animation frame, however many controls have moved.
(() => {
  "use strict";
  const parts = {};
  const painters = [];
  const dppa = (window.dppa = {
    complete: false, // set by the last script
    paints: [], // the last 500 draws, for whoever measures
    state: {
      base: "", models: [], rate: 80, partitions: 2, shares: [], strength: 0.08, k_layer: 3,
      k_module: 5, significance: "magnitude", chosen: "magnitude", linked: true, factors: [], own: {}, focus: "", quantity: "significance",
      overrides: {}, // module -> its own pruning rate, a share
      picked: null, // {layer, kind} of the cell that is looked at closely
      partner: "", // whom the drawn model is compared with; empty: all others
      method: "dppa", values: {}, first: false, // values: of each method, where not its defaults
    },
    methods: [], // every method there is: words, settings, what is known before a merge
    tables: {}, // reference -> decoded table
    trouble: "",
    exact: null, // the server's last exact plan
    activity: { chat: "idle", score: "idle", see: "idle", merge: "idle", conflict: "idle", drill: "idle", losses: "idle" },
    measuring: "", // what is measured before another significance can be drawn
    service: { models: "starting", merged: false },
    names: {}, // reference -> {label, colour}
    answered: null, // recipe of the newest merged answer
    scored: null, // recipe of the merge that was scored last
    restoring: 0, // number of the state the server is being told of
  });

  // --- parts: elements that Gradio mounts and a script fills -------------------------------
  dppa.part = (name, build) => { parts[name] = build; };
  dppa.mount = (name, element, props, trigger, watch) => {
    const host = element.querySelector(`[data-part="${name}"]`);
    const outer = element.closest(`#${CSS.escape(host.dataset.outer || name)}`) || element;
    parts[name]({
      host, outer, trigger,
      get: () => parse(props.value),
      put: (value) => { props.value = JSON.stringify(value); },
      watch: (callback) => watch("value", () => callback(parse(props.value))),
    });
  };

  // Values travel as JSON text: Gradio copies a structure number by number at every event.
  const parse = (text) => (typeof text === "string" && text ? JSON.parse(text) : null);

  // --- frames ------------------------------------------------------------------------------
  let frame = 0;
  let newestInput = null;
  // A person's own event is seen here before anybody else: it has a time to count from, and a draw
  // then waits for nothing. The listeners in Python do the same for changes that code makes.
  const WATCHED = { rate: "rate", strength: "strength", "k-layer": "k_layer", "k-module": "k_module" };
  document.addEventListener("input", (event) => {
    newestInput = event.timeStamp;
    const id = Object.keys(WATCHED).find((name) => event.target.closest?.(`#${name}`));
    if (id && event.target.value.trim() !== "") dppa.move(WATCHED[id], +event.target.value);
  }, true);

  dppa.paint = (painter) => { painters.push(painter); dppa.redraw(); };
  dppa.redraw = () => { if (!frame) frame = requestAnimationFrame(draw); };
  dppa.set = (patch) => { Object.assign(dppa.state, patch); dppa.redraw(); };
  // A number box may hold anything while it is typed in: only what the slider allows counts.
  const LIMITS = { rate: [0, 99], strength: [0, 0.5], k_layer: [1, 10], k_module: [1, 10] };
  dppa.move = (name, value) => {
    const [low, high] = LIMITS[name];
    if (typeof value === "number" && value >= low && value <= high) dppa.set({ [name]: value });
  };
  function draw() {
    frame = 0;
    const input = newestInput;
    newestInput = null;
    for (const painter of painters) painter(input);
    watchRest();
  }

  // --- rest: when nothing has moved for a moment, the server is asked for the exact plan ------
  const REST_MS = 50;
  dppa.askExact = null; // set by the line of exact numbers
  let timer = 0, moved = "", tries = 0;
  function watchRest() {
    const now = JSON.stringify(dppa.choices(), nine);
    if (now !== moved) { moved = now; tries = 0; askSoon(REST_MS); }
  }
  function askSoon(delay) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!dppa.askExact || !dppa.exact || dppa.isCurrent() || dppa.restoring || tries >= 3) return;
      tries += 1; // an answer to an older question is followed by another try
      dppa.askExact();
    }, delay);
  }

  // --- what the controls amount to ---------------------------------------------------------
  const twelve = (x) => Math.round(x * 1e12) / 1e12;
  dppa.rate = () => twelve(dppa.state.rate / 100);
  dppa.bands = () => {
    const { partitions, shares } = dppa.state;
    const rate = dppa.rate();
    const inner = shares.length
      ? shares.map((share) => 1 - (1 - rate) * share)
      : Array.from({ length: partitions - 1 }, (_, k) => 1 - ((1 - rate) * (k + 1)) / partitions);
    return [...inner.map(twelve), rate];
  };
  // --- the method: what it makes of rate and partitions, and its settings ---------------------
  const methodOf = (name) => dppa.methods.find((method) => method.name === name);
  dppa.method = () => methodOf(dppa.state.method) ?? { name: "dppa", title: "DPPA", levels: "many", shows: "plan", parameters: [] };
  dppa.staged = () => dppa.state.first && dppa.method().combines === true;
  dppa.pruner = () => {
    const method = dppa.staged() ? methodOf("dppa") : dppa.method();
    return method.levels === "none" ? null : method;
  };
  // plan: which changes stay is known before a merge; random: how many; whole: neither.
  dppa.shows = () => (dppa.staged() ? "plan" : dppa.method().shows);
  // A coefficient is a number, or a curve of [layer, number] points where there are any.
  dppa.weight = (model) => (model.curve?.length ? model.curve : model.coefficient);
  dppa.coefficientAt = ({ coefficient, curve }, layer) => {
    if (!curve?.length) return coefficient;
    const after = curve.findIndex(([at]) => at >= layer);
    if (after <= 0) return after < 0 ? curve[curve.length - 1][1] : curve[0][1];
    const [[low, first], [high, last]] = [curve[after - 1], curve[after]];
    return first + ((layer - low) / (high - low)) * (last - first);
  };
  dppa.decides = (model) => model.on && (model.curve?.length ? model.curve.some(([, x]) => x !== 0) : model.coefficient !== 0);
  const deciding = dppa.deciding = () => dppa.state.models.filter(dppa.decides).map((m) => m.ref);
  // Rates of single modules count where the method prunes; by name, as Python sorts them.
  dppa.held = () => (dppa.pruner() ? Object.entries(dppa.state.overrides).sort(([a], [b]) => (a < b ? -1 : 1)) : []);
  dppa.setting = (method, item) => {
    if (item.elsewhere) return dppa.state[item.name];
    const value = dppa.state.values[method.name]?.[item.name] ?? item.default;
    if (!item.model) return value;
    const models = deciding(); // one that takes no part any more gives way to the first that does
    return models.includes(value) ? value : models[0] ?? "";
  };
  function pruningChoice() {
    const pruner = dppa.pruner();
    if (!pruner) return [];
    const value = (item) => (dppa.staged() && !item.elsewhere ? item.default : dppa.setting(pruner, item));
    return [pruner.name, ...pruner.parameters.map(value)];
  }
  function methodChoice() {
    const method = dppa.method();
    const own = method.parameters.filter((item) => !item.elsewhere);
    return [method.name, dppa.staged(), ...own.map((item) => dppa.setting(method, item))];
  }
  dppa.levels = () => {
    const pruner = dppa.pruner();
    if (!pruner) return [0];
    return pruner.levels === "many" ? dppa.bands() : [dppa.rate()];
  };
  dppa.factorsOf = (reference) => {
    const { linked, factors, own } = dppa.state;
    const chosen = linked ? factors : own[reference] || factors;
    if (!dppa.pruner()) return [1];
    return dppa.factorsFor(chosen);
  };
  dppa.factorsFor = (chosen) => dppa.levels().map((_, k) => (k < chosen.length ? chosen[k] : 1));
  dppa.choices = () => {
    const s = dppa.state;
    const active = s.models.filter((model) => model.on);
    const pruner = dppa.pruner();
    return {
      base: s.base, rate: pruner ? dppa.rate() : 0, levels: dppa.levels(),
      parameters: pruner?.name === "dppa" ? [s.strength, s.k_layer, s.k_module, s.significance] : [],
      method: methodChoice(),
      models: active.map((m) => [m.ref, dppa.weight(m), dppa.factorsOf(m.ref)]),
      overrides: dppa.held(),
    };
  };
  dppa.whole = () => ({ // where every control stands, models that are off included
    ...dppa.choices(),
    models: dppa.state.models.map((m) => [m.ref, m.on, dppa.weight(m), dppa.factorsOf(m.ref)]),
  });
  const nine = (_, value) => (typeof value === "number" ? value.toFixed(9) : value);
  const same = (a, b) => JSON.stringify(a, nine) === JSON.stringify(b, nine);
  dppa.isWhole = (other) => same({ ...ordered(other) }, dppa.whole());

  // --- recipes: known by the choices that led to them ---------------------------------------
  const recipes = new Map();
  dppa.recipe = () => recipes.get(JSON.stringify(dppa.choices(), nine)) ?? null; // null: unknown yet
  const ordered = (c) => ({
    base: c.base, rate: c.rate, levels: c.levels, parameters: c.parameters, method: c.method, models: c.models,
    overrides: c.overrides,
  });
  function learn(choices, recipe) {
    recipes.set(JSON.stringify(ordered(choices), nine), recipe);
    if (recipes.size > 500) recipes.delete(recipes.keys().next().value);
  }

  dppa.busy = (part, activity) => { dppa.activity[part] = activity; dppa.redraw(); };

  const plotSettings = () => [dppa.state.base, pruningChoice(), dppa.held()];
  const settingsOf = (s) => [s.base, s.pruning, s.overrides];
  // Whether tables were made for what the controls say, but for the rate.
  dppa.fits = (settings) => same(settingsOf(settings), plotSettings());
  dppa.settingsKey = () => JSON.stringify(plotSettings(), nine);
  // The exact plan of the model in focus, if it was made for exactly what the controls say.
  dppa.exactPlan = () => {
    const exact = dppa.exact;
    if (!exact || !dppa.fits(exact.settings)) return null;
    if (!same(exact.settings.levels, dppa.levels())) return null;
    return exact.plans[dppa.state.focus] || null;
  };
  // --- focus: the model that is drawn is the one touched last, and takes part if any does ------
  const isOn = (reference) => dppa.state.models.some((m) => m.ref === reference && m.on);
  dppa.look = (reference) => { if (dppa.tables[reference]) dppa.set({ focus: reference }); };
  dppa.lookAtActive = () => {
    if (dppa.tables[dppa.state.focus] && isOn(dppa.state.focus)) return;
    const next = dppa.state.models.find((m) => m.on && dppa.tables[m.ref]);
    if (next) dppa.set({ focus: next.ref });
  };
  // What the merge in memory did to every module; null where there is none of these choices.
  dppa.outcome = () => (dppa.isCurrent() && dppa.exact.outcome) || null;
  dppa.table = () => dppa.tables[dppa.state.focus] || null;
  dppa.isCurrent = () => dppa.exact !== null && same(ordered(dppa.exact.choices), dppa.choices());

  function adopt(settings) {
    dppa.set({
      base: settings.base, rate: twelve(settings.rate * 100), partitions: settings.partitions,
      shares: settings.shares, strength: settings.strength,
      k_layer: settings.k_layer, k_module: settings.k_module,
    });
  }
  dppa.takeTables = (value) => {
    if (!value || !value.tables) return;
    dppa.names = value.names;
    dppa.outliers = value.outliers;
    dppa.tables = Object.fromEntries(
      Object.entries(value.tables).map(([name, packed]) => [name, decode(packed)]));
    dppa.state.significance = value.settings.significance; // of what is drawn: measured first
    dppa.state.chosen = value.settings.chosen; // it may wait for a method that ranks by it
    if (value.adopt) adopt(value.settings);
    if (value.look) dppa.look(value.look);
    if (!dppa.tables[dppa.state.focus]) {
      dppa.state.focus = Object.keys(dppa.tables)[0] || "";
      dppa.lookAtActive();
    }
    dppa.redraw();
  };
  dppa.takeExact = (value) => {
    if (!value) return;
    if (value.runs) { dppa.busy(value.runs, "merging"); return; } // its turn has come
    if (value.measuring !== undefined) {
      dppa.measuring = value.measuring;
      dppa.busy("see", value.measuring ? "measuring" : "idle");
      if (!value.plans) return;
    }
    dppa.trouble = value.trouble || ""; // a plan that could not be made: what was drawn stays
    if (!value.plans) { dppa.redraw(); return; }
    dppa.exact = value;
    learn(value.choices, value.recipe);
    dppa.service.merged = value.merged;
    if (value.adopt) adopt(value.settings);
    if (!dppa.isCurrent()) askSoon(150);
    dppa.redraw();
  };

  // --- tables: curves over the rate ----------------------------------------------------------
  function bytes(base64) {
    const text = atob(base64);
    const out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    return out.buffer;
  }
  const TYPES = { u8: Uint8Array, u16: Uint16Array, f32: Float32Array };
  dppa.unpack = unpack;
  function unpack({ dtype, shape, offset, scale, steps, data }) {
    const codes = new TYPES[dtype](bytes(data));
    const values = new Float64Array(codes.length);
    const row = shape[shape.length - 1];
    let sum = 0;
    for (let i = 0; i < codes.length; i++) {
      sum = steps && i % row ? sum + codes[i] : codes[i];
      values[i] = offset + scale * sum;
    }
    return values;
  }
  function decode(packed) {
    const table = { layers: packed.layers, kinds: packed.kinds, modules: packed.modules, count: packed.rates.count };
    for (const [name, array] of Object.entries(packed)) {
      if (array && array.data !== undefined) table[name] = unpack(array);
    }
    return table;
  }
  // Value of curve number `row` at a rate in [0, 1], by linear interpolation.
  dppa.at = (values, row, count, rate) => {
    const place = Math.min(Math.max(rate, 0), 1) * (count - 1);
    const low = Math.min(Math.floor(place + 1e-9), count - 1);
    const part = place - low;
    const first = values[row * count + low];
    if (part < 1e-9 || low + 1 >= count) return first;
    return first + part * (values[row * count + low + 1] - first);
  };
})();
