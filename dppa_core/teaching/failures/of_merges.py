"""Failures of whole merges: wrong base, too little kept, too large a factor, opposite signs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.evaluation.scores import Target
from dppa_core.merging.merger import open_merger
from dppa_core.merging.passes.chunk_pass import add_treated
from dppa_core.preflight_checks.weight_findings import measure_distance
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.coefficients import PartCoefficient
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tab.wishes import tab_wish
from dppa_core.teaching.by_hand.step import number, share, signed
from dppa_core.teaching.failures.case import (
    BAD,
    GOOD,
    PLAIN,
    Bar,
    Bars,
    CaseAnswer,
    CaseTask,
    Message,
    ShownCase,
    how_many,
)
from dppa_core.teaching.failures.of_weights import EMBEDDING, HEAD, tied_weights
from dppa_core.teaching.failures.workshop import BASE, MODEL, CaseMarks

LEVELS, FACTORS = (0.9, 0.8), (1.0, 1.0)
FEW, LARGE, OPPOSED = 0.99, (6.0, 1.0), 0.7
_THIS = " (this merge)"

Flat = Float32[ndarray, " n"]


def wrong_base(task: CaseTask, repaired: bool) -> ShownCase:
    """A base with the real base's weights in another order."""
    base = BASE if repaired else task.workshop.derived("base-shuffled", _shuffled)
    recipe = MergeRecipe(base, (DomainModel(MODEL, LEVELS),))
    far = measure_distance(cached_profile(base, MODEL))
    tone = GOOD if repaired else BAD
    layers = tuple(
        Bar(f"layer {n}", x, number(round(x, 2)), tone) for n, x in enumerate(far.layers)
    )
    warnings = open_merger(recipe).plan.warnings
    messages = tuple(Message("warning", text.replace(base, "the other base")) for text in warnings)
    plot = Bars(
        "Length of the delta beside that of the weights, ‖d‖/‖W‖",
        1.6,
        layers,
        0.9,
        "from 0.9 on: another base",
    )
    return _with_scores(task, recipe, tone, (plot,), messages)


def _shuffled(base: Flat, _tuned: Flat) -> Flat:
    """The same weights permuted: a wrong base with the same shape and spread."""
    order: Flat = np.random.default_rng(base.size).permutation(base)
    return base if np.ptp(base) == 0 else order


def too_few(task: CaseTask, repaired: bool) -> ShownCase:
    """Keeps 1 % of the delta instead of 20 %."""
    levels = LEVELS if repaired else (FEW,)
    recipe = MergeRecipe(BASE, (DomainModel(MODEL, levels),))
    profile = cached_profile(BASE, MODEL)
    tone = GOOD if repaired else BAD
    bars = tuple(
        Bar(
            f"keep {share(1 - rate)}{_THIS if rate == levels[-1] else ''}",
            energy,
            share(round(energy, 2)),
            tone if rate == levels[-1] else PLAIN,
        )
        for rate in (FEW, 0.9, LEVELS[-1])
        for energy in [plan_pruning(profile, (rate,)).energy]
    )
    plot = Bars("Share of the squared change that stays", 1.0, bars)
    return _with_scores(task, recipe, tone, (plot,))


def too_large(task: CaseTask, repaired: bool) -> ShownCase:
    """A factor of 6 on the first partition."""
    factors = FACTORS if repaired else LARGE
    recipe = MergeRecipe(BASE, (DomainModel(MODEL, LEVELS, factors),))
    profile = cached_profile(BASE, MODEL)
    plan = plan_pruning(profile, LEVELS)
    tone = GOOD if repaired else BAD
    lengths = {factor: _length(plan, profile, (factor, 1.0)) for factor in (1.0, 2.0, 6.0)}
    bars = tuple(
        Bar(
            f"factor {factor:g}{_THIS if factor == factors[0] else ''}",
            length,
            number(round(length, 1)),
            tone if factor == factors[0] else PLAIN,
        )
        for factor, length in lengths.items()
    )
    plot = Bars(
        "Length of the treated delta beside the whole one, ‖D'‖/‖d‖",
        6.0,
        bars,
        1.0,
        "as long as it was",
    )
    return _with_scores(task, recipe, tone, (plot,))


def _length(plan: PruningPlan, profile: DeltaProfile, factors: tuple[float, ...]) -> float:
    """‖D'‖/‖D‖ over all modules, from each partition's sum of squares and factor."""
    inside = [
        sum(module.levels[k].selection.energy for module in plan.modules)
        for k in range(len(factors))
    ]
    parts = np.diff([0.0, *inside])
    whole = sum(module.delta_square for module in profile.modules)
    return float(np.sqrt((np.square(factors) * parts).sum() / whole))


def opposite(task: CaseTask, repaired: bool) -> ShownCase:
    """A second model that learned the opposite; summed, or with elected signs."""
    opposed = task.workshop.derived("math-opposed", _opposed)
    method = "ties" if repaired else "task_arithmetic"
    recipe = MergeRecipe(BASE, (DomainModel(MODEL), DomainModel(opposed)), method)
    tone = GOOD if repaired else BAD
    left = _left_of_math(recipe)
    bars = (
        Bar("math alone", 1.0, share(1)),
        Bar("both added" if not repaired else "by vote (TIES)", left, share(round(left, 2)), tone),
    )
    plot = Bars("Of the change that math made, along its own direction", 1.0, bars)
    return _with_scores(task, recipe, tone, (plot,))


def _opposed(base: Flat, tuned: Flat) -> Flat:
    opposed: Flat = base - np.float32(OPPOSED) * (tuned - base)
    return opposed


def _left_of_math(recipe: MergeRecipe) -> float:
    """(merged - base) · d / d · d over all modules, where d is the first model's delta."""
    merger = open_merger(recipe)
    along = whole = 0.0
    for module in merger.plan.modules:
        dtype, _, raw = merger.tensor(module.tensor)
        base, tuned = (
            to_float32(part.raw(module.tensor), part.dtype(module.tensor)).astype(np.float64)
            for part in (merger.base, merger.inputs.tuned[0])
        )
        delta = tuned - base
        along += float((to_float32(raw, dtype) - base) @ delta)
        whole += float(delta @ delta)
    return along / whole


_DONE_ONCE = "The two are merged as one. The scores here are of that merge."
_DONE_TWICE = (
    "The library merges the two as one, and makes no such mistake. It is made here on purpose: the "
    "scores here are of a merge with the delta of the embedding counted twice."
)


def tied_twice(task: CaseTask, repaired: bool) -> ShownCase:
    """A tied embedding merged once for each of its names."""
    merger, weight, delta = tied_weights()
    loader = merger.loader()
    shared = weight.copy()
    for name in (EMBEDDING,) if repaired else (EMBEDDING, HEAD):
        stack = merger.stack(name, loader)
        if stack is not None:
            for part in filter(None, stack.deltas):
                add_treated(loader, stack, part, 0, shared)
    in_shared_memory = [to_float32(merger.tensor(name)[2], "F32") for name in (EMBEDDING, HEAD)]
    tone = GOOD if repaired else BAD
    rows = tuple(
        (number(w), signed(d), number(w + d), number(s), f"{number(e)}, {number(h)}")
        for w, d, s, e, h in zip(
            *(x.tolist() for x in (weight, delta, shared, *in_shared_memory)), strict=True
        )
    )
    twins = ", ".join(f"{head} is {twin}" for head, twin in merger.inputs.twins.items())
    twice = (PartCoefficient("embed_tokens", 2.0), PartCoefficient(None, 1.0))
    model = DomainModel(MODEL, coefficient=1.0 if repaired else twice)
    recipe = MergeRecipe(BASE, (model,), "task_arithmetic")
    columns = ("base", "delta", "base + delta", "in shared memory", "this library: embedding, head")
    note = Message("note", f"{twins}. {_DONE_ONCE if repaired else _DONE_TWICE}")
    return _with_scores(task, recipe, tone, (), (note,), (columns, rows))


def _with_scores(
    task: CaseTask,
    recipe: MergeRecipe,
    tone: str,
    plots: tuple[Bars, ...],
    messages: tuple[Message, ...] = (),
    table: tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] = ((), ()),
) -> ShownCase:
    """Ask base, domain model and merge, and show their scores before the other plots."""
    targets: Mapping[str, Target] = {"base": BASE, "math alone": MODEL, "the merge": recipe}
    marks_of: dict[str, CaseMarks] = {}
    for count, (who, target) in enumerate(targets.items()):
        if task.progress:
            task.progress(count, len(targets), f"Asking {who}")
        marks_of[who] = task.workshop.ask(target, task.question, task.stop)
    merged = marks_of["the merge"]
    n = merged.score.n
    low, high = (round(100 * end) for end in merged.score.ci95)
    bars = tuple(
        Bar(who, float(marks.hits), f"{marks.hits} of {n}", tone if marks is merged else PLAIN)
        for who, marks in marks_of.items()
    )
    answers = tuple(
        CaseAnswer(who, text, marks.right, tab_wish(targets[who]))
        for who, marks in marks_of.items()
        for text in [marks.reply or "(nothing: it ends at once)"]
        if who != "base"
    )
    sentence = (
        f"The merge answers {merged.hits} of {n} questions right (95 % interval: {low} to {high} "
        f"%), the math model alone {marks_of['math alone'].hits}, the base {marks_of['base'].hits}."
    )
    scores = Bars(f"Questions of math answered right, of {n}", float(n), bars)
    outcome, plots = how_many(merged.hits, n), (scores, *plots)
    return ShownCase(sentence, outcome, plots, messages, merged.prompt, answers, *table)
