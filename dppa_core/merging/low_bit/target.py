"""The format of few bits that a merge is written in: the base's, else the first model's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint, low_bit_of
from dppa_core.checkpoints.low_bit.formats import FORMATS, LowBitWeights
from dppa_core.checkpoints.low_bit.writer import FoldingWriter, Losses, Places
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.errors import IncompatibleCheckpoints, InvalidValue, shown
from dppa_core.merging.cards.record import Requantised
from dppa_core.preflight_checks.weight_findings import HEAVY_LOSS
from dppa_core.profiling.rounding_loss import LOW_BIT_REMEDY
from dppa_core.pruning.floats import to_float32


@dataclass(frozen=True)
class LowBitTarget:
    """A format, and the tensors of a model that show how it stores them."""

    weights: LowBitWeights

    def merged(self, plain: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
        """The tensors of a merge as they are computed: float32 where they are rounded later."""
        folded = self.weights.tensors
        return {
            name: replace(spec, dtype="F32") if name in folded else spec
            for name, spec in plain.items()
        }

    def specs(self, merged: Mapping[str, TensorSpec]) -> tuple[TensorSpec, ...]:
        """The tensors of a merge as they are stored."""
        folded, beside = self.weights.tensors, self.weights.beside
        specs = [spec for name, spec in merged.items() if name not in folded]
        entries = [(f.parts[part], f.stored[part]) for f in folded.values() for part in f.parts]
        entries += [(name, self.weights.entry(name)) for name in sorted(beside)]
        return (*specs, *(TensorSpec(name, entry.dtype, entry.shape) for name, entry in entries))

    @contextmanager
    def writing(self, writer: Places, base: Checkpoint, losses: Losses) -> Iterator[FoldingWriter]:
        """A writer of the merge's tensors; in the end, what the model has beside them is copied.

        Args:
            writer: Of all stored tensors, or of some.
            base: The merge's.
            losses: Gets those of the tensors written.
        """

        def read(name: str, start: int, stop: int) -> Float32[ndarray, " n"]:
            return to_float32(base.raw(name)[start:stop], base.dtype(name))

        folding = FoldingWriter(writer, self.weights, read)
        yield folding
        losses.update(folding.losses())
        for name in sorted(self.weights.beside.intersection(writer.names)):
            writer.place(name, self.weights.read(name))

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config.json with the format."""
        return {**config, "quantization_config": dict(self.weights.settings)}

    def requantised(self, losses: Losses) -> Requantised:
        """What rounding took: ‖rounded(W) - W‖ / ‖W‖ of each matrix, and of all."""
        losses = dict(sorted(losses.items()))  # parts of a merge may come in any order
        error, square, added = (sum(column) for column in zip(*losses.values(), strict=True))
        shares = {name: _share(*squares[:2]) for name, squares in losses.items()}
        of_added = _share(error, added) if added else None
        return Requantised(self.weights.title, _share(error, square), shares, of_added)


def low_bit_target(
    base: Checkpoint, tuned: Sequence[Checkpoint], merged: Mapping[str, TensorSpec]
) -> LowBitTarget:
    """The format of the first model that has one, the base before all others.

    Raises:
        InvalidValue: no model has one.
        IncompatibleCheckpoints: it can only be read, or the merge has other tensors.
    """
    few = low_bit_of(base, *tuned)
    if few is None:
        raise InvalidValue(
            "--format same: no model of the recipe is stored in few bits. Leave it out; `dtype:` "
            "in the recipe sets the number format."
        )
    if not few.format.writable:
        raise IncompatibleCheckpoints(
            f"--format same: {few.title} is read here, not written. Leave it out for bfloat16."
        )
    for name, folded in few.tensors.items():
        if name not in merged or merged[name].shape != folded.shape:
            raise IncompatibleCheckpoints(
                f"--format same: {shown(name)} of shape {list(folded.shape)} is no tensor of the "
                "merge. Another vocabulary, or models that name their tensors otherwise, is the "
                "usual cause: leave the option out for bfloat16."
            )
    return LowBitTarget(few)


def requantising_warnings(rounded: Requantised | None) -> tuple[str, ...]:
    """A merge's warnings: if rounding took a notable part of what it adds, and who loads it."""
    lines = []
    if rounded and any(not row.in_transformers for row in FORMATS if row.title == rounded.format):
        lines.append(f"vLLM loads weights in {rounded.format}'s format; transformers does not.")
    if rounded and (rounded.of_added or 0) >= HEAVY_LOSS:
        lines.append(
            f"Rounding to {rounded.format} took {rounded.of_added:.2g} of what the merge adds to "
            f"the base. {LOW_BIT_REMEDY}"
        )
    return tuple(lines)


def _share(error: float, square: float) -> float:
    return math.sqrt(error / square) if square else 0.0
