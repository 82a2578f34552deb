"""What each form of a delta keeps, and in how many bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.references import KeptDelta, kept_reference
from dppa_core.errors import many
from dppa_core.forms.contract import times
from dppa_core.forms.store import Store, parse_store_text
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.folder_cache import cache_folder, load
from dppa_core.system.folder_cache import kept as cached
from dppa_core.system.threads import side_by_side, worker_count

_FORMAT = 1  # raise it if the same weights and forms take other bytes, or keep other energy
_WHOLE_BYTES = 2  # of a weight in bfloat16
ENOUGH_ENERGY = 0.8
"""Kept energy of a form that is good enough, where nothing is asked."""
MOST_LOST = 0.02
"""Accuracy, or share of what training won, that a form may lose and be good enough."""
FEWEST_QUESTIONS = round(1 / MOST_LOST)
"""Of fewer, one answer is more than a form may lose: only forms that lose none are good enough."""
BASE = "base"
"""In place of a store: nothing of the delta is kept."""
USUAL_STORES = tuple(
    parse_store_text(text)
    for text in (
        *(f"sparse(rate={rate})" for rate in (0.8, 0.9, 0.95, 0.98)),
        *(f"sparse(rate={rate},strength=0.08)" for rate in (0.9, 0.95)),
        *(f"drawn(rate={rate})" for rate in (0.9, 0.95, 0.98, 0.99, 0.995)),
        *(f"low_rank(rank={rank})" for rank in (4, 8, 16, 32, 64)),
        *("bits(bits=1,block=matrix)", "bits(bits=1)", "bits(bits=2)", "bits(bits=4)"),
        *("low_rank(rank=16)+bits(bits=1)", "low_rank(rank=16)+sparse(rate=0.98)"),
    )
)
"""What is compared unless something else is asked for."""


@dataclass(frozen=True, slots=True)
class FormSize:
    """What a store keeps of one model's delta."""

    store: str
    """As in a reference, see `parse_store_text`."""
    title: str
    nbytes: int
    """Of all codes, and of what is kept whole; a file has a header beside them."""
    energy: float
    """1 - |delta - kept|² / |delta|²; below 0 where draws are enlarged."""


def form_sizes(
    base: str,
    model: str,
    stores: Sequence[Store] = USUAL_STORES,
    *,
    public: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> tuple[FormSize, ...]:
    """Measure every store on one model; weights that were measured before are not read again.

    Args:
        public: Strangers choose the models; see `open_checkpoint`.
        progress, stop: Called for each store; ends it between two tensors.

    Raises:
        CheckpointError: see `open_checkpoint`.
        IncompatibleCheckpoints: see `match_tensors`.
    """
    root, tuned = (open_checkpoint(name, public=public, stop=stop) for name in (base, model))
    rows, threads = [], worker_count(workers)
    for n, store in enumerate(stores):
        report(progress, n, len(stores), store.title())
        kept = KeptCheckpoint(root, tuned, store, model)
        rows.append(FormSize(str(store), store.title(), *_cached_size(kept, threads, stop)))
    return tuple(rows)


def whole_size(model: str, *, public: bool = False) -> FormSize:
    """The whole model in bfloat16."""
    weights = open_checkpoint(model, public=public)
    numel = sum(prod(weights.shape(name)) for name in weights.names())
    return FormSize("", form_title(""), _WHOLE_BYTES * numel, 1.0)


def form_title(store: str, factor: float = 1.0) -> str:
    """A form's name for people, as "rank 8 × 1.5"; of the whole model and of the base as well."""
    if store in ("", BASE):
        name = "whole, bfloat16" if not store else "the base alone"
        return name + times(factor or 1.0)
    return parse_store_text(store).times(factor).title()


def kept_bytes(
    kept: KeptCheckpoint, *, measure: bool, workers: int | None = None, stop: Stop | None = None
) -> int:
    """Bytes of all codes of a model, and of what is kept whole: as `form_sizes` measures them.

    Args:
        measure: Read the weights if they were not measured before; else the bytes are those
            expected of their shapes.
    """
    if measure or load(_cache_file(kept)) is not None:
        return _cached_size(kept, worker_count(workers), stop)[0]
    return sum(map(kept.expected_bytes, kept.names()))


def _cache_file(kept: KeptCheckpoint) -> Path:
    key = hashlib.sha256(f"{_FORMAT} {kept.content_hash()}".encode()).hexdigest()
    return cache_folder("form-sizes") / f"{key}.json"


def _cached_size(kept: KeptCheckpoint, workers: int, stop: Stop | None) -> tuple[int, float]:
    """Bytes and energy of all tensors, from the disk if they were measured before."""

    def measured() -> bytes:
        return json.dumps(_size(kept, workers, stop)).encode()

    nbytes, energy = json.loads(cached(_cache_file(kept), measured))
    return nbytes, energy


def _size(kept: KeptCheckpoint, workers: int, stop: Stop | None) -> tuple[int, float]:
    nbytes, energy, lost = 0, 0.0, 0.0
    for part in side_by_side([partial(kept.size, name) for name in kept.names()], workers):
        check(stop)
        nbytes, energy, lost = nbytes + part.nbytes, energy + part.energy, lost + part.lost
    kept.release()
    return nbytes, 1 - lost / energy if energy else 1.0


def kept_alone(
    base: str, model: str, store: str = "", factor: float = 1.0, heads: str = "match"
) -> MergeRecipe:
    """The recipe of one model, or of what a store keeps of its delta, times a factor."""
    reference = kept_reference(KeptDelta(store, model, base)) if store else model
    models = (DomainModel(reference, coefficient=factor),)
    return MergeRecipe(base, models, method="task_arithmetic", heads=heads)


def smallest_enough(points: Iterable[tuple[float, float]], least: float) -> int:
    """Index of the smallest file that is good enough; of equal ones the better.

    Args:
        points: Bytes and quality of each.
        least: The quality that is enough; one of them must have it.
    """
    enough = [
        (nbytes, -quality, n) for n, (nbytes, quality) in enumerate(points) if quality >= least
    ]
    return min(enough)[-1]


def too_few_questions(count: int) -> str:
    """Why an accuracy on so many questions shows no small loss, in a sentence; empty if it does."""
    if count >= FEWEST_QUESTIONS:
        return ""
    questions = f"{many(count, 'question')} {'is' if count == 1 else 'are'}"
    return (
        f"{questions} too few to show a loss of {100 * MOST_LOST:g} points: one answer is "
        f"{100 / count:.3g} points. At least {FEWEST_QUESTIONS} are needed."
    )


def frontier(points: Iterable[tuple[float, float]]) -> tuple[int, ...]:
    """Indices of the points that none beats: no other has at most their bytes and less loss.

    Args:
        points: Bytes and loss (or what is lost) of each.
    """
    ordered = sorted(enumerate(points), key=lambda item: (item[1][0], item[1][1]))
    best, least = [], float("inf")
    for index, (_, loss) in ordered:
        if loss < least:
            best.append(index)
            least = loss
    return tuple(best)
