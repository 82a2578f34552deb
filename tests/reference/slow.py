"""DPPA as specified: one line per step, no histogram, no kernel, no chunks.

Shares no code with dppa_core. Every decision about an element sorts all of them.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

MODULE = re.compile(r"(?:\S+\.)?((?:layers|h|blocks)\.(\d+)\.(\S+?))(?:\.weight)?")
# Every name a module has in any family; * is the number of an expert.
PARTS = {
    "q": "self_attn.q_proj attn.q_proj attn.attention.q_proj",
    "k": "self_attn.k_proj attn.k_proj attn.attention.k_proj",
    "v": "self_attn.v_proj attn.v_proj attn.attention.v_proj",
    "qkv": "self_attn.qkv_proj attn.c_attn attention.query_key_value attn.Wqkv "
    "self_attention.query_key_value",
    "o": "self_attn.o_proj self_attn.out_proj self_attn.dense attn.c_proj attn.out_proj "
    "attn.attention.out_proj attention.dense self_attention.dense",
    "router": "mlp.gate mlp.shared_expert_gate mlp.router block_sparse_moe.gate",
    "gate": "mlp.gate_proj block_sparse_moe.experts.*.w1 mlp.experts.*.gate_proj "
    "mlp.shared_expert.gate_proj",
    "up": "mlp.up_proj mlp.fc1 mlp.fc_in mlp.c_fc mlp.dense_h_to_4h fc1 ffn.up_proj "
    "block_sparse_moe.experts.*.w3 mlp.experts.*.up_proj mlp.shared_expert.up_proj",
    "gate_up": "mlp.gate_up_proj mlp.experts.gate_up_proj",
    "down": "mlp.down_proj mlp.fc2 mlp.fc_out mlp.c_proj mlp.dense_4h_to_h fc2 ffn.down_proj "
    "block_sparse_moe.experts.*.w2 mlp.experts.*.down_proj mlp.shared_expert.down_proj "
    "mlp.experts.down_proj",
}
KIND = {part: kind for kind, parts in PARTS.items() for part in parts.split()}
KINDS = tuple(PARTS)


@dataclass(frozen=True)
class Weights:
    """All tensors of a folder, as float32."""

    arrays: dict[str, np.ndarray]


def read(folder: Path) -> Weights:
    arrays = {}
    for file in sorted(folder.glob("*.safetensors")):
        arrays |= {name: tensor.float().numpy() for name, tensor in load_file(file).items()}
    return Weights(arrays)


@dataclass(frozen=True)
class Delta:
    name: str
    tensor: str
    layer: int
    kind: str
    d: np.ndarray  # flat, float32

    @property
    def n(self) -> int:
        return self.d.size


Score = Callable[[Delta], np.ndarray]


def deltas(base: Weights, tuned: Weights) -> list[Delta]:
    deltas = []
    for tensor, weight in base.arrays.items():
        match = MODULE.fullmatch(tensor)
        kind = match and KIND.get(re.sub(r"\bexperts\.\d+", "experts.*", match[3]))
        if match and kind:
            d = (tuned.arrays[tensor] - weight).astype(np.float32).ravel()
            deltas.append(Delta(match[1], tensor, int(match[2]), kind, d))
    return sorted(deltas, key=lambda m: (m.layer, KINDS.index(m.kind), m.name))


def outliers(d: np.ndarray, k: float) -> float:
    magnitude = np.abs(d).astype(np.float64)
    return float((magnitude > k * magnitude.mean()).mean())


def adjustments(
    modules: Sequence[Delta], strength: float, k_layer: float, k_module: float, scaling: str
) -> list[float]:
    if scaling == "reversed":
        strength = -strength
    layers = sorted({m.layer for m in modules})
    S = {
        b: outliers(np.concatenate([m.d for m in modules if m.layer == b]), k_layer) for b in layers
    }
    mean_S = sum(S.values()) / len(S)
    spread = mean_S if scaling == "mean" else max(abs(s - mean_S) for s in S.values())
    equal = max(S.values()) == min(S.values())
    a_b = {b: 0.0 if equal else strength * (S[b] - mean_S) / spread for b in layers}

    s = [outliers(m.d, k_module) for m in modules]
    mean_s = sum(s) / len(s)
    if max(s) == min(s):
        return [a_b[m.layer] for m in modules]
    u = [x / mean_s for x in s]
    weighted = sum(x * m.n for x, m in zip(u, modules, strict=True)) / sum(m.n for m in modules)
    c = [x - weighted for x in u]
    largest = 1.0 if scaling == "mean" else max(abs(x) for x in c)
    a_l = [strength * x / largest for x in c]
    return [a_b[m.layer] + a for m, a in zip(modules, a_l, strict=True)]


def in_box(adjustment: Sequence[float], sizes: Sequence[int], p: float) -> list[float]:
    """Densities in [0, 1] with the weighted mean 1 - p: the shift is found by bisection."""

    def densities(shift: float) -> list[float]:
        return [min(max(1 - p + a + shift, 0.0), 1.0) for a in adjustment]

    def mean(shift: float) -> float:
        pairs = zip(densities(shift), sizes, strict=True)
        return sum(density * n for density, n in pairs) / sum(sizes)

    low, high = -2.0, 2.0
    for _ in range(200):
        middle = (low + high) / 2
        if mean(middle) < 1 - p:
            low = middle
        else:
            high = middle
    return [round(density, 12) for density in densities(high)]  # the rest is noise


def order_among_ties(tensor: str, n: int) -> np.ndarray:
    """The fixed pseudo-random order of flat indices: splitmix64's finaliser, seeded by name."""
    seed = int.from_bytes(hashlib.sha256(tensor.encode()).digest()[:8], "little")
    z = np.arange(n, dtype=np.uint64) + np.uint64(seed)  # uint64 arithmetic wraps
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def threshold(module: Delta, density: float) -> float:
    ordered = np.sort(np.abs(module.d))
    return float(ordered[min(int(module.n * (1 - density)), module.n - 1)])


def kept_exactly(module: Delta, density: float) -> np.ndarray:
    """Mask of the round(n * density) largest, ties in their order, never one with d = 0."""
    magnitude = np.abs(module.d)
    ranking = np.lexsort((order_among_ties(module.tensor, module.n), -magnitude))
    mask = np.zeros(module.n, bool)
    mask[ranking[: round(module.n * density)]] = True
    return mask & (magnitude > 0)


def kept_above(module: Delta, density: float) -> np.ndarray:
    """Mask of `ties: prune`: strictly above the threshold."""
    return np.abs(module.d) > np.float32(threshold(module, density))


@dataclass(frozen=True)
class Planned:
    module: Delta
    densities: list[float]  # one a level
    masks: list[np.ndarray]


def plan(
    base: Weights,
    tuned: Weights,
    levels: Sequence[float],
    *,
    ties: str = "exact",
    strength: float = 0.08,
    k_layer: float = 3.0,
    k_module: float = 5.0,
    scaling: str = "largest",
    score: Score | None = None,
) -> list[Planned]:
    modules = deltas(base, tuned)
    if score:  # it replaces |d| in all steps; the place of an element decides what is kept
        modules = [replace(m, d=score(m)) for m in modules]
    adjustment = adjustments(modules, strength, k_layer, k_module, scaling)
    sizes = [m.n for m in modules]
    by_level = [in_box(adjustment, sizes, p) for p in levels]
    keep = kept_exactly if ties == "exact" else kept_above
    return [
        Planned(m, [row[i] for row in by_level], [keep(m, row[i]) for row in by_level])
        for i, m in enumerate(modules)
    ]


@dataclass(frozen=True)
class Treated:
    """One domain model of a merge."""

    weights: Weights
    levels: Sequence[float]
    amplification: Sequence[float]
    coefficient: float


def merge(
    base: Weights,
    models: Sequence[Treated],
    *,
    ties: str = "exact",
    strength: float = 0.08,
    score: Score | None = None,
) -> Weights:
    """base + sum of w_t * sum_k alpha_k * (D * P_k), in float32, other tensors kept whole."""
    total = {name: weight.ravel().copy() for name, weight in base.arrays.items()}
    for model in models:
        how = {"ties": ties, "strength": strength, "score": score}
        plans = plan(base, model.weights, model.levels, **how)  # type: ignore[arg-type]
        planned = {p.module.tensor: p for p in plans}
        for name, weight in base.arrays.items():
            d = (model.weights.arrays[name] - weight).astype(np.float32).ravel()
            w = np.full(d.size, np.float32(model.coefficient))
            if name in planned:
                w[:] = 0
                before = np.zeros(d.size, bool)
                for mask, alpha in zip(planned[name].masks, model.amplification, strict=True):
                    w[mask & ~before] = np.float32(model.coefficient * alpha)
                    before = mask
            total[name] = total[name] + w * d
    return Weights({n: total[n].reshape(w.shape) for n, w in base.arrays.items()})
