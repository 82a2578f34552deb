// Models in the memory of the compiled loops (assets/tab/): weights as bfloat16, ranks, and one merge.

const HEADS = 64, THETA = 10000, POSITIONS = 512; // width of a head, base of the rotation, most tokens
const MERGED = "merged", MOST_RANKS = 1 << 16; // of 16 bits; those of more elements are shortened by one bit
const KINDS = ["whole", "bands", "drawn"];
const TREATMENT = 1024, BANDS_AT = 48, BAND = 16; // bytes, as assets/tab/kernels/merge.ts reads them

/** An element survives a drop iff its draw of 64 bits is smaller. @param {number} rate */
const drawCut = (rate) => (rate ? BigInt((1 - rate) * 2 ** 64) : 2n ** 64n - 1n);

/** @param {any} wasm Exports of the compiled loops. @param {any} manifest dppa_core/tab/manifest.py */
export function memory(wasm, manifest) {
  let numel = 0;
  /** @type {TabTensor[]} */
  const tensors = manifest.tensors.map(([, count, layer], index) => {
    numel += count;
    return { index, numel: count, layer, place: 2 * (numel - count), module: -1, seed: 0n };
  });
  /** @type {TabTensor[]} */
  const modules = manifest.modules.map(([at, , seed], module) =>
    Object.assign(tensors[at], { module, seed: BigInt(`0x${seed}`) }));
  const at = (/** @type {string} */ model) => /** @type {number} */ (models.get(model));
  const bits = (address) => new Uint16Array(wasm.memory.buffer, address, numel);
  const treatments = wasm.reserve(16 * TREATMENT);
  const turns = new Float32Array(wasm.memory.buffer, wasm.TURNS.value, POSITIONS * HEADS);
  for (let place = 0; place < POSITIONS; place++)
    for (let i = 0; i < HEADS / 2; i++) {
      const angle = Math.fround(place * Math.fround(1 / Math.fround(THETA ** ((2 * i) / HEADS))));
      turns[place * HEADS + i] = Math.cos(angle);
      turns[place * HEADS + HEADS / 2 + i] = Math.sin(angle);
    }

  /** Models, and "merged" after the first merge. @type {Map<string, number>} */
  const models = new Map();
  /** Model -> addresses of the ranks in each tensor. @type {Map<string, number[]>} */
  const ranks = new Map();
  /** @param {string} model @returns {number[]} */
  function ranksOf(model) {
    const base = at(manifest.base), tuned = at(model);
    const ranked = ranks.get(model) ?? tensors.map(({ place, numel: count, module, seed }) =>
      (module < 0 ? 0 : wasm.rank(base + place, tuned + place, count, seed)));
    ranks.set(model, ranked);
    return ranked;
  }

  /** Write a treatment where the loops read it. @param {number} row @param {TabTensor} tensor */
  function note(row, { index, numel: count, place }, /** @type {TabTreatment} */ treatment) {
    const { model, kind } = treatment, isShort = count > MOST_RANKS;
    const ranked = kind === "bands" ? ranksOf(model)[index] : 0, kept = kind === "bands" ? treatment.kept : [];
    const isRare = kept.some((some) => (isShort ? some < 2 || some & 1 : !some));
    const { buffer } = wasm.memory, view = new DataView(buffer);
    new Uint32Array(buffer, row, 6).set([at(model) + place, KINDS.indexOf(kind), ranked, ranked + 2 * count,
      kept.length, Number(isRare)]);
    if (kind === "drawn") {
      view.setBigUint64(row + 24, BigInt(`0x${treatment.seed}`), true);
      view.setBigUint64(row + 32, drawCut(treatment.rate), true);
    }
    if (kind !== "bands") { view.setFloat32(row + 40, treatment.weight, true); return; }
    kept.forEach((some, k) => {
      const short = isShort ? some >> 1 : some, band = row + BANDS_AT + k * BAND;
      new Uint16Array(buffer, band, 4).set([short - 1, short ? 0xffff : 0, short, isShort && some & 1 ? 0xffff : 0]);
      view.setFloat32(band + 8, treatment.weights[k], true);
    });
  }

  /** What each tensor was last merged of, as text. @type {string[]} */
  const made = [];
  return {
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
     * What a plan keeps of a model: the threshold of every module by level, and the sums of d² that stay and that
     * there are.
     * @param {string} model @param {{density: number[], kept: number[]}[]} planned
     */
    measured(model, planned) {
      const base = at(manifest.base), tuned = at(model), ranked = ranksOf(model);
      const { kept } = planned[planned.length - 1];
      return {
        thresholds: planned.map(({ density }) => modules.map(({ index, place, numel: count }, i) => {
          const rank = count - 1 - Math.min(Math.trunc(count * (1 - density[i])), count - 1);
          return wasm.magnitude(base + place, tuned + place, count, ranked[index], rank);
        })),
        energy: modules.map(({ index, numel: count }, i) =>
          [kept[i], count].map((some) => wasm.energy(ranked[index], count, some))),
      };
    },
    /**
     * Merge where something changed.
     * @param {{of: (tensor: TabTensor) => TabTreatment | null}[]} parts In the recipe's order.
     */
    merge(parts) {
      if (!models.has(MERGED)) models.set(MERGED, wasm.reserve(2 * numel));
      for (const tensor of tensors) {
        const taken = parts.flatMap(({ of }) => of(tensor) ?? []), text = JSON.stringify(taken);
        const { index, place, numel: count } = tensor;
        if (made[index] === text) continue;
        taken.forEach((treatment, i) => note(treatments + i * TREATMENT, tensor, treatment));
        wasm.merge(at(manifest.base) + place, at(MERGED) + place, count, treatments, taken.length);
        made[index] = text;
      }
    },
  };
}
