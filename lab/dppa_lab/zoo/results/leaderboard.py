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
from dppa_core.tasks.intervals import Interval
from dppa_core.tuning.search.joint import JOINT_ITEMS
from dppa_lab.zoo.results.choosing import ChosenValues, choose
from dppa_lab.zoo.results.entry import EMBEDDED, VARIANTS, Entry, entry
from dppa_lab.zoo.results.merge_examiner import Added, MergeExaminer
from dppa_lab.zoo.results.retained import (
    DomainHits,
    bits,
    hits_of,
    paired_gain,
    retained,
    retained_interval,
    scores,
    sides,
)
from dppa_lab.zoo.trained_set import TrainedSet, set_title

EMBEDDED_TITLE = "the embedded models"
STRENGTHS = ("coefficient", "scale")
"""Axes that make a whole merge stronger."""
REFERENCE = "dppa"
"""The method all others are compared with."""
Accuracies = Mapping[str, float]
"""Domain -> accuracy of its own model on the test items."""


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """The results of one method."""

    entry: Entry
    choice: ChosenValues
    hits: DomainHits
    """Domain -> hits on its test items."""
    added: tuple[Added, ...]
    """Delta of the merge, or of one merge per domain."""
    by_loss: Interval
    """The retention of the setting of least loss, which may be the chosen one."""

    @property
    def method(self) -> str:
        """The method's name."""
        return self.entry.method.name

    def to_json(self, accuracies: Accuracies) -> dict[str, Any]:
        """A JSON-ready copy; the mean retention is over the domains, with its interval."""
        recipe, values = self.entry.recipes(self.choice.point)[DOMAINS[0]], self.choice.values
        axes = [axis for axis in self.entry.axes() if axis.name in STRENGTHS]
        factors = {
            domain: list(model.amplification)
            for domain, model in zip(self.entry.domains, recipe.models, strict=True)
        }
        return {
            "method": self.method,
            "strength": values[axes[0].name] / axes[0].start if axes else 1.0,
            "values": dict(values),
            "tried": self.choice.tried,
            "parameters": dict(recipe.parameters),
            "factors": factors if "factor1" in values else {},
            "added": [asdict(added) for added in self.added],
            "domains": {d: score.figures() for d, score in scores(self.hits).domains.items()},
            "hits": {domain: bits(hits) for domain, hits in self.hits.items()},
            "retention": retained(self.hits, accuracies),
            "retention_ci95": list(retained_interval(self.hits, accuracies).ends),
            "by_loss": {
                "values": dict(self.choice.by_loss),
                "retention": self.by_loss.value,
                "retention_ci95": list(self.by_loss.ends),
            },
        }


def measure_board(
    names: Sequence[str] | None = None,
    models: TrainedSet | None = None,
    *,
    test_items: int | None = None,
    search_items: int = JOINT_ITEMS,
    earlier: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score every method, ready for JSON; takes minutes of a core each unless cached.

    Args:
        names: Methods; all if None. DPPA is always included.
        models: The set to merge; the embedded models if None.
        test_items: Per domain; all if None.
        search_items: Per domain, of the search split.
        earlier: A board of the same models. Its methods join in, with the settings chosen there;
            only the others are searched. Its rows are taken as they are if the domain models
            answer the same number of items as they did there; otherwise its merges are asked again.

    Raises:
        UnknownName: no such method.
        MissingCheckpoint: a model of the set is not there.
    """
    references = models.complete() if models else EMBEDDED
    known = _rows(earlier or {})
    selected = [get_method(name) for name in names] if names is not None else list(METHODS)
    selected += [get_method(name) for name, _ in (*known, (REFERENCE, ""))]
    methods = [method for method in METHODS if method in selected]
    examiner = MergeExaminer(test_items, search_items, progress)
    accuracies = {domain: examiner.share(references[domain], domain, "test") for domain in DOMAINS}
    answered = {"test_items": test_items, "search_items": search_items, "own": accuracies}
    same = earlier is not None and answered == {name: earlier[name] for name in answered}
    source = _RowSource(examiner, references, accuracies, known, same)

    rows, refused = [], dict[str, str]((earlier or {}).get("refused", {}))
    for method in methods:
        try:
            merge = replace(entry(method), references=references)
            rows.append(source.row(merge))
        except InvalidRecipe as error:
            refused[method.name] = str(error)
    variants = []
    for variant in [] if models else VARIANTS:
        merge, what = variant.entry, variant.difference
        if merge.method in methods:
            variants.append((what, source.row(merge, what)))
    return {
        "models": f"the set {set_title(models.record)}" if models else EMBEDDED_TITLE,
        **board_json(rows, variants, accuracies),
        "refused": refused,
        **answered,
    }


@dataclass(frozen=True, slots=True)
class _RowSource:
    """Takes rows from an earlier board, or measures them."""

    examiner: MergeExaminer
    references: Mapping[str, str]
    """Domain -> the model whose accuracy a merge's is divided by."""
    accuracies: Accuracies
    known: Mapping[tuple[str, str], Mapping[str, Any]]
    """Rows of the earlier board, as of `_rows`."""
    same: bool
    """True if they are answers to the same items by the same models."""

    def row(self, merge: Entry, what: str = "") -> LeaderboardRow:
        """The row of a method, or of the variant that differs so."""
        row = self.known.get((merge.method.name, what))
        if row is not None and self.same:
            return _earlier_row(merge, row)
        choice = choose(merge, self.examiner, self.references) if row is None else _choice(row)
        return _measured(merge, choice, self.examiner, self.accuracies)


def _rows(board: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Method, what differs in a variant -> the row of an earlier board."""
    rows = (*board.get("rows", ()), *board.get("variants", ()))
    return {(row["method"], row.get("what", "")): row for row in rows}


def _choice(row: Mapping[str, Any]) -> ChosenValues:
    """The settings chosen for a row of an earlier board."""
    tried = row["tried"]
    return ChosenValues(
        row["values"], tried["losses"], tried["retentions"], row["by_loss"]["values"]
    )


def _earlier_row(entry: Entry, row: Mapping[str, Any]) -> LeaderboardRow:
    """A row of an earlier board, as it is."""
    hits = {domain: hits_of(text) for domain, text in row["hits"].items()}
    by_loss = Interval(row["by_loss"]["retention"], *row["by_loss"]["retention_ci95"])
    added = tuple(Added(**delta) for delta in row["added"])
    return LeaderboardRow(entry, _choice(row), hits, added, by_loss)


def _measured(
    entry: Entry, choice: ChosenValues, examiner: MergeExaminer, accuracies: Accuracies
) -> LeaderboardRow:
    """The score of chosen settings on the test split."""
    recipes, lowest = (entry.recipes(tuple(v.values())) for v in (choice.values, choice.by_loss))
    hits, by_loss = (
        {domain: examiner.hits(by_domain[domain], domain, "test") for domain in DOMAINS}
        for by_domain in (recipes, lowest)
    )
    added = tuple(examiner.added(recipe) for recipe in dict.fromkeys(recipes.values()))
    return LeaderboardRow(entry, choice, hits, added, retained_interval(by_loss, accuracies))


def board_json(
    rows: Sequence[LeaderboardRow],
    variants: Sequence[tuple[str, LeaderboardRow]],
    accuracies: Accuracies,
) -> dict[str, Any]:
    """The rows, the best first, and the variants. Differences are paired by item, and whether
    chance explains them is corrected for their number.

    Args:
        rows: That of `REFERENCE` among them.
        variants: How the settings differ, and the row of a method with them; its method has a row.
    """
    rows = sorted(rows, key=lambda row: -retained(row.hits, accuracies))
    by_method = {row.method: row for row in rows}
    reference = by_method[REFERENCE]
    others = [(row, reference) for row in rows if row is not reference]
    against = dict(zip((row.method for row, _ in others), _gaps(others, accuracies), strict=True))
    against[REFERENCE] = _gap(Interval(0.0, 0.0, 0.0), 0)
    selves = _gaps([(row, by_method[row.method]) for _, row in variants], accuracies)
    return {
        "rows": [{**row.to_json(accuracies), "against_dppa": against[row.method]} for row in rows],
        "variants": [
            {"what": difference, **row.to_json(accuracies), "against_itself": gap}
            for (difference, row), gap in zip(variants, selves, strict=True)
        ],
    }


def _gaps(
    pairs: Sequence[tuple[LeaderboardRow, LeaderboardRow]], accuracies: Accuracies
) -> list[dict[str, Any]]:
    """Mean retention of each first row minus that of the second."""
    gaps = [paired_gain(row.hits, rival.hits, accuracies) for row, rival in pairs]
    return list(map(_gap, gaps, sides(gaps)))


def _gap(gap: Interval, side: int) -> dict[str, Any]:
    return {"mean": gap.value, "ci95": list(gap.ends), "significant": bool(side)}
