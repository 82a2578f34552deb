"""The text of a search: a line for each trial, its result, and the scores on the test split."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from dppa_core.charts.tables import factors_text, percent_text, text_table
from dppa_core.tuning.search.options import BEHAVIOURS, KL, LENGTH
from dppa_core.tuning.search.space import value_text

if TYPE_CHECKING:
    from dppa_core.evaluation.scores import DomainScore
    from dppa_core.tasks.intervals import Interval
    from dppa_core.tuning.search.climb import ClimbResult
    from dppa_core.tuning.search.joint_sampler import JointResult
    from dppa_core.tuning.search.options import SearchOptions
    from dppa_core.tuning.search.results import SearchResult, SearchTrial, StudyState
    from dppa_core.tuning.search.verdict import BaselineMerge, DomainVerdict


def trial_line(trial: SearchTrial, options: SearchOptions, number: int, trials: int) -> str:
    """A trial on one line; `number` of them ended so far, of so many in all."""
    if options.way == "climb":
        remembered = " (from the state)" if trial.remembered else ""
        factors = factors_text(trial.amplification)
        return f"{trial.model} {factors}: {trial.goals[0]:.3f}{remembered}"
    kept = ", ".join(f"{domain} {share:.0%}" for domain, share in trial.retentions.items()) or "-"
    if options.way == "joint":
        loss = "overflows" if trial.loss is None else f"loss {trial.loss:.4f}"
        return f"{number}/{trials} {_values(trial) or 'as given'}: {loss}; {kept}"
    endings = {"pruned": " (given up)", "failed": f" (failed: {trial.why})"}
    ending = endings.get(trial.state, "")
    goals = zip(options.objectives, trial.goals, strict=False)
    more = "".join(f", {name} {value:.3g}" for name, value in goals if name in BEHAVIOURS)
    return f"{number}/{trials} {_values(trial)}: {kept}, {trial.density:.0%} kept{more}{ending}"


def _values(trial: SearchTrial) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in trial.values.items())


def search_text(
    result: SearchResult,
    verdict: Sequence[DomainVerdict],
    baselines: Sequence[BaselineMerge],
    out: Path,
    item_counts: tuple[int, int],
) -> str:
    """The result by its way; then the test split, and the paper's claim about models alone.

    Args:
        item_counts: The fewest and the most search items of a domain.
    """
    from dppa_core.tuning.search.climb import ClimbResult  # noqa: PLC0415  (torch)
    from dppa_core.tuning.search.joint_sampler import JointResult  # noqa: PLC0415
    from dppa_core.tuning.search.results import StudyState  # noqa: PLC0415

    claim = claim_lines(verdict)
    if not isinstance(result, ClimbResult) and len(verdict) > 1:
        claim = []  # it is about a model alone
    lines: list[str] = []
    if isinstance(result, ClimbResult):
        lines = _climb_lines(result, out, item_counts)
    elif isinstance(result, JointResult):
        lines = _joint_lines(result, out, item_counts)
    elif isinstance(result, StudyState):
        lines = _study_lines(result, out, item_counts)
    return "\n".join([*lines, *merge_lines(verdict, baselines), *claim])


def _climb_lines(result: ClimbResult, out: Path, item_counts: tuple[int, int]) -> list[str]:
    """Factors by model."""
    rows = [
        [
            model.model,
            factors_text(model.levels),
            factors_text(climb.best.amplification),
            f"{climb.best.goals[0]:.3f}",
            str(len(climb.trials)),
        ]
        for model, climb in zip(result.given.models, result.searches, strict=True)
    ]
    table = text_table(["model", "levels", "factors", "score", "settings tried"], rows)
    return [f"{out}: factors found on {_items(item_counts)}", table]


def _joint_lines(result: JointResult, out: Path, item_counts: tuple[int, int]) -> list[str]:
    """All settings, the chosen one marked."""
    rows = [
        [
            str(trial.number + 1) + (" *" if trial.number == result.place else ""),
            _values(trial) or "as given",
            "-" if trial.loss is None else f"{trial.loss:.4f}",
            f"{100 * trial.retention:.1f}",
        ]
        for trial in result.trials
    ]
    head = (
        f"{out}: chosen together by {result.options.objectives[0]}, * of {len(result.trials)} "
        f"settings on {_items(item_counts)} ({result.answers} answers)"
    )
    return [head, text_table(["trial", "settings", "loss", "retention %"], rows)]


def _study_lines(result: StudyState, out: Path, item_counts: tuple[int, int]) -> list[str]:
    """The trials of the front, or the grid as a table; and the differences that chance makes."""
    best, objectives = result.best, result.options.objectives
    if result.options.grid:
        body = "\n".join(grid_table(result, place) for place in range(len(objectives)))
    else:
        rows = [
            [
                str(index),
                _values(trial),
                *(f"{value:.3f}" for value in trial.goals),
                f"{100 * trial.density:.0f}",
            ]
            for index, trial in enumerate(result.trials, 1)
            if trial.number in result.front
        ]
        body = text_table(["trial", "settings", *objectives, "kept %"], rows)
    states = [trial.state for trial in result.trials]
    counts = [f"{len(states)} trials on {_items(item_counts)}"]
    for state, words in (("pruned", "given up early"), ("failed", "failed")):
        counts += [f"{states.count(state)} {words}"] if state in states else []
    index = result.trials.index(best) + 1
    head = f"{out}: the best of {', '.join(counts)}: trial {index}"
    return [head, body, _chance(result, item_counts)]


def _chance(result: StudyState, item_counts: tuple[int, int]) -> str:
    """How far apart two settings must be to differ by more than the draw of the items."""
    shares = [min(share, 1.0) for share in result.best.retentions.values()]
    spread = sum(share * (1 - share) for share in shares) / len(shares)
    apart = 196 * sqrt(2 * spread / (len(shares) * item_counts[0]))
    return (
        f"Two settings less than about {max(apart, 1):.0f} points apart may differ by chance: "
        f"{_items(item_counts)} are few."
    )


def _items(item_counts: tuple[int, int]) -> str:
    """The fewest and the most search items of a domain."""
    fewest, most = item_counts
    return f"{fewest if fewest == most else f'{fewest} to {most}'} search items a domain"


def grid_table(result: StudyState, place: int = 0) -> str:
    """An objective by two settings: the first one down, the second across; shares in %."""
    down, across = result.parameters
    cells = {(t.values.get(down.name), t.values.get(across.name)): t for t in result.trials}
    objective = result.options.objectives[place]
    number = objective in (LENGTH, KL)
    head = [
        f"{objective}{'' if number else ' %'} by {down.name} \\ {across.name}",
        *map(value_text, across.values()),
    ]
    rows = []
    for value in down.values():
        trials = [cells.get((value, column)) for column in across.values()]
        shares = [
            _goal(trial.goals[place], number=number) if trial and trial.goals else "-"
            for trial in trials
        ]
        rows.append([value_text(value), *shares])
    return text_table(head, rows)


def _goal(value: float, *, number: bool) -> str:
    return f"{value:.3g}" if number else f"{100 * value:.0f}"


def merge_lines(verdict: Sequence[DomainVerdict], baselines: Sequence[BaselineMerge]) -> list[str]:
    """The searched merge on the test split, beside others; empty if it was not asked."""
    from dppa_core.tuning.search.verdict import mean_retention  # noqa: PLC0415  (torch)

    if not verdict:
        return []
    names = [f"{baseline.name} %" for baseline in baselines]
    rows = []
    for of_domain in verdict:
        others = [baseline.scores[of_domain.domain] for baseline in baselines]
        scores = of_domain.base, of_domain.own, *others, of_domain.merged
        rows.append([of_domain.domain, str(of_domain.own.n), *map(_share, scores)])
    means = [*(baseline.retention for baseline in baselines), mean_retention(verdict)]
    rows.append(["mean retention", "", "", "", *map(_interval_text, means)])
    head = ["test items", "n", "base %", "domain model %", *names, "what was found %"]
    sentences = (baseline.sentence() for baseline in baselines)
    return [text_table(head, rows), *sentences, *_behaviour_lines(verdict)]


def _behaviour_lines(verdict: Sequence[DomainVerdict]) -> list[str]:
    """Lengths, loops and divergences on the test items; none unless they were objectives."""
    rows = []
    for of_domain in verdict:
        scores = of_domain.base, of_domain.own, of_domain.merged
        asked = [score.behaviour for score in scores if score.behaviour]
        for name in BEHAVIOURS if asked else ():
            means = (getattr(behaviour, name) for behaviour in asked)
            cells = [f"{mean.value:.4g}" if mean else "-" for mean in means]
            rows.append([f"{of_domain.domain} {name}", *cells])
    head = ["test items", "base", "domain model", "what was found"]
    return [text_table(head, rows)] if rows else []


def _interval_text(interval: Interval | None) -> str:
    return "" if interval is None else percent_text(interval.value, interval.ends)


def claim_lines(verdict: Sequence[DomainVerdict]) -> list[str]:
    """Each model alone, the subject of the paper's claim; empty if it was not measured."""
    from dppa_core.tuning.search.verdict import claim_sentence  # noqa: PLC0415  (torch)

    if not verdict:
        return []
    head = ["each alone, pruned", "accuracy %", "retention % (95 %)", "kept %"]
    rows = [
        [
            of_domain.domain,
            _share(of_domain.alone),
            percent_text(of_domain.retention, of_domain.ci95),
            f"{100 * of_domain.density:.1f}",
        ]
        for of_domain in verdict
    ]
    return [text_table(head, rows), claim_sentence(verdict)]


def _share(score: DomainScore) -> str:
    return percent_text(score.accuracy, score.ci95)
