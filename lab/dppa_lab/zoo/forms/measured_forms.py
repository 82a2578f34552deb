"""Measures every form of each delta of a set, tuned alike; what was measured before is cached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.form_scores import FormScore, form_scores
from dppa_core.evaluation.form_sizes import FormSize, form_sizes, whole_size
from dppa_core.evaluation.scores import Exam
from dppa_core.forms.store import parse_store_text
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_size import delta_size
from dppa_lab.zoo.manners import asked_of
from dppa_lab.zoo.results.retained import bits
from dppa_lab.zoo.trained_set import trained_set

STORES = tuple(
    parse_store_text(text)
    for text in (
        *(f"sparse(rate={rate})" for rate in (0.8, 0.9, 0.95)),
        *(f"drawn(rate={rate})" for rate in (0.9, 0.95, 0.99)),
        *(f"low_rank(rank={rank})" for rank in (4, 16)),
        *("bits(bits=1,block=matrix)", "bits(bits=1)"),
    )
)
FACTORS = (1.0, 1.5, 2.0, 3.0)
"""Every form takes the one with the least loss on search items."""
FORETOLD = ("sparse(rate=0.9)", "sparse(rate=0.95)")
"""Stores also measured at factor 1, and at the one that gives the delta its length again."""


def measure_forms(
    folder: Path,
    *,
    limit: int | None,
    search_items: int,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """A JSON-ready record for each domain model of a set.

    Args:
        folder: A set that `dppa zoo train` made.
        limit: Test items of a domain; all if None.
        search_items: Items on which a form's factor is chosen.

    Raises:
        MissingCheckpoint: a model of the set is not there.
    """
    models, examiner, records = trained_set(folder), Examiner(), list[dict[str, Any]]()
    base = models.references["base"]
    about = {**models.record, "base": open_checkpoint(base).content_hash()}
    for name in (name for name in models.references if name != "base"):
        model, domain = models.references[name], asked_of(name)
        sizes = (*form_sizes(base, model, STORES), whole_size(model))
        scores = {
            score.store: score
            for score in form_scores(
                *(examiner, base, model, [size.store for size in sizes], [domain]),
                factors=FACTORS,
                limit=limit,
                search_limit=search_items,
            )
        }
        alone = examiner.score(Exam(base, domain, limit=limit))
        records.append(
            {
                "set": about,
                "search_items": search_items,
                "domain": name,
                "change": delta_size(cached_profile(base, model)).relative,
                "base": {"loss": alone.loss, "accuracy": alone.accuracy},
                "forms": [
                    asdict(size)
                    | _figures(scores[size.store], domain)
                    | _unsearched(examiner, base, model, size, domain, limit)
                    for size in sizes
                ],
            }
        )
        say(f"{folder.name}: {name}")
    return records


def _unsearched(
    examiner: Examiner, base: str, model: str, size: FormSize, domain: str, limit: int | None
) -> dict[str, Any]:
    """The figures of a store of `FORETOLD` at factor 1 and at 1/√energy."""
    factors = {"plain": 1.0, "foretold": size.energy**-0.5} if size.store in FORETOLD else {}
    return {
        key: _figures(score, domain)
        for key, factor in factors.items()
        for score in form_scores(
            examiner, base, model, [size.store], [domain], factors=(factor,), limit=limit
        )
    }


def _figures(score: FormScore, domain: str) -> dict[str, Any]:
    found = score.scores[domain]
    return {"factor": score.factor, "loss": found.loss, "hits": bits(found.hits)}
