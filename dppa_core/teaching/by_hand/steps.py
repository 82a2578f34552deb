"""Steps 1 to 3: delta, significance, rate; a trace as text and drawings."""

from __future__ import annotations

import numpy as np

from dppa_core.pruning.density import Outliers
from dppa_core.teaching.by_hand.step import (
    MINUS,
    TIMES,
    CellQuestion,
    Numbers,
    NumberTable,
    Step,
    ask,
    grid,
    number,
    place,
    share,
    signed,
)
from dppa_core.teaching.by_hand.tiny_merge import BASE, FIRST, TENSORS, YOURS
from dppa_core.teaching.by_hand.trace import Trace, TreatedDelta

_PLACE = TENSORS.index(YOURS)
_EQUAL = 1e-9
"""Densities closer than this are equal up to rounding."""


def step_delta(way: Trace, n: Numbers) -> Step:
    """D = A - W."""
    base, delta = way.mini.weights[BASE][YOURS], way.models[FIRST].delta
    tuned = way.mini.weights[FIRST][YOURS]
    rows = list(zip(base.ravel(), tuned.ravel(), delta.ravel(), strict=True))
    cells = tuple(f"d = A {MINUS} W = {n(t)} {MINUS} {n.term(w)} = {n(d)}" for w, t, d in rows)
    cell = int(np.abs(delta).argmax())
    w, t, d = rows[cell]
    question = ask(
        f"{place(cell).capitalize()}: the base has {n(w)}, model A {n(t)}. What is d?",
        n(d),
        (n(-d), n(w + t)),
        f"{cells[cell]}: fine-tuning made this weight {'larger' if d > 0 else 'smaller'}.",
        cell,
        "delta",
    )
    return Step(
        "delta",
        "The delta: what fine-tuning changed",
        "Everything that model A learned is the difference to its base. The base itself is "
        "in every model, so merging looks at deltas only. D is the whole matrix, d one "
        "number in it.",
        f"D = A {MINUS} W",
        (grid("base", "Base W", base, n), grid("delta", "Delta D of model A", delta, n)),
        cells,
        question=question,
    )


def step_significance(way: Trace, n: Numbers) -> Step:
    """S of the layers, s of the modules."""
    treated, k = way.models[FIRST], way.parameters.k_module
    module, layers = treated.modules[_PLACE], treated.layers
    border = k * module.mean
    size = np.abs(treated.delta).ravel()
    above = [bool(x > border) for x in size]
    marks = ("far" if x else "" for x in above)
    cells = tuple(
        f"|d| = {n(x)}, {number(k)} {TIMES} {n(module.mean)} = {n(border)}: "
        f"{'an outlier' if far else 'no outlier'}"
        for x, far in zip(size, above, strict=True)
    )
    lines = tuple(
        f"Layer {b}: mean |d| = {n(part.mean)}; {_above(part.above, part.numel)} "
        f"{number(way.parameters.k_layer)} {TIMES} {n(part.mean)} = "
        f"{n(way.parameters.k_layer * part.mean)}. S = {_fraction(part)}"
        for b, part in zip(treated.significance.layers, layers, strict=True)
    )
    lines += (
        f"This matrix: mean |d| = {n(module.mean)}; {_above(module.above, module.numel)} "
        f"{number(k)} {TIMES} {n(module.mean)} = {n(border)}. s = {_fraction(module)}",
    )
    return Step(
        "significance",
        "Significance: where single changes stand out",
        "A layer or matrix is significant where a few changes are much larger than the rest. "
        "Layers count changes above 3 times their mean, matrices above 5 times. The mini-model has "
        "two layers of two matrices; yours is the first.",
        f"S = share of |d| > 3 {TIMES} mean |d| in the layer;  "
        f"s = share of |d| > 5 {TIMES} mean |d| in the matrix",
        (grid("delta", "Delta D of model A", treated.delta, n, marks),),
        cells,
        lines,
        {"far": "outlier"},
        _shares(treated),
        _ask_outlier(treated, n, above, border),
    )


def _fraction(counted: Outliers) -> str:
    return f"{counted.above}/{counted.numel} = {share(counted.share)}"


def _above(count: int, numel: int) -> str:
    return f"{count} of {numel} changes {'is' if count == 1 else 'are'} above"


def _ask_outlier(
    treated: TreatedDelta, n: Numbers, above: list[bool], border: float
) -> CellQuestion | None:
    """The smallest outlier or the largest other change, whichever is nearer to the border."""
    size = np.abs(treated.delta).ravel()
    cell = int(np.abs(size - border).argmin())
    right = "yes" if above[cell] else "no"
    verdict = "is above it" if above[cell] else "is not above it"
    return ask(
        f"{place(cell).capitalize()}: |d| = {n(size[cell])}, and the mean of all 36 is "
        f"{n(treated.modules[_PLACE].mean)}. Is it an outlier of this matrix?",
        right,
        ("yes", "no"),
        f"5 {TIMES} the mean is {n(border)}; {n(size[cell])} {verdict}.",
        cell,
        "delta",
        veils=True,
    )


def _shares(treated: TreatedDelta) -> NumberTable:
    rows = tuple(
        (
            name,
            f"{treated.layers[layer].above}/{treated.layers[layer].numel}",
            f"{part.above}/{part.numel}",
        )
        for name, layer, part in zip(matrix_names(), (0, 0, 1, 1), treated.modules, strict=True)
    )
    return NumberTable(("matrix", "S of its layer", "its own s"), rows)


def matrix_names() -> tuple[str, ...]:
    """Names of all four matrices for the page."""
    names = (f"layer {t.split('.')[2]}, {t.split('.')[4].removesuffix('_proj')}" for t in TENSORS)
    return tuple(f"{name} (yours)" if i == _PLACE else name for i, name in enumerate(names))


def step_rate(way: Trace, n: Numbers) -> Step:
    """a_b + a_l, and the resulting density."""
    treated, strength, even = way.models[FIRST], way.parameters.strength, 1 - way.settings.rate
    scores, density = treated.significance, treated.module.density
    a_b, a_l = float(scores.by_layer[_PLACE]), float(scores.by_module[_PLACE])
    shift = _shift(treated, even)
    wanted_density = even + a_b + a_l + shift
    held = f", held at {number(density)}" if abs(wanted_density - density) > _EQUAL else ""
    lines = (
        *_rate_lines(way),
        f"density = {number(even)} {_plus(a_b)} {_plus(a_l)}"
        + (f" {_plus(shift)}" if abs(shift) > _EQUAL else "")
        + f" = {number(wanted_density)}{held}, so the pruning rate is {share(1 - density)}",
    )
    if abs(shift) > _EQUAL:
        lines += (
            f"The last {signed(shift)} is the same for all four: a density cannot leave 0 to 1, "
            f"and together they are to keep {share(even)}.",
        )
    return Step(
        "rate",
        "The rate: significant matrices are pruned less",
        f"Each matrix starts at the even share of {share(even)} and moves by at most "
        f"{number(strength)} for its layer and as much for itself. Each distance to the mean is "
        f"divided by the largest one. So what is farthest moves by the whole {number(strength)}, "
        f"even where all are nearly alike. All four together still keep {share(even)}.",
        f"density = (1 {MINUS} p) + a(layer) + a(matrix);  rate = 1 {MINUS} density",
        (),
        (),
        lines,
        {},
        _rates(treated, way.settings.levels),
        _ask_rate(treated, even, lines[-1] if abs(shift) <= _EQUAL else lines[-2]),
    )


def _shift(treated: TreatedDelta, even: float) -> float:
    """The shift of all four densities that keeps their mean after clipping to 0 to 1.

    Taken from the largest density, which is never clipped at the rates of `HandSettings`.
    """
    density = np.array([part.density for part in treated.plan.modules])
    moved = even + treated.significance.by_layer + treated.significance.by_module
    largest = int(density.argmax())
    return float(density[largest] - moved[largest])


def _plus(value: float) -> str:
    text = number(abs(value))
    return f"+ {text}" if value >= 0 else f"{MINUS} {text}"


def _rate_lines(way: Trace) -> tuple[str, ...]:
    treated, strength = way.models[FIRST], number(way.parameters.strength)
    scores = treated.significance
    layer, module = scores.layer, scores.module
    if layer.max() == layer.min():
        first = "a(layer) = 0: both layers have the same S."
    else:
        far = float(np.abs(layer - layer.mean()).max())
        first = (
            f"a(layer) = {strength} {TIMES} (S {MINUS} mean S) / largest such distance = "
            f"{strength} {TIMES} ({share(layer[0])} {MINUS} {share(layer.mean())}) / {share(far)} "
            f"= {signed(scores.by_layer[_PLACE])}"
        )
    if module.max() == module.min():
        return first, "a(matrix) = 0: all four matrices have the same s."
    c = treated.centred
    return (
        first,
        f"u = s / mean s = {share(module[_PLACE])} / {share(module.mean())} = "
        f"{number(module[_PLACE] / module.mean())};  c = u {MINUS} mean u = {signed(c[_PLACE])}",
        f"a(matrix) = {strength} {TIMES} c / largest |c| = {strength} {TIMES} "
        f"{number(c[_PLACE])} / {number(np.abs(c).max())} = {signed(scores.by_module[_PLACE])}",
    )


def _rates(treated: TreatedDelta, levels: tuple[float, ...]) -> NumberTable:
    scores = treated.significance
    columns = (
        "matrix",
        "a(layer)",
        "a(matrix)",
        *(f"density at p = {number(p)}" for p in levels),
        "kept",
    )
    rows = tuple(
        (
            name,
            signed(scores.by_layer[i]),
            signed(scores.by_module[i]),
            *(number(level.density) for level in plan.levels),
            f"{plan.kept} of {plan.numel}",
        )
        for i, (name, plan) in enumerate(zip(matrix_names(), treated.plan.modules, strict=True))
    )
    return NumberTable(columns, rows)


def _ask_rate(treated: TreatedDelta, even: float, why: str) -> CellQuestion | None:
    more, less, same = "more", "less", "exactly that"
    density, layer, module = (
        treated.module.density,
        treated.significance.layer,
        treated.significance.module,
    )
    close = abs(density - even) <= _EQUAL
    right = same if close else more if density > even else less
    return ask(
        f"S of your layer is {share(layer[0])}, of both layers {share(layer.mean())} on average; s "
        f"of your matrix is {share(module[_PLACE])}, of all four {share(module.mean())}. Together "
        f"they keep {share(even)}. Does yours keep more or less?",
        right,
        (more, less, same),
        f"{why}.".replace("..", "."),
        veils=True,
    )
