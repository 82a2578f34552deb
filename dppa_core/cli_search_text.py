"""What a search found, as text for people.

Knows results, no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dppa_core.cli_output import table

if TYPE_CHECKING:
    from dppa_core.evaluate import DomainScore
    from dppa_core.search_climb import Climbed
    from dppa_core.search_studied import Studied
    from dppa_core.search_verdict import DomainVerdict


def factors_text(factors: Sequence[float]) -> str:
    """Factors as they are told: strongest band first."""
    return " / ".join(f"{factor:g}" for factor in factors)


def climb_text(found: Climbed, verdict: Sequence[DomainVerdict], out: Path) -> str:
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
        f"{out}: factors found on {found.limit} search items a domain",
        table(["model", "levels", "factors", "score", "settings tried"], rows),
    ]
    return "\n".join([*lines, *verdict_lines(verdict)])


def study_text(found: Studied, verdict: Sequence[DomainVerdict], out: Path) -> str:
    """What nothing else beats, or the grid as a table; then the test split."""
    best = found.best
    if found.settings.every:
        body = grid_table(found)
    else:
        rows = [
            [
                str(one.number + 1),
                ", ".join(f"{name} {_plain(value)}" for name, value in one.values.items()),
                *(f"{value:.3f}" for value in one.goals),
                f"{100 * one.density:.0f}",
            ]
            for one in found.trials
            if one.number in found.front
        ]
        body = table(["trial", "settings", *found.settings.goals, "kept %"], rows)
    ends = [one.state for one in found.trials]
    told = f"{len(ends)} trials on {found.settings.limit} search items a domain"
    lost = [f"{ends.count(state)} {word}" for state, word in _ENDS.items() if state in ends]
    head = f"{out}: the best of {', '.join([told, *lost])}: trial {best.number + 1}"
    return "\n".join([head, body, *verdict_lines(verdict)])


_ENDS = {"pruned": "given up early", "failed": "failed"}


def grid_table(found: Studied) -> str:
    """Retention, in per cent, by two settings: the first one down, the second across."""
    down, across = found.settings.knobs
    cells = {(one.values.get(down.name), one.values.get(across.name)): one for one in found.trials}
    head = [f"{down.name} \\ {across.name}", *map(_plain, across.values())]
    rows = []
    for first in down.values():
        marks = [cells.get((first, second)) for second in across.values()]
        shares = [f"{100 * one.goals[0]:.0f}" if one and one.goals else "-" for one in marks]
        rows.append([_plain(first), *shares])
    return table(head, rows)


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def verdict_lines(verdict: Sequence[DomainVerdict]) -> list[str]:
    """The table of the test split and the sentence about the claim; nothing if it was not asked."""
    from dppa_core.search_verdict import claim_sentence  # noqa: PLC0415  (torch)

    if not verdict:
        return []
    head = ["test items", "n", "base %", "domain model %", "alone, pruned %"]
    head += ["retention % (95 %)", "kept %", "merge %"]
    rows = [
        [
            one.domain,
            str(one.own.n),
            _share(one.base),
            _share(one.own),
            _share(one.alone),
            f"{100 * one.retention:.1f} ({100 * one.ci95[0]:.1f}-{100 * one.ci95[1]:.1f})",
            f"{100 * one.density:.1f}",
            _share(one.merged),
        ]
        for one in verdict
    ]
    return [table(head, rows), claim_sentence(verdict)]


def _share(score: DomainScore) -> str:
    low, high = score.ci95
    return f"{100 * score.accuracy:.1f} ({100 * low:.1f}-{100 * high:.1f})"
