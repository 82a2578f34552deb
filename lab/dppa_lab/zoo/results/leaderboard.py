"""Every merge method on one set of models: one merge of all three domains each, scored alike.

A joint search with one budget for all chooses factors, coefficient or scale, and strength of each
merge on the search split; results come from the test split. They are cached by the hash of their
recipe, so that a run can resume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dppa_core.errors import InvalidRecipe
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.progress import Progress
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Hits, Interval
from dppa_core.tuning.search.joint import JOINT_ITEMS
from dppa_lab.zoo.results.choosing import ChosenValues, choose
from dppa_lab.zoo.results.entry import EMBEDDED, VARIANTS, Entry, MethodVariant, entry
from dppa_lab.zoo.results.merge_examiner import Added, MergeExaminer
from dppa_lab.zoo.results.retained import (
    bits,
    paired_gain,
    retained,
    retained_interval,
    scores,
    sides,
)
from dppa_lab.zoo.trained_set import TrainedSet, set_title

EMBEDDED_TITLE = "the embedded models"
MAIN = ("coefficient", "scale")
"""What makes a whole merge stronger."""
REFERENCE = "dppa"
"""The method all others are compared with."""


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """The results of one method."""

    entry: Entry
    chosen: ChosenValues
    hits: Mapping[str, Hits]
    """Domain -> hits on its test items."""
    added: tuple[Added, ...]
    """Delta of the merge, or of one merge per domain."""
    hits_by_loss: Mapping[str, Hits]
    """The hits of the setting of least loss, which may be the chosen one."""

    @property
    def method(self) -> str:
        """The method's name."""
        return self.entry.method.name


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """All methods, the best first."""

    rows: tuple[LeaderboardRow, ...]
    refused: Mapping[str, str]
    """Method -> why it cannot merge these three."""
    own: Mapping[str, float]
    """Domain -> accuracy of its own model on the test items."""
    test_items: int | None
    search_items: int
    title: str = EMBEDDED_TITLE
    """The set whose models are merged."""
    variants: tuple[tuple[MethodVariant, LeaderboardRow], ...] = ()
    """Methods again, with other settings; of the embedded models alone."""

    @property
    def reference(self) -> LeaderboardRow:
        """The row all others are compared with."""
        return next(row for row in self.rows if row.method == REFERENCE)

    def retention(self, row: LeaderboardRow) -> float:
        """Mean over the domains of a merge's accuracy divided by the domain model's own."""
        return retained(scores(row.hits), dict(self.own))

    def kept(self, row: LeaderboardRow) -> Interval:
        """The same with its interval over the items."""
        return retained_interval(row.hits, self.own)

    def kept_by_loss(self, row: LeaderboardRow) -> Interval:
        """The same of the setting of least loss."""
        return retained_interval(row.hits_by_loss, self.own)

    def against(self, row: LeaderboardRow, other: LeaderboardRow) -> Interval:
        """Difference of two retentions, as a fraction."""
        return paired_gain(row.hits, other.hits, self.own)

    def itself(self, row: LeaderboardRow) -> LeaderboardRow:
        """The row of the method with its paper's settings."""
        return next(one for one in self.rows if one.method == row.method)

    def sides(self) -> dict[str, int]:
        """Method -> 1 if it keeps more than the reference, -1 if less, 0 if no difference is seen;
        corrected for their number."""
        others = [row for row in self.rows if row is not self.reference]
        found = sides([self.against(row, self.reference) for row in others])
        return dict(zip((row.method for row in others), found, strict=True))

    def changed(self) -> tuple[int, ...]:
        """The same of each variant, against its method."""
        return sides([self.against(row, self.itself(row)) for _, row in self.variants])


def measure(
    names: Sequence[str] | None = None,
    models: TrainedSet | None = None,
    *,
    test_items: int | None = None,
    search_items: int = JOINT_ITEMS,
    progress: Progress | None = None,
) -> Leaderboard:
    """Score every method; takes several minutes of one core each unless cached.

    Args:
        names: Methods; all if None. DPPA is always included.
        models: The set to merge; the embedded models if None.
        test_items: Per domain; all if None.
        search_items: Per domain, of the search split.

    Raises:
        UnknownName: no such method.
        MissingCheckpoint: a model of the set is not there.
    """
    references = models.complete() if models else EMBEDDED
    chosen = [get_method(name) for name in names] if names is not None else list(METHODS)
    methods = [method for method in METHODS if method in chosen or method.name == REFERENCE]
    examiner = MergeExaminer(test_items, search_items, progress)
    own = {domain: examiner.share(references[domain], domain, "test") for domain in DOMAINS}
    rows, refused = [], {}
    for method in methods:
        try:
            rows.append(_row(replace(entry(method), references=references), examiner))
        except InvalidRecipe as error:
            refused[method.name] = str(error)
    variants = [] if models else [one for one in VARIANTS if one.entry.method in methods]
    again = tuple((one, _row(one.entry, examiner)) for one in variants)
    title = f"the set {set_title(models.record)}" if models else EMBEDDED_TITLE
    board = Leaderboard((), refused, own, test_items, search_items, title, again)
    order = sorted(rows, key=lambda row: -board.retention(row))
    return replace(board, rows=tuple(order))


def _row(entry: Entry, examiner: MergeExaminer) -> LeaderboardRow:
    """Choose on the search split, then score on the test split."""
    chosen = choose(entry, examiner)
    made, lowest = (entry.recipes(tuple(of.values())) for of in (chosen.values, chosen.by_loss))
    hits, by_loss = (
        {domain: examiner.hits(one[domain], domain, "test") for domain in DOMAINS}
        for one in (made, lowest)
    )
    added = tuple(examiner.added(one) for one in dict.fromkeys(made.values()))
    return LeaderboardRow(entry, chosen, hits, added, by_loss)


def as_json(board: Leaderboard) -> dict[str, Any]:
    """A JSON-ready copy."""
    found = board.sides()
    return {
        "models": board.title,
        "rows": [
            {
                **_row_json(board, row),
                "against_dppa": _gap_json(
                    board.against(row, board.reference), found.get(row.method, 0)
                ),
            }
            for row in board.rows
        ],
        "variants": [
            {
                "what": variant.what,
                **_row_json(board, row),
                "against_itself": _gap_json(board.against(row, board.itself(row)), side),
            }
            for (variant, row), side in zip(board.variants, board.changed(), strict=True)
        ],
        "refused": dict(board.refused),
        "own": dict(board.own),
        "test_items": board.test_items,
        "search_items": board.search_items,
    }


def _gap_json(found: Interval, side: int) -> dict[str, Any]:
    return {"mean": found.value, "ci95": list(found.ends), "significant": bool(side)}


def _row_json(board: Leaderboard, row: LeaderboardRow) -> dict[str, Any]:
    found = scores(row.hits)
    one, values = row.entry.recipes(row.chosen.point)[DOMAINS[0]], row.chosen.values
    strength = [values[axis.name] / axis.start for axis in row.entry.axes() if axis.name in MAIN]
    factors = {
        domain: list(model.amplification)
        for domain, model in zip(row.entry.domains, one.models, strict=True)
    }
    return {
        "method": row.method,
        "strength": strength[0] if strength else 1.0,
        "values": dict(values),
        "tried": {"losses": row.chosen.losses, "retentions": row.chosen.retentions},
        "parameters": dict(one.parameters),
        "factors": factors if "factor1" in values else {},
        "added": [asdict(one) for one in row.added],
        "domains": {domain: one.figures() for domain, one in found.domains.items()},
        "hits": {domain: bits(of) for domain, of in row.hits.items()},
        "retention": board.retention(row),
        "retention_ci95": list(board.kept(row).ends),
        "by_loss": {
            "values": dict(row.chosen.by_loss),
            "retention": board.kept_by_loss(row).value,
            "retention_ci95": list(board.kept_by_loss(row).ends),
        },
    }
