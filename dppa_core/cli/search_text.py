"""What a search found, as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from dppa_core.evaluation.tables import factors_text, percent_text, text_table
from dppa_core.tuning.search.space import written

if TYPE_CHECKING:
    from dppa_core.evaluation.scores import DomainScore
    from dppa_core.tasks.intervals import Interval
    from dppa_core.tuning.search.climb import ClimbResult
    from dppa_core.tuning.search.joint_run import JointResult
    from dppa_core.tuning.search.studied import StudyState
    from dppa_core.tuning.search.verdict import BaselineMerge, DomainVerdict


def climb_text(
    found: ClimbResult,
    verdict: Sequence[DomainVerdict],
    beside: Sequence[BaselineMerge],
    out: Path,
    asked: tuple[int, int],
) -> str:
    """Factors by model, then the test split and the paper's claim."""
    rows = [
        [
            model.model,
            factors_text(model.levels),
            factors_text(search.best.amplification),
            f"{search.best.score:.3f}",
            str(len(search.trials)),
        ]
        for model, search in zip(found.given.models, found.searches, strict=True)
    ]
    lines = [
        f"{out}: factors found on {_items(asked)}",
        text_table(["model", "levels", "factors", "score", "settings tried"], rows),
    ]
    return "\n".join([*lines, *merge_lines(verdict, beside), *claim_lines(verdict)])


def joint_text(
    found: JointResult,
    verdict: Sequence[DomainVerdict],
    beside: Sequence[BaselineMerge],
    out: Path,
    asked: tuple[int, int],
) -> str:
    """All settings, the chosen one marked; then the test split."""
    rows = [
        [
            str(place + 1) + (" *" if place == found.place else ""),
            joint_values(one.values),
            "-" if one.loss is None else f"{one.loss:.4f}",
            f"{100 * one.retention:.1f}",
        ]
        for place, one in enumerate(found.trials)
    ]
    head = (
        f"{out}: chosen together by {found.objective}, * of {len(found.trials)} settings on "
        f"{_items(asked)} ({found.answers} answers)"
    )
    body = text_table(["trial", "settings", "loss", "retention %"], rows)
    claim = claim_lines(verdict) if len(verdict) == 1 else []
    return "\n".join([head, body, *merge_lines(verdict, beside), *claim])


def joint_values(values: Mapping[str, float]) -> str:
    """A setting of a joint search; none are those of the recipe."""
    return ", ".join(f"{name} {value:g}" for name, value in values.items()) or "as given"


def study_text(
    found: StudyState,
    verdict: Sequence[DomainVerdict],
    beside: Sequence[BaselineMerge],
    out: Path,
    asked: tuple[int, int],
) -> str:
    """The undominated trials, or the grid as a table; then the test split."""
    best = found.best
    if found.settings.every:
        body = grid_table(found)
    else:
        rows = [
            [
                str(place + 1),
                ", ".join(f"{name} {written(value)}" for name, value in one.values.items()),
                *(f"{value:.3f}" for value in one.goals),
                f"{100 * one.density:.0f}",
            ]
            for place, one in enumerate(found.trials)
            if one.number in found.front
        ]
        body = text_table(["trial", "settings", *found.settings.goals, "kept %"], rows)
    ends = [one.state for one in found.trials]
    told = f"{len(ends)} trials on {_items(asked)}"
    lost = [f"{ends.count(state)} {word}" for state, word in _ENDS.items() if state in ends]
    place = found.trials.index(best) + 1
    head = f"{out}: the best of {', '.join([told, *lost])}: trial {place}"
    claim = claim_lines(verdict) if len(verdict) == 1 else []  # it is about a model alone
    return "\n".join([head, body, _chance(found, asked), *merge_lines(verdict, beside), *claim])


def _chance(found: StudyState, asked: tuple[int, int]) -> str:
    """How far apart two settings must be to differ by more than the draw of the items."""
    shares = [min(share, 1.0) for share in found.best.retentions.values()]
    spread = sum(share * (1 - share) for share in shares) / len(shares)
    apart = 196 * sqrt(2 * spread / (len(shares) * asked[0]))
    return (
        f"Two settings less than about {max(apart, 1):.0f} points apart may differ by chance: "
        f"{_items(asked)} are few."
    )


def _items(asked: tuple[int, int]) -> str:
    """The fewest and the most search items of a domain."""
    fewest, most = asked
    return f"{fewest if fewest == most else f'{fewest} to {most}'} search items a domain"


_ENDS = {"pruned": "given up early", "failed": "failed"}


def grid_table(found: StudyState) -> str:
    """Retention of the merge, in %, by two settings: the first one down, the second across."""
    down, across = found.settings.knobs
    cells = {(one.values.get(down.name), one.values.get(across.name)): one for one in found.trials}
    goal = found.settings.goals[0]
    head = [f"{goal} % by {down.name} \\ {across.name}", *map(written, across.values())]
    rows = []
    for first in down.values():
        marks = [cells.get((first, second)) for second in across.values()]
        shares = [f"{100 * one.goals[0]:.0f}" if one and one.goals else "-" for one in marks]
        rows.append([written(first), *shares])
    return text_table(head, rows)


def merge_lines(verdict: Sequence[DomainVerdict], beside: Sequence[BaselineMerge]) -> list[str]:
    """The merge that was found on the test split, beside others; nothing if it was not asked."""
    from dppa_core.tuning.search.verdict import mean_retention  # noqa: PLC0415  (torch)

    if not verdict:
        return []
    head = ["test items", "n", "base %", "domain model %", *(f"{one.name} %" for one in beside)]
    rows = [
        [
            one.domain,
            str(one.own.n),
            *map(_share, (one.base, one.own, *(other.scores[one.domain] for other in beside))),
            _share(one.merged),
        ]
        for one in verdict
    ]
    kept = [other.retention for other in beside], mean_retention(verdict)
    means = [*map(_kept, kept[0]), _kept(kept[1])]
    rows.append(["mean retention", "", "", "", *means])
    found = text_table([*head, "what was found %"], rows)
    return [found, *(one.told() for one in beside)]


def _kept(one: Interval | None) -> str:
    return "" if one is None else percent_text(one.value, one.ends)


def claim_lines(verdict: Sequence[DomainVerdict]) -> list[str]:
    """Each model alone, the subject of the paper's claim; empty if it was not measured."""
    from dppa_core.tuning.search.verdict import claim_sentence  # noqa: PLC0415  (torch)

    if not verdict:
        return []
    head = ["each alone, pruned", "accuracy %", "retention % (95 %)", "kept %"]
    rows = [
        [
            one.domain,
            _share(one.alone),
            percent_text(one.retention, one.ci95),
            f"{100 * one.density:.1f}",
        ]
        for one in verdict
    ]
    return [text_table(head, rows), claim_sentence(verdict)]


def _share(score: DomainScore) -> str:
    return percent_text(score.accuracy, score.ci95)
