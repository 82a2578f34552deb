"""A base and a domain model, read tensor by tensor, with the score that ranks the elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
from dppa_core.progress import Stop
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

    @classmethod
    def open(
        cls,
        base: str,
        finetuned: str,
        significance: str = "magnitude",
        *,
        public: bool = False,
        stop: Stop | None = None,
    ) -> RankedPair:
        """Open both models; raises as `open_checkpoint` and `match_tensors` do."""
        names = base, finetuned
        root, tuned = (open_checkpoint(name, public=public, stop=stop) for name in names)
        aligned = align(root, (tuned,), (finetuned,))
        reader = tuned if aligned.foreign else root
        score = score_of(significance, reader, tuned, None, label=finetuned, stop=stop)
        return cls(aligned.base, aligned.tuned[0], finetuned, score)

    def tensor(self, name: str) -> RankedTensor:
        """A tensor, by its name in the base."""
        place = self.places[name]
        scoring = self.score.scoring_of(name, place) if self.score else None
        pair = tensor_pair(self.base, self.tuned, name, place)
        return RankedTensor(self._loader, pair, scoring)


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
