// Models in the memory of the compiled loops (assets/tab/): weights as bfloat16, ranks, and one merge.

const HEADS = 64, THETA = 10000, POSITIONS = 512; // width of a head, base of the rotation, most tokens
const MERGED = "merged", STEPS = 1024; // of the sums of d² over the ranks
/** Bits by which a rank is shortened to 16. @param {number} count Elements. */
const shiftOf = (count) => (count > 1 << 16 ? 1 : 0);
const TREATMENT = 1024, BANDS_AT = 48, BAND = 16; // bytes, as assets/tab/kernels/merge.ts reads them
const PER_LAYER = ["input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
  "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];

/** @param {any} wasm Exports of the compiled loops. @param {any} manifest dppa_core/tab/manifest.py */
export function memory(wasm, manifest) {
  let numel = 0;
  /** @type {TabTensor[]} */
  const tensors = manifest.tensors.map(([name, count, layer], index) => {
    numel += count;
    return { index, name, numel: count, layer, place: 2 * (numel - count), module: -1, seed: 0n };
  });
  manifest.modules.forEach(([at, , seed], i) =>
    Object.assign(tensors[at], { module: i, seed: BigInt(`0x${seed}`) }));
  const placeOf = (/** @type {string} */ name) => tensors[tensors.findIndex((tensor) => tensor.name === name)].place;
  const at = (/** @type {string} */ model) => /** @type {number} */ (models.get(model));
  const words = (address, length) => new Uint32Array(wasm.memory.buffer, address, length);
  const bits = (address) => new Uint16Array(wasm.memory.buffer, address, numel);
  const layers = Math.max(...tensors.map(({ layer }) => layer ?? 0)) + 1;
  const places = [placeOf("model.embed_tokens.weight"), placeOf("model.norm.weight")];
  for (let layer = 0; layer < layers; layer++)
    places.push(...PER_LAYER.map((part) => placeOf(`model.layers.${layer}.${part}.weight`)));
  const treatments = wasm.reserve(16 * TREATMENT);
  const table = wasm.reserve(4 * places.length);
  words(table, places.length).set(places);
  const turns = new Float32Array(wasm.memory.buffer, wasm.places(0), POSITIONS * HEADS);
  for (let place = 0; place < POSITIONS; place++)
    for (let i = 0; i < HEADS / 2; i++) {
      const angle = Math.fround(place * Math.fround(1 / Math.fround(THETA ** ((2 * i) / HEADS))));
      turns[place * HEADS + i] = Math.cos(angle);
      turns[place * HEADS + HEADS / 2 + i] = Math.sin(angle);
    }

  /** Models, and "merged" after the first merge. @type {Map<string, number>} */
  const models = new Map();
  /** Reference -> of each tensor, addresses of ranks, odd bits, sums of d². @type {Map<string, number[][]>} */
  const ranks = new Map();
  /** @param {string} model */
  function rank(model) {
    const base = at(manifest.base), tuned = at(model);
    ranks.set(model, tensors.map(({ place, numel: count, module, seed }) => {
      if (module < 0) return [0, 0, 0];
      const shift = shiftOf(count), ranked = wasm.reserve(2 * count), odd = wasm.reserve((shift * count) >> 3);
      const sums = wasm.reserve(8 * (STEPS + 1));
      wasm.rank(base + place, tuned + place, count, seed, shift, ranked, odd, sums);
      return [ranked, shift && odd, sums];
    }));
  }

  /** Write a treatment where the loops read it. @param {number} index @param {any} tensor @param {string} model */
  function note(index, tensor, model, /** @type {TabTreatment} */ treatment) {
    const row = treatments + index * TREATMENT, view = new DataView(wasm.memory.buffer);
    const [ranked, odd] = ranks.get(model)?.[tensor.index] ?? [0, 0];
    const kept = treatment.kind === "bands" ? treatment.kept : [];
    const isRare = kept.some((count) => odd ? count < 2 || count & 1 : !count);
    words(row, 6).set([at(model) + tensor.place,
      ["whole", "bands", "drawn"].indexOf(treatment.kind), ranked, odd, kept.length, Number(isRare)]);
    if (treatment.kind === "drawn") {
      view.setBigUint64(row + 24, treatment.seed, true);
      view.setBigUint64(row + 32, treatment.cut, true);
    }
    if (treatment.kind !== "bands") { view.setFloat32(row + 40, treatment.weight, true); return; }
    kept.forEach((count, k) => {
      const short = odd ? count >> 1 : count, band = row + BANDS_AT + k * BAND;
      new Uint16Array(wasm.memory.buffer, band, 4)
        .set([short - 1, short ? 0xffff : 0, short, odd && count & 1 ? 0xffff : 0]);
      view.setFloat32(band + 8, treatment.weights[k], true);
    });
  }

  /** What each tensor was last merged of, as text. @type {string[]} */
  const made = [];
  return {
    tensors, table,
    has: (/** @type {string} */ model) => models.has(model),
    /** The address of a model, or of what was merged last: "merged". */
    at,
    /** A copy of their weights. @param {string} model */
    weightsOf: (model) => bits(at(model)).slice(),
    /** @param {string} model @param {Uint16Array} weights */
    put(model, weights) {
      const address = wasm.reserve(2 * numel);
      bits(address).set(weights);
      models.set(model, address);
    },
    /**
     * What a plan keeps of a ranked model: the threshold of every module by level, and the sums of d² that stay and
     * that there are.
     * @param {string} model @param {{density: number[], kept: number[]}[]} planned
     */
    measured(model, planned) {
      const modules = tensors.filter(({ module }) => module >= 0).sort((a, b) => a.module - b.module);
      const thresholds = planned.map(({ density }) => modules.map(({ index, place, numel: count, module }) => {
        const [ranked, odd] = /** @type {number[][]} */ (ranks.get(model))[index];
        const rank = count - 1 - Math.min(Math.trunc(count * (1 - density[module])), count - 1);
        return wasm.magnitude(at(manifest.base) + place, at(model) + place, count, shiftOf(count), ranked, odd, rank);
      }));
      const { kept } = planned[planned.length - 1];
      return { thresholds, energy: modules.map(({ index, numel: count, module }) => {
        const [, , sums] = /** @type {number[][]} */ (ranks.get(model))[index];
        const squares = new Float64Array(wasm.memory.buffer, sums, STEPS + 1), step = (kept[module] * STEPS) / count;
        const low = Math.min(Math.floor(step), STEPS - 1);
        return [squares[low] + (step - low) * (squares[low + 1] - squares[low]), squares[STEPS]];
      }) };
    },
    /**
     * Merge where something changed.
     * @param {{model: string, of: (tensor: TabTensor) => TabTreatment | null}[]} parts In the recipe's order.
     */
    merge(parts) {
      if (!models.has(MERGED)) models.set(MERGED, wasm.reserve(2 * numel));
      tensors.forEach((tensor, t) => {
        const taken = parts.map(({ model, of }) => ({ model, treatment: of(tensor) }))
          .filter(({ treatment }) => treatment);
        const text = JSON.stringify(taken, (_, value) => (typeof value === "bigint" ? `${value}` : value));
        if (made[t] === text) return;
        taken.forEach(({ model, treatment }, i) => {
          if (treatment?.kind === "bands" && !ranks.has(model)) rank(model);
          note(i, tensor, model, /** @type {TabTreatment} */ (treatment));
        });
        const { place, numel: count } = tensor;
        wasm.merge(at(manifest.base) + place, at(MERGED) + place, count, treatments, taken.length);
        made[t] = text;
      });
    },
  };
}
