"""The leaderboard as Markdown, from what was measured.

Knows no model: every figure and every sentence about a figure comes from the leaderboard. What
stands before the second heading is short enough for the README.
"""

from __future__ import annotations

from dataclasses import fields

from dppa_core.methods.registry import get_method
from dppa_core.tasks import DOMAINS
from dppa_core.zoo.leaderboard import RATE, REFERENCE, Leaderboard, Row, scale_of, scores
from dppa_core.zoo.report_text import cell, table


def markdown(board: Leaderboard, command: str) -> str:
    """The whole page: who keeps how much, against DPPA, then what was chosen."""
    return f"{_short(board, command)}\n\n## Chosen on the search split\n\n{_long(board)}"


def _short(board: Leaderboard, command: str) -> str:
    items = "all test items" if board.test_items is None else f"{board.test_items} test items"
    parts = [
        f"All methods, each merging math, finance and law into one model, on {items} of each "
        "domain. *Retention* is the merge's accuracy divided by the domain model's own, averaged "
        "over the domains. Parameters are the papers' defaults; methods that prune keep "
        f"{100 * (1 - RATE):.0f} % of every delta. How strong the merge is made was chosen on "
        f"{board.search_items} search items a domain, for DPPA the amplification as well. In "
        f"brackets: 95 % intervals. Accuracy is in per cent. Made by `{command}`.",
        _standings(board),
        *findings(board),
    ]
    return "\n\n".join(parts)


def _standings(board: Leaderboard) -> str:
    reference = _reference(board)
    rows = [
        [
            _title(row),
            *_answers(row),
            f"{100 * board.retention(row):.1f} %",
            _against(board, row, reference),
        ]
        for row in board.rows
    ]
    return table(["method", *DOMAINS, "mean retention", "against DPPA, points"], rows)


def _answers(row: Row) -> list[str]:
    return [cell(scores(row.hits).domains[domain]) for domain in DOMAINS]


def _against(board: Leaderboard, row: Row, reference: Row) -> str:
    if row.method == REFERENCE:
        return "–"
    mean, low, high = (100 * value for value in board.against(row, reference))
    told = f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
    return f"{told}, not significant" if low <= 0 <= high else f"**{told}**"


def findings(board: Leaderboard) -> list[str]:
    """Sentences on what the figures say, for DPPA and against it."""
    reference = _reference(board)
    better, worse, alike = list[str](), list[str](), list[str]()
    for row in board.rows:
        if row.method != REFERENCE:
            _, low, high = board.against(row, reference)
            (better if low > 0 else worse if high < 0 else alike).append(_title(row))
    place = [row.method for row in board.rows].index(REFERENCE) + 1
    lines = [f"DPPA stands at place {place} of {len(board.rows)}."]
    if better:
        verb = "keep" if len(better) > 1 else "keeps"
        lines.append(f"{_list(better)} {verb} more than DPPA here, by more than chance explains.")
    else:
        lines.append("No method keeps more than DPPA here by more than chance explains.")
    if alike:
        lines.append(f"Not told apart from DPPA: {_list(alike)}.")
    if worse:
        lines.append(f"Less than DPPA: {_list(worse)}.")
    lines.append(
        "Each comparison stands alone: of twenty without a real difference, one is expected "
        "to look like one."
    )
    told = [" ".join(lines)]
    if _by_domain(board):
        named = _list([_title(row) for row in _by_domain(board)])
        told.append(
            f"{named} is no single model: every domain was asked its own merge, which the "
            "others have to do without."
        )
    if board.refused:
        why = "; ".join(
            f"{get_method(name).title} ({text})" for name, text in board.refused.items()
        )
        told.append(f"Not measured: {why}")
    return told


def _long(board: Leaderboard) -> str:
    own = ", ".join(f"{domain} {100 * share:.1f} %" for domain, share in board.own.items())
    rows = [[_title(row), _chosen(row)] for row in board.rows]
    return (
        f"The domain models answer of their own domain: {own}.\n\n"
        + table(["method", "chosen"], rows)
        + "\n\nDifferences are paired: all merges answer the same items, so that the interval of a "
        "difference is that of the mean of the items' differences."
    )


def _chosen(row: Row) -> str:
    scale = scale_of(get_method(row.method))
    strength = (
        f"coefficient {row.strength:g}" if scale is None else f"scale {scale * row.strength:.3g}"
    )
    parts = [strength]
    for name, chosen in row.settings.items():
        if name == "factors":
            parts += [f"{d} {' / '.join(f'{x:g}' for x in of)}" for d, of in chosen.items()]
        else:
            parts.append(f"{name} {chosen:g}")
    return ", ".join(parts)


def _by_domain(board: Leaderboard) -> list[Row]:
    """Rows of methods that merge anew for each domain."""
    found = []
    for row in board.rows:
        settings = fields(get_method(row.method).parameters)
        if any(item.metadata.get("model") for item in settings):
            found.append(row)
    return found


def _reference(board: Leaderboard) -> Row:
    return next(row for row in board.rows if row.method == REFERENCE)


def _title(row: Row) -> str:
    return get_method(row.method).title


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
