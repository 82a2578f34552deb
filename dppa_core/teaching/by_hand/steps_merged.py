"""Steps 7 and 8: the merge with a second domain model, and other methods in comparison."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dppa_core.methods.registry import get_method
from dppa_core.teaching.by_hand.step import (
    MINUS,
    TIMES,
    CellQuestion,
    MatrixDrawing,
    Numbers,
    Step,
    ask,
    grid,
    number,
    place,
    share,
)
from dppa_core.teaching.by_hand.steps_pruned import MARKS
from dppa_core.teaching.by_hand.tiny_merge import BASE, FIRST, NUMEL, SECOND, YOURS
from dppa_core.teaching.by_hand.trace import SIDE_BY_SIDE, HandSettings, MergedMatrix, Trace

PULLS = {"both": "both add", "against": "they pull apart", "one": "one adds", "base": "the base"}


def step_merged(way: Trace, n: Numbers) -> Step:
    """W + w1 D'1 + w2 D'2: 1 is A, 2 is B."""
    base = way.mini.weights[BASE][YOURS].ravel().tolist()
    parts = {m: t.amplified.ravel().tolist() for m, t in way.models.items()}
    merged, weights = way.merged.ravel(), way.settings.coefficients
    cells = tuple(
        f"{n(base[i])} + {number(weights[FIRST])} {TIMES} {n.term(parts[FIRST][i])} + "
        f"{number(weights[SECOND])} {TIMES} {n.term(parts[SECOND][i])} = {n(merged[i])}"
        for i in range(NUMEL)
    )
    marks = [_pull(*(weights[m] * parts[m][i] for m in parts)) for i in range(NUMEL)]
    counts = {mark: marks.count(mark) for mark in PULLS}
    lines = (
        f"{counts['base']} of 36 cells are the base's, {counts['one']} take from one model, "
        f"{counts['both']} from both in the same direction, {counts['against']} in opposite ones.",
    )
    return Step(
        "merged",
        "The merge: base plus both",
        "Model B went the same way by itself. Each treated delta is weighed with its model's "
        "coefficient w and added to the base. 1 is model A, 2 is model B.",
        f"W' = W + w₁ {TIMES} D'₁ + w₂ {TIMES} D'₂",
        (
            grid("base", "Base W", way.mini.weights[BASE][YOURS], n),
            _part(way, FIRST, n),
            _part(way, SECOND, n),
            grid("merged", "Merged W'", way.merged, n, marks),
        ),
        cells,
        lines,
        PULLS | {"p1": "partition 1", "p2": "partition 2", "out": "dropped"},
        question=_ask_merged(way, marks, n, cells),
    )


def _part(way: Trace, model: str, n: Numbers) -> MatrixDrawing:
    treated = way.models[model]
    marks = (MARKS[int(p)] for p in treated.partitions.ravel())
    return grid(
        f"part-{model}",
        f"D'{'₁' if model == FIRST else '₂'} of model {model}",
        treated.amplified,
        n,
        marks,
    )


def _pull(first: float, second: float) -> str:
    if first and second:
        return "both" if (first > 0) == (second > 0) else "against"
    return "one" if first or second else "base"


def _ask_merged(
    way: Trace, marks: list[str], n: Numbers, cells: tuple[str, ...]
) -> CellQuestion | None:
    """A cell that both models change, if there is one."""
    mark = next((m for m in ("against", "both", "one") if m in marks), None)
    if mark is None:
        return None
    cell = marks.index(mark)
    base = float(way.mini.weights[BASE][YOURS].ravel()[cell])
    first, second = (
        way.settings.coefficients[m] * float(t.amplified.ravel()[cell])
        for m, t in way.models.items()
    )
    return ask(
        f"{place(cell).capitalize()}: the base has {n(base)}, A adds {n(first)}, B adds "
        f"{n(second)}. What is merged?",
        n(way.merged.ravel()[cell]),
        (n(first + second), n(base + first), n(base + second), n(base)),
        f"{cells[cell]}.",
        cell,
        "merged",
    )


def step_methods(way: Trace, n: Numbers) -> Step:
    """The same matrix merged by magnitude, DARE, TIES and DPPA."""
    kept = 1 - way.settings.rate
    titles = {name: get_method(name).title for name in SIDE_BY_SIDE}
    cells = tuple(
        "\n".join(f"{titles[m.method]}: {_change_text(m, i, way.settings, n)}" for m in all_of(way))
        for i in range(NUMEL)
    )
    return Step(
        "methods",
        "Other methods on the same matrix",
        f"All keep {share(kept)} of each model's changes. Magnitude takes the largest in every "
        "matrix alike. DARE draws at random and divides what stays by the share kept. TIES takes "
        "the largest of the whole model, and where the models disagree on a sign, only the "
        "stronger side counts; the rest is averaged, not added.",
        f"what each adds to the base: W' {MINUS} W",
        tuple(grid(m.method, titles[m.method], m.change, n) for m in all_of(way)),
        cells,
        tuple(f"{titles[m.method]}: {_summary(m, n)}" for m in all_of(way)),
        question=_ask_ties(way, n),
    )


def all_of(way: Trace) -> tuple[MergedMatrix, ...]:
    """The methods, in their order."""
    return tuple(way.methods[name] for name in SIDE_BY_SIDE)


def _summary(merged: MergedMatrix, n: Numbers) -> str:
    length = float(np.square(merged.change, dtype=np.float64).sum()) ** 0.5
    return (
        f"changes {np.count_nonzero(merged.change)} of 36 cells, length of the change {n(length)}"
    )


def _change_text(merged: MergedMatrix, cell: int, settings: HandSettings, n: Numbers) -> str:
    """The change of a cell by a method, with its calculation."""
    parts = {m: float(p.ravel()[cell]) for m, p in merged.parts.items()}
    total = n(merged.change.ravel()[cell])
    if merged.method != "ties":
        return f"A {n(parts[FIRST])} + B {n.term(parts[SECOND])} = {total}"
    return f"{_vote(parts, settings.coefficients, n)} = {total}"


def _vote(parts: Mapping[str, float], weights: Mapping[str, float], n: Numbers) -> str:
    """The calculation of TIES; a negative coefficient reverses a model's delta."""
    left = {m: float(np.sign(weights[m])) * d for m, d in parts.items() if weights[m] and d}
    if not left:
        return "nothing is left after pruning"
    terms = " and ".join(
        f"{m} {n(d)}{' (turned round)' if weights[m] < 0 else ''}" for m, d in left.items()
    )
    if len(left) == 1:
        return f"only {terms} is left, the mean of one"
    if len({d > 0 for d in left.values()}) == 1:
        return f"{terms} agree, their mean by coefficients"
    if sum(left.values()) == 0:
        return f"{terms} cancel out, so the sign most cells elected counts"
    return f"{terms} disagree, the larger side"


def _ask_ties(way: Trace, n: Numbers) -> CellQuestion | None:
    """A cell where the trimmed models disagree, else where both remain, else where one does."""
    merged, settings = way.methods["ties"], way.settings
    first, second = (merged.parts[m].ravel() for m in (FIRST, SECOND))
    groups = [np.flatnonzero(first * second < 0), np.flatnonzero(first * second > 0)]
    groups.append(np.flatnonzero((first != 0) | (second != 0)))
    cell = next((int(cells[0]) for cells in groups if cells.size), None)
    if cell is None:
        return None
    a, b = float(first[cell]), float(second[cell])
    return ask(
        f"{place(cell).capitalize()}: after pruning A wants {n(a)} and B {n(b)}. What does TIES "
        "add?",
        n(merged.change.ravel()[cell]),
        (n(a + b), n((a + b) / 2), n(a), n(b), n(0)),
        f"{_change_text(merged, cell, settings, n)}.",
        cell,
        "ties",
    )
