"""Steps 4 to 6: pruning, partitions, amplification; a trace as text and drawings."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from dppa_core.errors import many
from dppa_core.pruning.partition import Selection
from dppa_core.pruning.plan import LevelPlan
from dppa_core.teaching.by_hand.step import (
    TIMES,
    CellQuestion,
    Numbers,
    Step,
    ask,
    grid,
    number,
    place,
    share,
)
from dppa_core.teaching.by_hand.tiny_merge import FIRST, NUMEL
from dppa_core.teaching.by_hand.trace import Trace, TreatedDelta

MARKS = {1: "p1", 2: "p2", 0: "out"}
"""Partition of a cell -> its mark."""


def step_pruned(way: Trace, n: Numbers) -> Step:
    """The threshold, and the kept changes."""
    treated = way.models[FIRST]
    level, kept = treated.module.levels[-1], treated.partitions.ravel() > 0
    size = np.abs(treated.delta).ravel()
    pairs = zip(size, kept, strict=True)
    cells = tuple(_why(float(x), bool(stays), level.selection, n) for x, stays in pairs)
    ordered = [n(x) for x in np.sort(size)]
    rank = level.selection.rank
    ordered[rank] = f"[{ordered[rank]}]"
    few = " (a change of 0 is never kept)" if level.kept < round(NUMEL * level.density) else ""
    lines = (
        f"kept = round(36 {TIMES} {number(level.density)}) = {level.kept}{few}",
        f"t = |d| at place int(36 {TIMES} {number(level.rate)}) = {rank} of the rising order, "
        f"counted from 0: {n(level.threshold)}",
        f"|d| in rising order: {', '.join(ordered)}",
        *_none_left(level),
    )
    return Step(
        "pruned",
        "Pruning: small changes go",
        "The changes with the largest |d| stay, as many as the density says. All others become 0: "
        "there the merge keeps the base.",
        "keep d where |d| > t, else 0;  where |d| = t, keep as many as are still due",
        (
            grid(
                "pruned",
                "What stays of D",
                treated.delta,
                n,
                ("kept" if x else "out" for x in kept),
            ),
        ),
        cells,
        lines,
        {"kept": "kept", "out": "dropped"},
        question=_ask_kept(treated, n, cells),
    )


def _none_left(level: LevelPlan) -> tuple[str, ...]:
    if level.kept:
        return ()
    full = round(NUMEL * level.density) > 0
    why = "all its changes are 0" if full else "its density, from step 3, is too small for one cell"
    return (f"This matrix keeps nothing here: {why}.",)


def _why(size: float, kept: bool, border: Selection, n: Numbers) -> str:
    end = "kept" if kept else "dropped"
    if size != border.threshold:
        sign = ">" if size > border.threshold else "<"
        return f"|d| = {n(size)} {sign} {n(border.threshold)}: {end}"
    if border.within == 1:
        return f"|d| = {n(size)} is the threshold itself: {end}, to keep {border.kept}"
    if border.share in (0, border.within):
        return f"|d| = {n(size)} is the threshold, as in {border.within} cells: all {end}"
    return (
        f"|d| = {n(size)} is the threshold, as in {border.within} cells; {border.share} of them "
        f"stay, by a fixed order: {end}"
    )


def _ask_kept(treated: TreatedDelta, n: Numbers, cells: tuple[str, ...]) -> CellQuestion | None:
    """The cell nearest the border, on the side with more cells that differ in size."""
    size, kept = np.abs(treated.delta).ravel(), treated.partitions.ravel() > 0
    border = treated.module.levels[-1]
    if not kept.any():
        return None
    last, first = _nearest(size, kept)
    cell = last if border.kept % 2 else first
    stays = bool(kept[cell])
    return ask(
        f"{place(cell).capitalize()} has |d| = {n(size[cell])}, and the {border.kept} largest of "
        "36 stay. Is it kept?",
        "kept" if stays else "dropped",
        ("kept", "dropped"),
        f"{cells[cell]}.",
        cell,
        "pruned",
        veils=True,
    )


def _nearest(size: Float32[ndarray, " n"], kept: ndarray) -> tuple[int, int]:
    """The smallest kept change and the largest dropped one; twice the first if none is dropped."""
    last = int(np.where(_distinct(size, kept), size, np.inf).argmin())
    if kept.all():
        return last, last
    return last, int(np.where(_distinct(size, ~kept), size, -1).argmax())


def _distinct(size: Float32[ndarray, " n"], mask: ndarray) -> ndarray:
    """Cells of a mask whose size differs from all cells outside; all cells if there are none."""
    alone: ndarray = mask & ~np.isin(size, size[~mask])
    return alone if alone.any() else mask


def step_partitions(way: Trace, n: Numbers) -> Step:
    """The partition of each kept cell."""
    treated = way.models[FIRST]
    places, levels = treated.partitions.ravel(), treated.module.levels
    borders = [level.selection for level in levels]
    cells = tuple(
        _partition_text(float(x), int(p), borders, n)
        for x, p in zip(np.abs(treated.delta).ravel(), places, strict=True)
    )
    lines = tuple(
        f"p = {number(rate)}: density {number(level.density)}, so "
        f"{many(level.kept, 'cell is', 'cells are')} inside "
        f"(t = {n(level.threshold)})"
        for rate, level in zip(way.settings.levels, levels, strict=True)
    ) + (
        _none_left(levels[-1])
        or (
            f"partition 1: {many(levels[0].kept, 'cell')};  partition 2: the other "
            f"{levels[-1].kept - levels[0].kept} of {levels[-1].kept}",
        )
    )
    marks = [MARKS[int(p)] for p in places]
    return Step(
        "partitions",
        "Partitions: the strongest of what stays",
        "The same rule at a higher rate keeps fewer changes. They are partition 1; what only the "
        "lower rate keeps is partition 2. What the higher rate keeps, the lower one keeps, too.",
        "partition 1 = kept at p1;  partition 2 = kept at p2, but not at p1",
        (grid("partitions", "Partitions of D", treated.delta, n, marks),),
        cells,
        lines,
        {"p1": "partition 1", "p2": "partition 2", "out": "dropped"},
        question=_ask_partition(treated, n, cells),
    )


def _partition_text(size: float, partition: int, borders: list[Selection], n: Numbers) -> str:
    """The partition of a cell, with a remark if its size equals a threshold."""
    first, second = (n(border.threshold) for border in borders)
    texts = {
        1: f"inside both levels (t = {first}): partition 1",
        2: f"inside the second level only (t = {second}): partition 2",
        0: f"outside of both (t = {second}): dropped",
    }
    # For a dropped cell the second level decides, else the first whose threshold it equals.
    order = (1,) if partition == 0 else (0, 1)
    level = next((k for k in order if size == borders[k].threshold), None)
    tie = "" if level is None else f". {_tie(borders[level], ('first', 'second')[level], n)}"
    return f"|d| = {n(size)}, {texts[partition]}{tie}"


def _tie(border: Selection, level: str, n: Numbers) -> str:
    """How many of the cells of the threshold's size lie inside."""
    subject = f"{n(border.threshold)} is the threshold of the {level} level"
    inside = {0: "none", border.within: "all"}.get(border.share, str(border.share))
    if border.within == 1:
        return f"{subject} itself: {'inside' if border.share else 'outside'}, to keep {border.kept}"
    order = "" if border.share in (0, border.within) else ", chosen by a fixed order"
    return f"{subject}, as in {border.within} cells: {inside} of them inside{order}"


def _ask_partition(
    treated: TreatedDelta, n: Numbers, cells: tuple[str, ...]
) -> CellQuestion | None:
    places, size = treated.partitions.ravel(), np.abs(treated.delta).ravel()
    cell = _in_partition(places, size, 2 if treated.module.kept % 2 == 0 else 1)
    if cell is None:
        return None
    first, last = (level.kept for level in treated.module.levels)
    options = ("in partition 1", "in partition 2", "nowhere: dropped")
    return ask(
        f"{place(cell).capitalize()} has |d| = {n(size[cell])}. Largest first, the higher "
        f"rate keeps {first} of the 36 and the lower one {last}. Where is it?",
        options[(int(places[cell]) - 1) % 3],
        options,
        f"{cells[cell]}.",
        cell,
        "partitions",
        veils=True,
    )


def _in_partition(
    places: Int64[ndarray, " n"], size: Float32[ndarray, " n"], partition: int
) -> int | None:
    """The smallest change of a partition, or of any partition if that one is empty."""
    candidates = places == partition
    candidates = _distinct(size, candidates if candidates.any() else places > 0)
    return int(np.where(candidates, size, np.inf).argmin()) if candidates.any() else None


def step_amplified(way: Trace, n: Numbers) -> Step:
    """Each partition times its factor."""
    treated, factors = way.models[FIRST], way.settings.factors
    places = treated.partitions.ravel()
    rows = zip(treated.delta.ravel(), treated.amplified.ravel(), places, strict=True)
    cells = tuple(
        f"partition {p}: {number(factors[p - 1])} {TIMES} {n.term(d)} = {n(a)}"
        if p
        else "dropped: 0"
        for d, a, p in rows
    )
    before = float(np.square(treated.delta, dtype=np.float64).sum())
    after = float(np.square(treated.amplified, dtype=np.float64).sum())
    pruned = np.where(treated.partitions > 0, treated.delta, 0).astype(np.float64)
    left = float(np.square(pruned).sum())
    lines = (
        f"length of the delta {n(before**0.5)}; after pruning {n(left**0.5)}; after amplifying "
        f"{n(after**0.5)}{_beside(before**0.5, after**0.5)}",
    )
    marks = [MARKS[int(p)] for p in places]
    return Step(
        "amplified",
        "Amplification: each partition times its factor",
        f"Pruning makes the change shorter. Partition 1 is multiplied by {number(factors[0])}, "
        f"partition 2 by {number(factors[1])}. Factors are not chosen for the length: a search on "
        "held-out questions finds them, and the change may end up longer than it was.",
        f"D' = α₁ {TIMES} partition 1 + α₂ {TIMES} partition 2",
        (grid("amplified", "Amplified delta D'", treated.amplified, n, marks),),
        cells,
        lines,
        {"p1": "partition 1", "p2": "partition 2", "out": "dropped"},
        question=_ask_amplified(treated, factors, n, cells),
    )


def _beside(before: float, after: float) -> str:
    return f": {share(round(after / before, 2))} of what it was" if before else ""


def _ask_amplified(
    treated: TreatedDelta, factors: tuple[float, ...], n: Numbers, cells: tuple[str, ...]
) -> CellQuestion | None:
    places, delta = treated.partitions.ravel(), treated.delta.ravel()
    cell = _in_partition(places, np.abs(delta), 1)
    if cell is None:
        return None
    d = float(delta[cell])
    return ask(
        f"{place(cell).capitalize()}: d = {n(d)}, in partition {places[cell]}. The factors are "
        f"{number(factors[0])} and {number(factors[1])}. What is D' there?",
        n(treated.amplified.ravel()[cell]),
        (n(0), n(d), n(sum(factors) * d)),
        f"{cells[cell]}.",
        cell,
        "amplified",
    )
