// A merge as its tensors see it: which part of each model's delta is added, times what.
// dppa_core/methods/ and dppa_core/merging/passes/deltas.py are the definition.
import { plan } from "./planner.js";

/** Of tensors outside the layers: the mean. @param {number[]} coefficients @param {number | null} layer */
const coefficientOf = (coefficients, layer) =>
  (layer === null ? coefficients.reduce((sum, x) => sum + x, 0) / coefficients.length : coefficients[layer]);

/**
 * The treatment of each model's delta, tensor by tensor; null where nothing is added. And its plan, if it is ranked:
 * the tab's own, or the counts that came with the merge.
 * @param {TabMerge} merge @param {any} manifest
 * @returns {{model: string, planned: {kept: number[], density?: number[]}[],
 *   of: (tensor: TabTensor) => TabTreatment | null}[]}
 */
export function treatments({ method, strength, others, models, counts }, manifest) {
  const modules = manifest.modules.map(([at]) => {
    const [, numel, layer] = manifest.tensors[at];
    return { layer, numel };
  });
  const ranks = method === "dppa" || method === "magnitude";
  return models.map(({ model, levels, factors, coefficients }) => {
    const rate = levels[levels.length - 1], last = factors[factors.length - 1];
    const planned = counts ? counts[model].map((kept) => ({ kept }))
      : ranks ? plan(modules, manifest.models[model], levels, method === "dppa" ? strength : 0) : [];
    return { model, planned, of({ index, layer, module }) {
      const coefficient = coefficientOf(coefficients, layer), isModule = module >= 0;
      if (!isModule && others === "drop") return null;
      if (method === "dare" && (isModule || others === "prune"))
        return { model, kind: "drawn", seed: manifest.models[model].draws[index], rate,
          weight: Math.fround(coefficient * (last / (1 - rate))) };
      if (isModule && ranks)
        return { model, kind: "bands", kept: planned.map(({ kept }) => kept[module]),
          weights: factors.map((factor) => Math.fround(coefficient * factor)) };
      return { model, kind: "whole", weight: Math.fround(isModule ? coefficient * last : coefficient) };
    } };
  });
}
