"""Tables of a leaderboard, from its JSON; and retention corrected for chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dppa_core.charts.tables import markdown_table, percent_text, settings_text, signed_text
from dppa_core.methods.registry import get_method
from dppa_core.tasks import DOMAINS
from dppa_lab.reports.data import Values
from dppa_lab.zoo.results.entry import DRAWN, MEANS

CHANCE = {"math": 0.0, "finance": 1 / 6, "law": 1 / 3}
"""Share of a domain's questions that guessing answers: of three kinds each, one of finance and two
of law have two answers, and half of those are guessed right."""


def corrected(row: Values, accuracies: Mapping[str, float]) -> float:
    """Mean over the domains of what a merge answers above chance, divided by what the domain model
    does; below chance counts as nothing."""
    gains = [
        max(0.0, row["domains"][name]["accuracy"] - chance) / (accuracies[name] - chance)
        for name, chance in CHANCE.items()
    ]
    return float(sum(gains) / len(gains))


def board_tables(board: Values) -> str:
    """All tables of the command."""
    parts = [_standings(board), _settings(board)]
    if board["variants"]:
        parts.append(_variants(board["variants"]))
    parts += [f"{get_method(name).title}: {why}" for name, why in board["refused"].items()]
    return "\n\n".join(parts)


def boards(embedded: Values, smollm2: Values) -> str:
    """Two boards side by side, in the order of the first; dashes for what the second lacks."""
    beside = {
        row["method"]: [f"{place}", *_standing(row, smollm2)]
        for place, row in enumerate(smollm2["rows"], 1)
    }
    rows = [
        [
            *(_title(row["method"]), f"{place}", *_standing(row, embedded)),
            *beside.get(row["method"], ["–"] * 4),
        ]
        for place, row in enumerate(embedded["rows"], 1)
    ]
    columns = ("", ", retention", ", corrected", ", minus DPPA")
    head = [f"{models}{column}" for models in ("embedded", "SmolLM2") for column in columns]
    return markdown_table(["method", *head], rows)


def _standings(board: Values) -> str:
    """All methods, the best first."""
    rows = [
        [
            _title(row["method"]),
            *(_accuracy(row["domains"][name]) for name in DOMAINS),
            *_standing(row, board),
        ]
        for row in board["rows"]
    ]
    head = ["method", *(f"{name} %" for name in DOMAINS), "retention", "corrected"]
    return markdown_table([*head, "minus DPPA"], rows)


def _settings(board: Values) -> str:
    """The settings that the search chose, and what the merge adds to the base: length, likeness
    and changed share, a mean of the merges."""
    rows = []
    for row in board["rows"]:
        settings = settings_text(row["values"])
        length, likeness, moved = (
            sum(delta[name] for delta in row["added"]) / len(row["added"])
            for name in ("length", "likeness", "changed")
        )
        rows.append(
            [
                _title(row["method"]),
                "a mean: nothing" if row["method"] in MEANS else settings,
                f"{row['tried']['losses']}, {row['tried']['retentions']}",
                *(f"{length:.2f}", f"{likeness:.2f}", f"{100 * moved:.0f} %"),
            ]
        )
    return markdown_table(["method", "chosen", "tried", "length", "likeness", "changed"], rows)


def form_rows(board: Values) -> str:
    """Task arithmetic of models that are kept in forms, beside that of whole ones."""
    return _variants([row for row in board["variants"] if row["method"] == "task_arithmetic"])


def _variants(variants: Sequence[Values]) -> str:
    """The methods that were merged again with one setting changed."""
    rows = [
        [
            f"{_title(row['method'])}, {row['what']}",
            _kept(row),
            _gap(row["against_itself"], row["method"]),
        ]
        for row in variants
    ]
    return markdown_table(["method", "retention", "minus itself"], rows)


def _title(method: str) -> str:
    """A method as it is named in tables; ~ says that it draws at random, once."""
    return get_method(method).title + (" ~" if method in DRAWN else "")


def _standing(row: Values, board: Values) -> list[str]:
    """Retention, that corrected for chance, and the difference from DPPA."""
    gap = "–" if row["method"] == "dppa" else _gap(row["against_dppa"], row["method"])
    return [_kept(row), f"{100 * corrected(row, board['own']):.1f}", gap]


def _gap(gap: Values, method: str) -> str:
    """A difference in points; bold beyond chance, unless another draw of the method might say
    otherwise."""
    text = signed_text(gap["mean"], tuple(gap["ci95"]))
    return f"**{text}**" if gap["significant"] and method not in DRAWN else text


def _kept(row: Values) -> str:
    """Mean retention in per cent."""
    return percent_text(row["retention"], tuple(row["retention_ci95"]), "–")


def _accuracy(score: Values) -> str:
    return percent_text(score["accuracy"], tuple(score["ci95"]), "–")
