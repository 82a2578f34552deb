"""Tables of a leaderboard, from its JSON; and retention corrected for chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.evaluation.tables import markdown_table, percent_text, settings_text, signed_text
from dppa_core.methods.registry import get_method
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo.results.entry import DRAWN, MEANS

Values = Mapping[str, Any]
CHANCE = {"math": 0.0, "finance": 1 / 6, "law": 1 / 3}
"""Share of a domain's questions that guessing answers: of three kinds each, one of finance and two
of law have two answers, and half of those are guessed right."""


def corrected(row: Values, own: Mapping[str, float]) -> float:
    """Mean over the domains of what a merge answers above chance, divided by what the domain model
    does; below chance counts as nothing."""
    gains = [
        max(0.0, row["domains"][name]["accuracy"] - chance) / (own[name] - chance)
        for name, chance in CHANCE.items()
    ]
    return float(sum(gains) / len(gains))


def title(method: str) -> str:
    """A method as it is named in tables; ~ says that it draws at random, once."""
    return get_method(method).title + (" ~" if method in DRAWN else "")


def gap(found: Values, method: str) -> str:
    """A difference in points; bold beyond chance, unless another draw of the method might say
    otherwise."""
    told = signed_text(found["mean"], tuple(found["ci95"]))
    return f"**{told}**" if found["significant"] and method not in DRAWN else told


def kept(row: Values) -> str:
    """Mean retention in per cent."""
    return percent_text(row["retention"], tuple(row["retention_ci95"]), "–")


def standings(board: Values) -> str:
    """All methods, the best first."""
    rows = [
        [
            title(row["method"]),
            *map(_accuracy, _domains(row)),
            kept(row),
            f"{100 * corrected(row, board['own']):.1f}",
            "–" if row["method"] == "dppa" else gap(row["against_dppa"], row["method"]),
        ]
        for row in board["rows"]
    ]
    head = ["method", *(f"{name} %" for name in DOMAINS), "retention", "corrected"]
    return markdown_table([*head, "minus DPPA"], rows)


def chosen(board: Values) -> str:
    """The settings that the search chose, and what the merge adds to the base."""
    rows = [[title(row["method"]), _settings(row), *_added(row)] for row in board["rows"]]
    return markdown_table(["method", "chosen", "tried", "length", "likeness", "changed"], rows)


def changed(board: Values) -> str:
    """The methods that were merged again with one setting changed."""
    rows = [
        [
            f"{title(row['method'])}, {row['what']}",
            kept(row),
            gap(row["against_itself"], row["method"]),
        ]
        for row in board["variants"]
    ]
    return markdown_table(["method", "retention", "minus itself"], rows)


def board_tables(board: Values) -> str:
    """All of them."""
    parts = [standings(board), chosen(board)]
    if board["variants"]:
        parts.append(changed(board))
    parts += [f"{get_method(name).title}: {why}" for name, why in board["refused"].items()]
    return "\n\n".join(parts)


def boards(embedded: Values, smollm2: Values) -> str:
    """Two boards side by side, in the order of the first."""
    others = {row["method"]: (at, row) for at, row in enumerate(smollm2["rows"], 1)}
    rows = []
    for place, row in enumerate(embedded["rows"], 1):
        at, other = others[row["method"]]
        rows.append(
            [
                title(row["method"]),
                *_standing(place, row, embedded["own"]),
                *_standing(at, other, smollm2["own"]),
            ]
        )
    columns = ("", "retention", "corrected", "minus DPPA")
    head = [
        f"{of}{', ' if name else ''}{name}" for of in ("embedded", "SmolLM2") for name in columns
    ]
    return markdown_table(["method", *head], rows)


def _standing(place: int, row: Values, own: Mapping[str, float]) -> list[str]:
    apart = "–" if row["method"] == "dppa" else gap(row["against_dppa"], row["method"])
    return [f"{place}", kept(row), f"{100 * corrected(row, own):.1f}", apart]


def _domains(row: Values) -> Sequence[Values]:
    return [row["domains"][name] for name in DOMAINS]


def _accuracy(score: Values) -> str:
    return percent_text(score["accuracy"], tuple(score["ci95"]), "–")


def _settings(row: Values) -> str:
    return "a mean: nothing" if row["method"] in MEANS else settings_text(row["values"])


def _added(row: Values) -> list[str]:
    """Settings asked by loss and by retention; length, likeness and changed share, a mean of the
    merges."""
    count = len(row["added"])
    length, likeness, moved = (
        sum(one[name] for one in row["added"]) / count for name in ("length", "likeness", "changed")
    )
    tried = f"{row['tried']['losses']}, {row['tried']['retentions']}"
    return [tried, f"{length:.2f}", f"{likeness:.2f}", f"{100 * moved:.0f} %"]
