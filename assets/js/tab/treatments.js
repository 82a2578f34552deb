// A merge as its tensors see it: which part of each model's delta is added, times what.
// dppa_core/methods/ and dppa_core/merging/passes/deltas.py are the definition.
import { plan } from "./planner.js";

/** Of tensors outside the layers: the mean. @param {number[]} coefficients @param {number | null} layer */
const coefficientOf = (coefficients, layer) =>
  (layer === null ? coefficients.reduce((sum, x) => sum + x, 0) / coefficients.length : coefficients[layer]);

/** An element survives a drop iff its draw of 64 bits is smaller. @param {number} rate */
const drawCut = (rate) => (rate ? BigInt((1 - rate) * 2 ** 64) : 2n ** 64n - 1n);

/**
 * The treatment of each model's delta, tensor by tensor; null where nothing is added. And its plan, if it is ranked.
 * @param {TabMerge} merge @param {any} manifest
 * @returns {{model: string, planned: ReturnType<typeof plan>, of: (tensor: TabTensor) => TabTreatment | null}[]}
 */
export function treatments({ method, strength, others, models }, manifest) {
  const modules = manifest.modules.map(([at]) => {
    const [, numel, layer] = manifest.tensors[at];
    return { layer, numel };
  });
  const ranks = method === "dppa" || method === "magnitude";
  return models.map(({ model, levels, factors, coefficients }) => {
    const rate = levels[levels.length - 1], last = factors[factors.length - 1];
    const planned = ranks ? plan(modules, manifest.models[model], levels, method === "dppa" ? strength : 0) : [];
    return { model, planned, of(tensor) {
      const coefficient = coefficientOf(coefficients, tensor.layer), isModule = tensor.module >= 0;
      if (!isModule && others === "drop") return null;
      if (method === "dare" && (isModule || others === "prune"))
        return { kind: "drawn", seed: BigInt(`0x${manifest.models[model].draws[tensor.index]}`), cut: drawCut(rate),
          weight: Math.fround(coefficient * (last / (1 - rate))) };
      if (isModule && ranks)
        return { kind: "bands", kept: planned.map(({ kept }) => kept[tensor.module]),
          weights: factors.map((factor) => Math.fround(coefficient * factor)) };
      return { kind: "whole", weight: Math.fround(isModule ? coefficient * last : coefficient) };
    } };
  });
}
