"""The merge methods as their papers define them: loops over elements, Python numbers.

Shares no code with dppa_core. A tensor is a list of rows; a model is a dict of tensors; what ranks
elements sorts all of them.
"""

import hashlib
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Tensor = list[list[float]]
Key = tuple[str, int, int]  # tensor, row, column
Delta = dict[Key, float]

WORD = (1 << 64) - 1


@dataclass(frozen=True)
class Model:
    """The delta of one domain model, element by element, and its coefficient."""

    name: str
    delta: Delta
    coefficient: float = 1.0


@dataclass(frozen=True)
class Layout:
    """Which elements there are, and the base."""

    shapes: dict[str, tuple[int, int]]
    base: Delta
    seed: int = 0

    def keys(self, tensor: str | None = None) -> Iterator[Key]:
        for name, (rows, columns) in self.shapes.items():
            if tensor in (None, name):
                yield from ((name, r, c) for r in range(rows) for c in range(columns))

    def flat(self, key: Key) -> int:
        return key[1] * self.shapes[key[0]][1] + key[2]

    def row(self, key: Key) -> list[Key]:
        return [(key[0], key[1], c) for c in range(self.shapes[key[0]][1])]


def seed_of(*names: object) -> int:
    text = "\0".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def splitmix(index: int, seed: int) -> int:
    z = (index + seed) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def order(layout: Layout, key: Key) -> int:
    return splitmix(layout.flat(key), seed_of(key[0]))


def draw(layout: Layout, key: Key, model: str) -> float:
    """Uniform in [0, 1)."""
    return splitmix(layout.flat(key), seed_of("drop", key[0], model, layout.seed)) / 2**64


def largest(layout: Layout, values: Delta, keys: Sequence[Key], count: int) -> set[Key]:
    """Exactly `count` of the keys, the largest values, ties in their order, never a 0."""
    ranked = sorted(keys, key=lambda key: (-values[key], order(layout, key)))
    return {key for key in ranked[:count] if values[key] > 0}


def float32(value: float) -> float:
    """Rounded, so that what is equal but for rounding is tied."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def sign(value: float) -> int:
    return (value > 0) - (value < 0)


def sizes(model: Model) -> Delta:
    return {key: abs(value) for key, value in model.delta.items()}


def trim(
    layout: Layout,
    models: Sequence[Model],
    density: float,
    over: str,
    rounded: Callable[[float], int] = round,
) -> list[Model]:
    scopes = [None] if over == "model" else list(layout.shapes)
    result = []
    for model in models:
        kept: set[Key] = set()
        for scope in scopes:
            keys = list(layout.keys(scope))
            kept |= largest(layout, sizes(model), keys, rounded(density * len(keys)))
        delta = {key: value if key in kept else 0.0 for key, value in model.delta.items()}
        result.append(Model(model.name, delta, model.coefficient))
    return result


def elected_mean(
    layout: Layout, models: Sequence[Model], *, mergekit: bool, majority: bool, divide: str
) -> Delta:
    """TIES' steps 2 and 3."""

    def vote(key: Key) -> int:
        if mergekit:
            return sign(math.fsum(m.coefficient * m.delta[key] for m in models))
        return sign(math.fsum(sign(m.coefficient) * m.delta[key] for m in models))

    votes = {key: vote(key) for key in layout.keys()}
    undecided = 1 if mergekit else sign(sum(votes.values())) if majority else 0
    merged = {}
    for key, majority_vote in votes.items():
        gamma = majority_vote or undecided
        agree = [m for m in models if gamma and sign(m.coefficient * m.delta[key]) == gamma]
        total = sum(m.coefficient * m.delta[key] for m in agree)
        weights = sum(m.coefficient if mergekit else abs(m.coefficient) for m in agree)
        divisor = {"coefficients": weights, "number": len(agree), "nothing": 1}[divide]
        if mergekit and any(m.coefficient < 0 for m in models) and abs(divisor) <= 1e-8:
            divisor = 0  # weights that cancel
        merged[key] = total / divisor if divisor else total
    return merged


def scaled(delta: Delta, factor: float) -> Delta:
    return {key: factor * value for key, value in delta.items()}


def at_least_one(count: float) -> int:
    return max(1, math.floor(count)) if count > 0 else 0


def rescaled(layout: Layout, whole: Sequence[Model], left: Sequence[Model]) -> list[Model]:
    """With the sum of |d| of every tensor that the whole delta has."""
    result = []
    for before, after in zip(whole, left, strict=True):
        delta = {}
        for tensor in layout.shapes:
            keys = list(layout.keys(tensor))
            sums = [math.fsum(abs(m.delta[key]) for key in keys) for m in (before, after)]
            factor = sums[0] / sums[1] if min(sums) >= 1e-7 else 1.0
            delta |= {key: factor * after.delta[key] for key in keys}
        result.append(Model(after.name, delta, after.coefficient))
    return result


def ties(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    mergekit = p.semantics == "mergekit"
    over, rounded = ("tensor", at_least_one) if mergekit else (p.ranked_in, round)
    left = trim(layout, models, p.density, over, rounded)
    if mergekit and p.rescale == "yes" and p.density < 1:
        left = rescaled(layout, models, left)
    merged = elected_mean(layout, left, mergekit=mergekit, majority=True, divide=p.divide)
    return scaled(merged, p.scale)


def dropped(layout: Layout, model: Model, rate: float) -> set[Key]:
    return {key for key in layout.keys() if draw(layout, key, model.name) >= 1 - rate}


def vectors_of(layout: Layout, kind: str) -> list[list[Key]]:
    """What is one vector: all keys of a tensor, of a row, or of a column."""
    groups = []
    for tensor, (rows, columns) in layout.shapes.items():
        if kind == "tensor" or (kind == "column" and rows == 1):
            groups.append(list(layout.keys(tensor)))
        elif kind == "row":
            groups += [[(tensor, r, c) for c in range(columns)] for r in range(rows)]
        else:
            groups += [[(tensor, r, c) for r in range(rows)] for c in range(columns)]
    return groups


def dare_ties(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    left, mergekit = [], p.semantics == "mergekit"
    for model in models:
        gone, factor = dropped(layout, model, p.drop), 1.0 if mergekit else 1 / (1 - p.drop)
        delta = {key: 0.0 if key in gone else factor * v for key, v in model.delta.items()}
        left.append(Model(model.name, delta, model.coefficient))
    if mergekit:
        left = rescaled(layout, models, left) if p.rescale == "yes" else left
        merged = elected_mean(layout, left, mergekit=True, majority=True, divide=p.divide)
    else:
        left = trim(layout, left, p.density, p.ranked_in)
        merged = elected_mean(layout, left, mergekit=False, majority=True, divide="coefficients")
    return scaled(merged, p.scale)


def added_up(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    """Without an election; divided by the sum of coefficients where there is one."""
    total = sum(m.coefficient for m in models)
    divisor = total if p.divide == "coefficients" and abs(total) >= 1e-8 else 1.0
    return {
        key: p.scale * sum(m.coefficient * m.delta[key] for m in models) / divisor
        for key in layout.keys()
    }


def breadcrumbs(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    left, mergekit = [], p.semantics == "mergekit"
    for model in models:
        delta = dict.fromkeys(layout.keys(), 0.0)
        for tensor in layout.shapes:
            by_row = p.ranked_in == "row" and not mergekit
            groups = vectors_of(layout, "row" if by_row else "tensor")
            for keys in (group for group in groups if group[0][0] == tensor):
                count, top = round((1 - p.drop_smallest) * len(keys)), p.drop_largest * len(keys)
                if mergekit:
                    target = int((1 - p.drop_smallest - p.drop_largest) * len(keys))
                    count = len(keys) - max(len(keys) - target - int(top), 0)
                    top = count - target
                outliers = largest(layout, sizes(model), keys, round(top))
                for key in largest(layout, sizes(model), keys, count) - outliers:
                    delta[key] = model.delta[key]
        left.append(Model(model.name, delta, model.coefficient))
    if mergekit and p.rescale == "yes":
        left = rescaled(layout, models, left)
    if mergekit and p.signs == "elected":
        merged = elected_mean(layout, left, mergekit=True, majority=True, divide=p.divide)
        return scaled(merged, p.scale)
    return added_up(layout, left, p)


def della(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    left, mergekit = magpruned(layout, models, p), p.semantics == "mergekit"
    merged = elected_mean(layout, left, mergekit=mergekit, majority=False, divide=p.divide)
    return scaled(merged, p.scale)


def magpruned(layout: Layout, models: Sequence[Model], p: object) -> list[Model]:
    left = []
    for model in models:
        chance: Delta = {}
        for key in layout.keys():
            row = sorted(layout.row(key), key=lambda k: (abs(model.delta[k]), -order(layout, k)))
            last = len(row) - 1
            place = row.index(key) / last if last else 0.5
            chance[key] = p.drop + p.window / 2 - p.window * place
        kept = {key for key in layout.keys() if draw(layout, key, model.name) < 1 - chance[key]}
        delta = dict.fromkeys(layout.keys(), 0.0)
        for key in kept:
            factor = 1.0 if p.semantics == "mergekit" else 1 / (1 - chance[key])
            delta[key] = factor * model.delta[key]
        left.append(Model(model.name, delta, model.coefficient))
    by_sum = p.semantics == "mergekit" and p.rescale == "yes"
    return rescaled(layout, models, left) if by_sum else left


def times_coefficient(models: Sequence[Model]) -> list[Delta]:
    return [{k: m.coefficient * v for k, v in m.delta.items()} for m in models]


def sce(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    deltas = times_coefficient(models)
    merged = {}
    for tensor in layout.shapes:
        keys = list(layout.keys(tensor))
        mean = {key: math.fsum(d[key] for d in deltas) / len(deltas) for key in keys}
        variance = {
            key: float32(math.fsum((d[key] - mean[key]) ** 2 for d in deltas) / len(deltas))
            for key in keys
        }
        selected = set(keys)
        if p.density < 1 and len(deltas) > 1:
            differing = sum(value > 0 for value in variance.values())
            rounded = math.floor if p.semantics == "mergekit" else round
            selected = largest(layout, variance, keys, rounded(p.density * differing))
        power = [math.fsum(d[key] ** 2 for key in selected) / len(keys) for d in deltas]
        floor = 1e-6 if p.semantics == "mergekit" else 0.0
        even = sum(power) <= floor
        weights = [1 / len(deltas) if even else share / sum(power) for share in power]
        for key in keys:
            used = key in selected or p.semantics == "reference"
            values = [d[key] if used else 0.0 for d in deltas]
            gamma = sign(math.fsum(values)) or (0 if p.semantics == "paper" else 1)
            agree = [i for i, value in enumerate(values) if gamma and sign(value) == gamma]
            total = sum(weights[i] * values[i] for i in agree)
            divisor = sum(weights[i] for i in agree)
            least = 1e-6 if p.semantics == "mergekit" else 0.0
            divisor = max(divisor, least)
            merged[key] = total / divisor if divisor else 0.0
    return merged


def consensus(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    deltas = times_coefficient(models)
    merged = {}
    for key in layout.keys():
        together = sum(d[key] for d in deltas)
        votes = sum(abs(d[key]) >= p.threshold * abs(together - d[key]) for d in deltas)
        merged[key] = p.scale * together if votes >= p.agreement else 0.0
    return merged


def emr(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    deltas = times_coefficient(models)
    domain_delta = deltas[[m.name for m in models].index(p.domain)]
    unified = {}
    for key in layout.keys():
        gamma = sign(math.fsum(d[key] for d in deltas))
        gamma = gamma or (-1 if p.semantics == "reference" else 0)
        agree = [abs(d[key]) for d in deltas if sign(d[key]) == gamma]
        unified[key] = gamma * max(agree, default=0.0)
    masked = {key: u if domain_delta[key] * u > 0 else 0.0 for key, u in unified.items()}
    top = bottom = 0.0
    for tensor in layout.shapes:
        keys = list(layout.keys(tensor))
        part = len(keys) if p.semantics == "reference" else 1
        top += math.fsum(abs(domain_delta[key]) for key in keys) / part
        bottom += math.fsum(abs(masked[key]) for key in keys) / part
    return scaled(masked, top / bottom if bottom else 0.0)


def linear(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    total = sum(m.coefficient for m in models)
    divisor = total if p.divide == "coefficients" else 1
    return {
        key: sum(m.coefficient * (layout.base[key] + m.delta[key]) for m in models) / divisor
        - layout.base[key]
        for key in layout.keys()
    }


def slerp(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    merged = {}
    ends = [{key: layout.base[key] + m.delta[key] for key in layout.keys()} for m in models]
    a, b = ends if len(ends) == 2 else (layout.base, ends[0])
    t = p.position * models[-1].coefficient
    for tensor in layout.shapes:
        keys = list(layout.keys(tensor))
        dot = math.fsum(a[k] * b[k] for k in keys)
        norms = math.sqrt(math.fsum(a[k] ** 2 for k in keys) * math.fsum(b[k] ** 2 for k in keys))
        cosine = dot / norms if norms > 1e-8 else 1.0
        for k in keys:
            if abs(cosine) > 0.9995:
                merged[k] = (1 - t) * a[k] + t * b[k] - layout.base[k]
            else:
                omega = math.acos(cosine)
                arc = math.sin((1 - t) * omega) * a[k] + math.sin(t * omega) * b[k]
                merged[k] = arc / math.sin(omega) - layout.base[k]
    return merged


def pcb(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    merged: Delta = {}
    for scope in [None] if p.ranked_in == "model" else list(layout.shapes):
        merged |= _compete(layout, models, p, list(layout.keys(scope)))
    return merged


def softmax_of_norm(values: Sequence[float], factor: float) -> list[float]:
    low, span = min(values), (max(values) - min(values)) or 1.0
    powers = [math.exp(factor * (value - low) / span) for value in values]
    return [power / math.fsum(powers) for power in powers]


def _compete(layout: Layout, models: Sequence[Model], p: object, keys: list[Key]) -> Delta:
    deltas = [[sign(m.coefficient) * m.delta[key] for key in keys] for m in models]
    score = _reference_score if p.semantics == "reference" else _paper_score
    scores, deltas = score(deltas)
    top, bottom = [0.0] * len(keys), [0.0] * len(keys)
    for model, scored, delta in zip(models, scores, deltas, strict=True):
        by_key = dict(zip(keys, scored, strict=True))
        kept = largest(layout, by_key, keys, round(p.density * len(keys)))
        low = min((by_key[key] for key in kept), default=0.0)
        high = max((by_key[key] for key in kept), default=0.0)
        for i, key in enumerate(keys):
            if key in kept:
                weight = (by_key[key] - low) / (high - low) if high > low else 1.0
                top[i] += weight * abs(model.coefficient) * delta[i]
                bottom[i] += weight
    return {key: p.scale * t / b if b else 0.0 for key, t, b in zip(keys, top, bottom, strict=True)}


Scored = tuple[list[list[float]], list[list[float]]]


def _paper_score(deltas: list[list[float]]) -> Scored:
    scores = []
    for delta in deltas:
        within = softmax_of_norm([x * x for x in delta], len(deltas))
        across = [
            softmax_of_norm([x * y for x, y in zip(delta, counterpart, strict=True)], 1.0)
            for counterpart in deltas
        ]
        columns = zip(within, *across, strict=True)
        scores.append([w * math.fsum(parts) * len(delta) ** 2 for w, *parts in columns])
    return scores, deltas


def _reference_score(deltas: list[list[float]]) -> Scored:
    together = [sum(column) for column in zip(*deltas, strict=True)]
    scores, clamped = [], []
    for delta in deltas:
        ranked = sorted(abs(x) for x in delta)
        low = ranked[int(len(delta) * 0.0001)]
        high = ranked[max(int(len(delta) * (1 - 0.0001) - 1), 0)]
        size = [min(max(abs(x), low), high) for x in delta]
        span = (high - low) or 1.0
        scores.append(
            [
                max(math.exp(len(deltas) * ((s - low) / span) ** 2) * math.tanh(x * t), 0.0)
                for s, x, t in zip(size, delta, together, strict=True)
            ]
        )
        clamped.append([sign(x) * s for x, s in zip(delta, size, strict=True)])
    return scores, clamped


def magmax(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    deltas = times_coefficient(models)
    return {
        key: p.scale * max((d[key] for d in deltas), key=lambda value: (abs(value), value))
        for key in layout.keys()
    }


def cabs(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    merged, taken = {key: 0.0 for key in layout.keys()}, set[Key]()
    for model in models:
        for tensor, (rows, columns) in layout.shapes.items():
            for row in range(rows):
                for first in range(0, columns, p.m):
                    last = min(first + p.m, columns)
                    group = [(tensor, row, column) for column in range(first, last)]
                    free = [key for key in group if key not in taken and model.delta[key]]
                    free.sort(key=lambda key: (-abs(model.delta[key]), order(layout, key)))
                    for key in free[: math.ceil(p.n * len(group) / p.m)]:
                        taken.add(key)
                        merged[key] = p.scale * model.coefficient * model.delta[key]
    return merged


def localize_and_stitch(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    keys = list(layout.keys())
    kept = [
        set(keys)
        if p.density >= 1
        else largest(layout, {k: abs(m.delta[k]) for k in keys}, keys, round(p.density * len(keys)))
        for m in models
    ]
    merged = {}
    for key in keys:
        parts = [
            m.coefficient * m.delta[key] for m, k in zip(models, kept, strict=True) if key in k
        ]
        merged[key] = p.scale * sum(parts) / len(parts) if parts else 0.0
    return merged


def lines(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    """The random models have one layer, the first."""
    return {
        key: p.first * sum(m.coefficient * m.delta[key] for m in models) for key in layout.keys()
    }


METHODS: dict[str, Callable[[Layout, Sequence[Model], object], Delta]] = {
    "linear": linear,
    "slerp": slerp,
    "ties": ties,
    "dare_ties": dare_ties,
    "breadcrumbs": breadcrumbs,
    "della": della,
    "pcb": pcb,
    "sce": sce,
    "consensus": consensus,
    "emr": emr,
    "magmax": magmax,
    "lines": lines,
    "cabs": cabs,
    "localize_and_stitch": localize_and_stitch,
}
