"""A base and a domain model, read tensor by tensor, with the score that ranks the elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint, PageReleaser
from dppa_core.checkpoints.chunks import Loader, TensorPair
from dppa_core.checkpoints.matching import match_tensors
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.vocabulary.alignment import align
from dppa_core.kernels import get_backend
from dppa_core.profiling.calibration.statistics import score_of
from dppa_core.profiling.profile import tensor_pair
from dppa_core.profiling.significance import Score, Scoring, ranked_by, ranked_chunk
from dppa_core.profiling.thresholds import find_cuts
from dppa_core.progress import RunControl
from dppa_core.pruning.overlap import Reach
from dppa_core.pruning.partition import Selection
from dppa_core.pruning.tie_breaking import tensor_seed


class RankedPair:
    """An aligned base and domain model; without a score, |d| ranks the elements."""

    def __init__(
        self, base: Checkpoint, tuned: Checkpoint, finetuned: str, score: Score | None = None
    ) -> None:
        self.base, self.tuned, self.score = base, tuned, score
        self.places = match_tensors(base, tuned, finetuned, heads="base")
        work = sum(math.prod(base.shape(name)) for name in self.places)
        self._loader = Loader(get_backend("auto", work), PageReleaser((base, tuned)).read)

    def tensor(self, name: str) -> RankedTensor:
        """A tensor, by its name in the base."""
        place = self.places[name]
        scoring = self.score.scoring_of(name, place) if self.score else None
        pair = tensor_pair(self.base, self.tuned, name, place)
        return RankedTensor(self._loader, pair, scoring)


def open_pairs(
    base: str,
    models: Sequence[str],
    significance: str = "magnitude",
    *,
    public: bool = False,
    **control: Unpack[RunControl],
) -> list[RankedPair]:
    """Open domain models with their base; raises as `open_checkpoint` and `match_tensors` do."""
    root, *tuned = (open_checkpoint(name, public=public, **control) for name in (base, *models))
    aligned, pairs = align(root, tuned, models), []
    for index, name in enumerate(models):
        reader = tuned[index] if index in aligned.foreign else root
        score = score_of(significance, reader, tuned[index], None, label=name, **control)
        pairs.append(RankedPair(aligned.base, aligned.tuned[index], name, score))
    return pairs


@dataclass(frozen=True, slots=True, eq=False)
class RankedTensor:
    """One tensor of both models."""

    loader: Loader
    pair: TensorPair
    scoring: Scoring | None

    def reach(self, selections: Sequence[Selection]) -> Reach:
        """The selected elements, by rising rate; raises DamagedCheckpoint for another file."""
        cuts = find_cuts(ranked_by(self.loader, self.scoring), self.pair, selections)
        return Reach([cut for cut, _ in cuts], tensor_seed(self.pair.name))

    def chunk(self, start: int, end: int) -> tuple[Float32[ndarray, " n"], Float32[ndarray, " n"]]:
        """Delta and score of the elements from `start` to before `end`."""
        return ranked_chunk(self.loader, self.pair, self.scoring, start, end)
