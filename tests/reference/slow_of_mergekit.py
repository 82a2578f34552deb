"""The methods that mergekit defines, as it does: loops over elements, Python numbers.

Shares no code with dppa_core, as `slow_methods`.
"""

import math
from collections.abc import Callable, Sequence

from tests.reference.slow_methods import (
    Delta,
    Key,
    Layout,
    Model,
    added_up,
    magpruned,
    times_coefficient,
    vectors_of,
)


def dot(a: Delta, b: Delta, keys: Sequence[Key]) -> float:
    return math.fsum(a[key] * b[key] for key in keys)


def tuned(layout: Layout, models: Sequence[Model]) -> list[Delta]:
    return [{key: layout.base[key] + m.delta[key] for key in layout.keys()} for m in models]


def model_stock(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    deltas, merged, count = times_coefficient(models), {}, len(models)
    for keys in vectors_of(layout, p.angles_of):
        cosines = []
        for i, a in enumerate(deltas):
            for b in deltas[i + 1 :]:
                norms = math.sqrt(dot(a, a, keys)) * math.sqrt(dot(b, b, keys))
                cosines.append(max(-1, min(1, dot(a, b, keys) / max(norms, 1e-6))))
        mean = sum(cosines) / len(cosines) if cosines else 1.0
        divisor = 1 + (count - 1) * mean
        t = count * mean / divisor if abs(divisor) >= 1e-6 else 0.0
        merged |= {key: t * sum(d[key] for d in deltas) / count for key in keys}
    return merged


def nuslerp(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    ends = [m.delta for m in models] if p.turned == "deltas" else tuned(layout, models)
    origin = dict.fromkeys(layout.keys(), 0.0) if p.turned == "deltas" else layout.base
    if len(models) == 1:
        return models[0].delta
    (a, b), weights, merged = ends, [m.coefficient for m in models], {}
    t = weights[1] / sum(weights) if abs(sum(weights)) >= 1e-6 else 0.5
    for keys in vectors_of(layout, p.vectors):
        norms = [max(math.sqrt(dot(end, end, keys)), 1e-7) for end in ends]
        cosine = max(-1, min(1, dot(a, b, keys) / (norms[0] * norms[1])))
        shares = 1 - t, t
        if 1 - cosine**2 > 1e-16:
            omega = math.acos(cosine)
            shares = [math.sin(part * omega) / math.sin(omega) for part in shares]
        merged |= {key: shares[0] * a[key] + shares[1] * b[key] - origin[key] for key in keys}
    return merged


def multislerp(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    """On the sphere: to the tangent plane at the mean, add up there, and back."""
    points = [m.delta for m in models] if p.turned == "deltas" else tuned(layout, models)
    origin = dict.fromkeys(layout.keys(), 0.0) if p.turned == "deltas" else layout.base
    weights, merged = [m.coefficient for m in models], {}
    if p.divide == "coefficients" and abs(sum(weights)) >= 1e-8:
        weights = [weight / sum(weights) for weight in weights]
    for keys in vectors_of(layout, "tensor"):
        norms = [math.sqrt(dot(point, point, keys)) for point in points]
        units = [
            {k: point[k] / (norm + p.eps) for k in keys}
            for point, norm in zip(points, norms, strict=True)
        ]
        mean = {k: sum(w * u[k] for w, u in zip(weights, units, strict=True)) for k in keys}
        length = math.sqrt(dot(mean, mean, keys))
        if length < 1e-7:
            plain = {k: sum(w * v[k] for w, v in zip(weights, points, strict=True)) for k in keys}
            merged |= {k: plain[k] - origin[k] for k in keys}
            continue
        mean = {k: value / length for k, value in mean.items()}
        tangents = [{k: u[k] - dot(u, mean, keys) * mean[k] for k in keys} for u in units]
        way = {k: sum(w * v[k] for w, v in zip(weights, tangents, strict=True)) for k in keys}
        angle = math.sqrt(dot(way, way, keys)) + p.eps
        size = sum(w * norm for w, norm in zip(weights, norms, strict=True))
        for k in keys:
            point = mean[k] * math.cos(angle) + way[k] * math.sin(angle) / angle
            merged[k] = size * point - origin[k]
    return merged


def karcher(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    merged, points = {}, tuned(layout, models)
    total = sum(m.coefficient for m in models)
    if abs(total) < 1e-8:
        return dict.fromkeys(layout.keys(), 0.0)
    weights = [m.coefficient / total for m in models]
    for keys in vectors_of(layout, "tensor"):
        norms = [math.sqrt(dot(point, point, keys)) for point in points]
        near = [(w, v, n) for w, v, n in zip(weights, points, norms, strict=True) if n > p.tol]
        alphas = [w / sum(w for w, _, _ in near) for w, _, _ in near]
        units = [{k: v[k] / n for k in keys} for _, v, n in near]
        mean = {k: sum(a * u[k] for a, u in zip(alphas, units, strict=True)) for k in keys}
        length = math.sqrt(dot(mean, mean, keys))
        mean = units[0] if length < p.tol else {k: v / length for k, v in mean.items()}
        for _ in range(p.max_iter):
            step = dict.fromkeys(keys, 0.0)
            for alpha, unit in zip(alphas, units, strict=True):
                cosine = max(-1, min(1, dot(mean, unit, keys)))
                angle = math.acos(cosine)
                if p.tol <= angle <= math.pi - p.tol:
                    for k in keys:
                        step[k] += alpha * angle / math.sin(angle) * (unit[k] - cosine * mean[k])
            length = math.sqrt(dot(step, step, keys))
            if length < p.tol:
                break
            mean = {
                k: math.cos(length) * mean[k] + math.sin(length) * step[k] / length for k in keys
            }
            again = math.sqrt(dot(mean, mean, keys))
            mean = {k: v / again for k, v in mean.items()}
        size = sum(w * n for w, n in zip(weights, norms, strict=True))
        merged |= {k: size * mean[k] - layout.base[k] for k in keys}
    return merged


def ends_of(layout: Layout, models: Sequence[Model]) -> tuple[Delta, Delta]:
    points = tuned(layout, models)
    return (points[0], points[1]) if len(points) == 2 else (layout.base, points[0])


def nearswap(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    a, b = ends_of(layout, models)
    t, merged = p.t * models[-1].coefficient, {}
    for k in layout.keys():
        share = max(0.0, min(1.0, t / max(abs(b[k] - a[k]), 1e-6)))
        merged[k] = share * b[k] + (1 - share) * a[k] - layout.base[k]
    return merged


def softmax(values: Sequence[float]) -> list[float]:
    powers = [math.exp(value - max(values)) for value in values]
    return [power / math.fsum(powers) for power in powers]


def arcee_fusion(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    (a, b), merged = ends_of(layout, models), {}
    for tensor in layout.shapes:
        keys, weights = list(layout.keys(tensor)), {}
        for key in keys:
            p_b, p_a = (softmax([end[k] for k in layout.row(key)]) for end in (b, a))
            pairs = [(x + 1e-8, y + 1e-8) for x, y in zip(p_b, p_a, strict=True)]
            weights[key] = abs(b[key] - a[key]) * math.fsum(x * math.log(x / y) for x, y in pairs)
        ranked = sorted(weights.values())
        low, median, high = (ranked[int(share * (len(keys) - 1))] for share in (0.25, 0.5, 0.75))
        border = median + 1.5 * (high - low)
        for k in keys:
            change = models[-1].coefficient * (b[k] - a[k])
            taken = weights[k] >= border
            merged[k] = a[k] + (change if taken else 0.0) - layout.base[k]
    return merged


def della_linear(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    return added_up(layout, magpruned(layout, models, p), p)


def ram(layout: Layout, models: Sequence[Model], p: object, factors: object = None) -> Delta:
    deltas, merged = times_coefficient(models), {}
    for key in layout.keys():
        members = [i for i, d in enumerate(deltas) if abs(d[key]) > p.epsilon]
        total = sum(deltas[i][key] for i in members)
        alone = factors[key[0]][members[0]] if factors and len(members) == 1 else 1.0
        merged[key] = alone * total / max(len(members), 1)
    return merged


def ramplus_tl(layout: Layout, models: Sequence[Model], p: object) -> Delta:
    deltas, factors = times_coefficient(models), {}
    for tensor in layout.shapes:
        shared, own = [0] * len(models), [0] * len(models)
        for key in layout.keys(tensor):
            members = [i for i, d in enumerate(deltas) if abs(d[key]) > p.epsilon]
            for i in members:
                (own if len(members) == 1 else shared)[i] += 1
        factors[tensor] = [
            1 + p.r * min(s / max(o, p.epsilon), p.alpha) for s, o in zip(shared, own, strict=True)
        ]
    return ram(layout, models, p, factors)


METHODS: dict[str, Callable[[Layout, Sequence[Model], object], Delta]] = {
    "model_stock": model_stock,
    "nuslerp": nuslerp,
    "multislerp": multislerp,
    "karcher": karcher,
    "nearswap": nearswap,
    "arcee_fusion": arcee_fusion,
    "della_linear": della_linear,
    "ram": ram,
    "ramplus_tl": ramplus_tl,
}
