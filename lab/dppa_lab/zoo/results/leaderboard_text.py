"""The leaderboard as Markdown; every number comes from the measured leaderboard.

lab/scripts/stated_figures.py copies its first rows into the README.
"""

from __future__ import annotations

from dppa_core.evaluation.tables import (
    listed,
    markdown_table,
    percent_text,
    settings_text,
    signed_text,
)
from dppa_core.methods.della import DellaParameters
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Interval
from dppa_lab.zoo.results.choosing import BUDGET
from dppa_lab.zoo.results.entry import DRAWN, EXTRA, MEANS, RATE, MethodVariant
from dppa_lab.zoo.results.leaderboard import (
    REFERENCE,
    Leaderboard,
    LeaderboardRow,
)
from dppa_lab.zoo.results.retained import scores
from dppa_lab.zoo.results.scores_text import accuracy_text

MOST_LEFT = 3
"""Most methods that are named if they were left out."""


def markdown(board: Leaderboard, command: str) -> str:
    """The whole page: retentions against DPPA, then the chosen settings and explanations."""
    parts = [_short(board, command), "## Chosen on the search split", _long(board)]
    if board.variants:
        parts += ["## Why some stand where they stand", *_reasons(board)]
    return "\n\n".join(parts)


def _short(board: Leaderboard, command: str) -> str:
    items = "all test items" if board.test_items is None else f"{board.test_items} test items"
    below = (
        " Below, DARE and these three are merged again with one setting changed."
        if board.variants
        else ""
    )
    parts = [
        f"{_which(board)}, each merging the three domain models of {board.title} into one, on "
        f"{items} of each domain. *Retention* is the merge's accuracy divided by the domain "
        "model's own, averaged over the domains. Parameters are the papers' defaults, ours where a "
        f"paper has none; DAREx-q divides by {EXTRA['darex_q']['q']:g}, the least at this rate. "
        f"Methods that prune keep {100 * (1 - RATE):.0f} % of the matrices and embeddings whole, "
        "DPPA and OWL on average, unless their papers do not: DARE, TIES and DARE-TIES prune "
        "embeddings too; SCE, Model Breadcrumbs and PCB-Merging keep a tenth, DELLA "
        f"{100 * (1 - DellaParameters().drop):.0f} %.{below} Factors, "
        "coefficient or scale, and strength, as far as a method has them, were chosen together on "
        f"{board.search_items} search items a domain, "
        "with one budget for all: "
        f"at most {BUDGET.losses} settings by loss, {BUDGET.accuracies} of them by retention, so "
        f"{(BUDGET.losses + BUDGET.accuracies) * board.search_items * len(DOMAINS):,} questions. "
        "In brackets: 95 % intervals. Accuracy is in per cent. "
        f"Made by `{command}`.",
        _standings(board),
        *findings(board),
    ]
    return "\n\n".join(parts)


def _which(board: Leaderboard) -> str:
    """The methods that are ranked."""
    known = {row.method for row in board.rows} | set(board.refused)
    left = [method.title for method in METHODS if method.name not in known]
    if len(left) > MOST_LEFT:
        return f"{len(board.rows)} of {len(METHODS)} methods"
    return f"All methods but {listed(left)}" if left else "All methods"


def _standings(board: Leaderboard) -> str:
    seen = board.sides()
    rows = [
        [
            _title(row),
            *_answers(row),
            _kept(board.kept(row)),
            _gap(board.against(row, board.reference), seen[row.method], row.method)
            if row.method in seen
            else "–",
        ]
        for row in board.rows
    ]
    return markdown_table(["method", *DOMAINS, "mean retention", "against DPPA, points"], rows)


def _kept(found: Interval) -> str:
    return percent_text(found.value, found.ends, "–", " %")


def _answers(row: LeaderboardRow) -> list[str]:
    return [accuracy_text(scores(row.hits).domains[domain]) for domain in DOMAINS]


def _gap(found: Interval, side: int, method: str) -> str:
    """A difference; bold beyond chance, unless another draw of the method might say otherwise."""
    told = signed_text(found.value, found.ends)
    if side:
        return f"{told}, one draw" if method in DRAWN else f"**{told}**"
    return f"{told}, not significant"


def _named(method: str) -> str:
    return get_method(method).title + (" (one draw)" if method in DRAWN else "")


def findings(board: Leaderboard) -> list[str]:
    """Sentences on the results, for and against DPPA."""
    seen = board.sides()
    better, alike, worse = (
        [_named(name) for name, found in seen.items() if found == side] for side in (1, 0, -1)
    )
    place = [row.method for row in board.rows].index(REFERENCE) + 1
    lines = [f"DPPA stands at place {place} of {len(board.rows)}."]
    if better:
        verb = "keep" if len(better) > 1 else "keeps"
        lines.append(f"{listed(better)} {verb} more than DPPA here, by more than chance explains.")
    else:
        lines.append("No method keeps more than DPPA here by more than chance explains.")
    if alike:
        lines.append(f"No significant difference from DPPA: {listed(alike)}.")
    if worse:
        lines.append(f"Less than DPPA: {listed(worse)}.")
    lines.append(
        "Intervals are those of one comparison; whether a difference is by chance is decided by "
        f"p-values corrected for the {len(seen)} comparisons (Holm)."
    )
    told = [" ".join(lines)]
    drawn = [_title(row) for row in board.rows if row.method in DRAWN]
    if drawn:
        told.append(f"Drawn at random, once, which the intervals do not cover: {listed(drawn)}.")
    if _by_domain(board):
        named = listed([_title(row) for row in _by_domain(board)])
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
    rows = []
    for row in board.rows:
        asked = f"{row.chosen.losses}, {row.chosen.retentions}"
        tried = asked if row.entry.searched else "–"
        rows.append([_title(row), _chosen(row), tried, _by_loss(board, row), *_added(row)])
    header = ["method", "chosen", "tried", "by loss alone", "length", "likeness", "changed"]
    return (
        f"The domain models answer of their own domain: {own}.\n\n"
        + markdown_table(header, rows)
        + "\n\n*Tried*: settings whose loss was asked, the negative log-likelihood of the "
        "right answers, a geometric mean over the domains, and those whose retention was asked "
        "too. The first has factors and "
        "coefficients of 1 and the method's defaults. The next change one number by a step; then "
        "a quadratic is fitted to the logarithms of the losses around the best, and its lowest "
        "point is asked. By "
        "retention are asked the lowest loss, the first setting, and others by loss that differ "
        "from these; the highest is chosen, of equal ones the smaller loss. *By loss "
        "alone*: the setting of least loss, if it is another one, and its mean retention on the "
        "test items.\n\n"
        "What the merge adds to the base, all tensors together: *length* is its norm divided by "
        "that of the sum of the three deltas, *likeness* the cosine between the two, *changed* the "
        "share of elements that are not the base's.\n\n"
        "Differences are paired: all merges answer the same items, so that the interval of a "
        "difference is that of the mean of the items' differences."
    )


def _chosen(row: LeaderboardRow) -> str:
    given = settings_text({**row.chosen.values, **EXTRA.get(row.method, {})})
    return given if row.entry.searched else "a mean: nothing to choose"


def _by_loss(board: Leaderboard, row: LeaderboardRow) -> str:
    if row.chosen.by_loss == row.chosen.values:
        return "the same" if row.entry.searched else "–"
    return f"{settings_text(row.chosen.by_loss)}: {_kept(board.kept_by_loss(row))}"


def _added(row: LeaderboardRow) -> list[str]:
    count = len(row.added)
    length, likeness, changed = (
        sum(getattr(one, name) for one in row.added) / count
        for name in ("length", "likeness", "changed")
    )
    return [f"{length:.2f}", f"{likeness:.2f}", f"{100 * changed:.0f} %"]


def _reasons(board: Leaderboard) -> list[str]:
    changed = board.changed()
    rows = [
        [
            f"{_title(row)}, {variant.what}",
            *_answers(row),
            _kept(board.kept(row)),
            _gap(board.against(row, board.itself(row)), side, row.method),
            _chosen(row),
            *_added(row)[:2],
        ]
        for (variant, row), side in zip(board.variants, changed, strict=True)
    ]
    header = ["method", *DOMAINS, "mean retention", "against itself, points"]
    parts = [
        "Merged once more with one setting changed, searched and scored in the same way.",
        markdown_table([*header, "chosen", "length", "likeness"], rows),
        "\n".join(
            f"- {_reason(board, variant, row, side)}"
            for (variant, row), side in zip(board.variants, changed, strict=True)
        ),
    ]
    means = [row for row in board.rows if row.method in MEANS]
    if means:
        parts.append(_of_means(means))
    return parts


def _reason(board: Leaderboard, variant: MethodVariant, row: LeaderboardRow, side: int) -> str:
    before = board.itself(row)
    one, two = (100 * board.retention(each) for each in (before, row))
    chance = "beyond chance" if side else "within what chance explains"
    same = [_title(one) for one in board.rows if one.hits == row.hits]
    twin = f" It gives the same answers as {listed(same)}." if same else ""
    (length, likeness, _), (longer, alike, _) = _added(before), _added(row)
    return (
        f"{variant.why} As the board has it, it keeps {one:.1f} %; {variant.what}, {two:.1f} %, "
        f"which is {chance}. What it adds goes from {length} to {longer} of the sum's length, and "
        f"from a likeness of {likeness} to {alike}.{twin}"
    )


def _of_means(means: list[LeaderboardRow]) -> str:
    told = [f"{_title(row)} {sum(one.length for one in row.added):.2f}" for row in means]
    return (
        "The weights of a mean have the sum 1, so that it adds less than the sum of the deltas: "
        f"{listed(told)} of its length. Linear is task arithmetic with a coefficient of one third, "
        "and nothing else."
    )


def _by_domain(board: Leaderboard) -> list[LeaderboardRow]:
    """Rows of methods with a separate merge per domain."""
    return [row for row in board.rows if row.entry.by_domain()]


def _title(row: LeaderboardRow) -> str:
    return get_method(row.method).title
