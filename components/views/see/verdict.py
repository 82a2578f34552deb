"""What a merge keeps, as far as it is known before it is scored: read from the results of
`make results` and, for the models trained apart, of `make study`. assets/js/plots/verdict.js shows
it over the plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from dppa_core.evaluation.tables import settings_text
from dppa_core.methods.registry import get_method
from dppa_core.recipes.yaml_text import MergeRecipe, parse_recipe, recipe_hash
from dppa_core.tasks.intervals import Interval
from dppa_lab.zoo.study.compare import retention
from dppa_lab.zoo.study.merges import recipe_of

from ...session.from_recipe import session_from_recipe
from ...session.presets import first_session, presets
from ...session.shipped import shipped
from ...session.state import state_of

RESULTS = shipped("docs/results.json")
STUDIED = {
    "docs/study/embedded-replay-25-pull-5-1.json": ("zoo:base", "zoo:apart-"),
    "docs/study/smollm2.json": ("zoo:smollm2", "zoo:smollm2-"),
}
"""Files of `make study` that come along -> base, and names of the models up to the domain."""
LEADERBOARD = shipped("docs/leaderboard.json")
TRAINED_APART = "Trained apart: math + finance + law"
"""The preset of the models that never met."""
FOR_EACH_DOMAIN = "emr"
"""The method that makes a checkpoint for each domain, not one for all."""
OTHERS = {
    "task_arithmetic": "task arithmetic",
    "dppa": "DPPA",
    "magnitude": "magnitude",
}
"""Method in the results -> how the line names it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A merge of the results."""

    recipe: str
    """Its hash."""
    models: tuple[str, ...]
    method: str
    rate: float
    searched: bool
    """Whether a search chose its factors, coefficient and strength; otherwise all are 1."""
    kept: float
    """Mean over the domains of its accuracy divided by that of the domain's own model."""
    questions: int
    """Test questions asked, all domains together."""


@cache
def measured() -> tuple[Measured, ...]:
    """Every merge in the results, and those of the sets of the study that come along."""
    studied = (one for file, names in STUDIED.items() for one in _studied(file, *names))
    return (*_measured(_merges()), *studied)


def _studied(file: str, base: str, prefix: str) -> Iterator[Measured]:
    """Merges of a set, whose rates count all entries; each has searched settings."""
    of = json.loads(shipped(file).read_text(encoding="utf-8"))
    models = {domain: f"{prefix}{domain}" for domain in of["own"]}
    asked = sum(map(len, of["own"].values()))
    for row in of["merges"]:
        if row["name"] in OTHERS:
            recipe = recipe_hash(_joined(recipe_of(row, {"base": base, **models})))
            what = tuple(models.values()), row["name"], row["rate"]
            yield Measured(recipe, *what, True, retention(row["hits"], of["own"]), asked)


@cache
def _merges() -> tuple[Mapping[str, Any], ...]:
    """The rows of the results: a method at a rate."""
    return tuple(json.loads(RESULTS.read_text(encoding="utf-8"))["merges"])


def _measured(rows: Iterable[Mapping[str, Any]]) -> Iterator[Measured]:
    for row in rows:
        for pair in (row["merged"], *row.get("alone", {}).values()):
            for searched, one in ((True, pair["best"]), (False, pair["plain"])):
                models = tuple(f"zoo:{domain}" for domain in one["domains"])
                asked = sum(found["n"] for found in one["domains"].values())
                what = row["method"], row["rate"], searched
                yield Measured(one["hash"], models, *what, one["kept"], asked)


@dataclass(frozen=True, slots=True)
class ShownMerge:
    """A merge that a click sets, to show what the results say."""

    name: str
    """What was done."""
    kept: str
    """The share that it keeps, in percent."""
    how: str
    """Its settings in a sentence."""
    recipe: str
    """Its hash."""
    state: Mapping[str, Any]
    """The state of the session that makes it."""

    @property
    def text(self) -> str:
        """What was done, and what it keeps."""
        return f"{self.name} {self.kept}"


def shown_at() -> str:
    """The pruning rate of the merges that clicks set, in percent: the one that the page opens
    with, whatever a method keeps there."""
    return _percent(first_session().rate)


def of_other_trainings() -> str:
    """What stands beside those merges: how their models were trained, and what is kept of others.
    A figure of one training is none of pruning."""
    apart = replace(presets()[TRAINED_APART], rate=first_session().rate, partitions=2)
    beside = _beside(apart.recipe(), None)
    return f"Toys, trained once, to be merged; trained apart: {beside}."


@cache
def shown_merges() -> tuple[ShownMerge, ...]:
    """The embedded models added whole, pruned by magnitude as they are, with one factor, and by
    DPPA, each but the second with searched settings: at the rate `shown_at`."""
    known = {(row["method"], row["rate"]): row["merged"] for row in _merges()}

    rate = first_session().rate
    one, ours = known["magnitude", rate], known["dppa", rate]
    return (
        _shown("whole", "Whole changes, added.", known["task_arithmetic", 0.0]["best"]),
        _shown(
            "magnitude",
            f"The largest changes of every matrix, as they are, {_percent(rate)} pruned.",
            one["plain"],
        ),
        _shown(
            "one factor",
            "The same changes of the matrices, all times one factor: "
            f"{settings_text(one['values'])}, as a search chose them.",
            one["best"],
        ),
        _shown(
            "DPPA",
            f"About the same changes, by DPPA: {settings_text(ours['values'])}, as a search of as "
            "many settings chose them.",
            ours["best"],
        ),
    )


def _shown(name: str, how: str, merge: Mapping[str, Any]) -> ShownMerge:
    session = session_from_recipe(parse_recipe(merge["recipe"]), 0)
    kept = _percent(merge["kept"])
    return ShownMerge(name, kept, how, recipe_hash(session.recipe()), state_of(session))


def verdict_of(recipe: MergeRecipe) -> str:
    """A sentence or two: what this merge keeps, and what others of its models keep."""
    found = _found(recipe)
    beside = _beside(recipe, found)
    if found is None:
        known = f" Of the same models, with searched settings: {beside}." if beside else ""
        return f"Not scored yet (see Score).{known}"
    whose = "its models'" if len(found.models) > 1 else "its model's"
    asked, share = f"{found.questions:,}", _percent(found.kept)
    kept = f"This merge keeps {share} of {whose} own accuracy, on {asked} questions."
    searched = "With searched settings" + ("" if found.searched else " instead")
    return f"{kept} {searched}: {beside}." if beside else kept


def before_scoring(recipe: MergeRecipe) -> dict[str, Any] | None:
    """What stands beside a score of this merge, and on how many questions; None if it was not
    measured."""
    found = _found(recipe)
    if found is None:
        return None
    text = f"Measured on {found.questions:,} questions: keeps {_percent(found.kept)}."
    return {"questions": found.questions, "text": text}


@cache
def which_for_what() -> str:
    """The best merges of the embedded models for each purpose, by `make leaderboard`."""
    rows = json.loads(LEADERBOARD.read_text(encoding="utf-8"))["rows"]
    told = {r["method"]: f"{get_method(r['method']).title} ({_tenths(r)})" for r in rows}
    (own,) = (row for row in rows if row["method"] == "dppa")
    one = [row for row in rows if row["method"] != FOR_EACH_DOMAIN]
    sparse = [row for row in one if get_method(row["method"]).prunes]
    alike = [r for r in sparse if r is own or not r["against_dppa"]["significant"]]
    best = alike if own is sparse[0] else sparse[:1]
    seen = ", no difference seen" if len(best) > 1 else ""
    asked = sum(found["n"] for found in own["domains"].values())
    pruned = " or ".join(told[row["method"]] for row in best)
    return (
        f"Of the embedded toys, trained once, on {asked:,} test questions, in brackets what is "
        f"kept of their own accuracy at settings searched for each method. For the best answers of "
        f"one model: {told[one[0]['method']]}. For small packs, a fifth of each change: "
        f"{pruned}{seen}. For smaller ones, a twentieth of each matrix: {_sparsest()}. If each "
        f"kind of question may have a model of its own: {told[FOR_EACH_DOMAIN]}."
    )


def _sparsest() -> str:
    """DPPA and magnitude pruning at the highest rate of the results, and whether they differ."""
    last = max(row["rate"] for row in _merges())
    known = {row["method"]: row["merged"] for row in _merges() if row["rate"] == last}
    told = {
        name: f"{get_method(name).title} ({100 * known[name]['best']['kept']:.1f}\u202f%)"
        for name in ("dppa", "magnitude")
    }
    gap = Interval(**known["dppa"]["minus"]["magnitude"])
    if gap.low <= 0 <= gap.high:
        return f"{told['dppa']} or {told['magnitude']}, no difference seen"
    best, other = ("dppa", "magnitude") if gap.value > 0 else ("magnitude", "dppa")
    return f"{told[best]}, before {told[other]}"


def _tenths(row: Mapping[str, Any]) -> str:
    return f"{100 * row['retention']:.1f}\u202f%"


def _found(recipe: MergeRecipe) -> Measured | None:
    return {one.recipe: one for one in measured()}.get(recipe_hash(_joined(recipe)))


def _joined(recipe: MergeRecipe) -> MergeRecipe:
    """The same merge with one band for each model whose bands all have the factor 1."""
    models = tuple(
        replace(one, levels=one.levels[-1:], amplification=(1.0,))
        if set(one.amplification) == {1.0}
        else one
        for one in recipe.models
    )
    return replace(recipe, models=models)


def _beside(recipe: MergeRecipe, found: Measured | None) -> str:
    """Task arithmetic, DPPA and magnitude pruning of the same models with searched settings, at the
    nearest rate, without the merge itself; empty if they were not measured."""
    models = tuple(one.model for one in recipe.models)
    rate = max(one.levels[-1] for one in recipe.models)
    parts = []
    for method, name in OTHERS.items():
        known = [one for one in measured() if (one.models, one.method) == (models, method)]
        best = [one for one in known if one.searched]
        if not best or found in best:
            continue
        one = min(best, key=lambda one: abs(one.rate - rate))
        at = f" (at {_percent(one.rate)})" if one.rate not in (0.0, rate) else ""
        parts.append(f"{name}{at} {_percent(one.kept)}{_without_search(one, known, found)}")
    return ", ".join(parts)


def _without_search(one: Measured, known: Iterable[Measured], shown: Measured | None) -> str:
    """What the same merge keeps as pruned, if that is more and is not the merge that is shown."""
    plain = [row for row in known if row.rate == one.rate and not row.searched and row != shown]
    kept = max((row.kept for row in plain), default=0.0)
    more = kept > one.kept and _percent(kept) != _percent(one.kept)
    return f" (as pruned {_percent(kept)})" if more else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u202f%"
