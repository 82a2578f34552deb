"""The formats of few bits: a row each. A new one is a row and the function that finds its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.low_bit import (
    bitsandbytes,
    compressed,
    fp8,
    gptq,
    microscaling,
    modelopt,
)
from dppa_core.checkpoints.low_bit.folded import Blocked, Folded
from dppa_core.checkpoints.low_bit.source import StoredTensor, StoredTensors
from dppa_core.errors import DamagedCheckpoint


@dataclass(frozen=True, slots=True)
class LowBitFormat:
    """A format of `quantization_config`."""

    method: str
    """Its `quant_method`."""
    title: str
    find: Callable[[StoredTensors], Iterator[Folded]]
    """Its tensors among those of a model."""
    writable: bool = True
    has_shapes: bool = True
    """Headers tell all shapes; without, weights must be here."""
    in_transformers: bool = True
    """transformers loads it."""


FORMATS = (
    LowBitFormat("fp8", "FP8", fp8.find),
    LowBitFormat("fbgemm_fp8", "FP8", fp8.find_by_rows),
    LowBitFormat("compressed-tensors", "compressed-tensors", compressed.find),
    LowBitFormat("modelopt", "Model Optimizer", modelopt.find, in_transformers=False),
    LowBitFormat("mxfp4", "MXFP4", microscaling.find),
    LowBitFormat("gptq", "GPTQ", gptq.find),
    LowBitFormat("awq", "AWQ", gptq.find_awq),
    LowBitFormat("bitsandbytes", "bitsandbytes", bitsandbytes.find, False, False),
)

_KEYS = ("quantization_config", "compression_config")
"""Where a config.json says how weights are stored."""
_BESIDE = {
    *("input_scale", "output_scale", "input_zero_point", "input_global_scale"),
    *("activation_scale", "input_scale_ub", "q_scale", "k_scale", "v_scale"),
    *("output_zero_point", "k_zero_point", "v_zero_point", "weight_format"),
}
"""Tensors beside the weights that hold scales of activations; copied, never merged."""


@dataclass(frozen=True, slots=True)
class LowBitWeights:
    """The tensors of a model that are stored in few bits."""

    format: LowBitFormat
    source: StoredTensors
    """All stored tensors of the model."""
    tensors: Mapping[str, Folded]
    """Name -> the tensor, as a model of plain numbers names it."""
    beside: frozenset[str]
    """Stored tensors that belong to the format, and to no weight."""

    @property
    def title(self) -> str:
        """The format, as messages say it."""
        return self.format.title

    @property
    def settings(self) -> Mapping[str, Any]:
        """The `quantization_config` of its config.json."""
        return self.source.settings

    def blocked(self, name: str) -> Blocked | None:
        """A tensor that can be written in the format."""
        folded = self.tensors.get(name)
        return folded if isinstance(folded, Blocked) and self.format.writable else None

    def names(self) -> tuple[str, ...]:
        """Names of all tensors of the model, sorted."""
        parts = {name for folded in self.tensors.values() for name in folded.parts.values()}
        plain = self.source.stored.keys() - parts - self.beside
        return tuple(sorted({*plain, *self.tensors}))

    def entry(self, name: str) -> StoredTensor:
        """The header entry of a stored tensor."""
        return self.source.stored[name]

    def read(self, name: str) -> Shaped[ndarray, " n"]:
        """The elements of a stored tensor, flat."""
        return self.source.read(name)


def low_bit_format(config: Mapping[str, Any]) -> LowBitFormat | None:
    """The format that a config.json declares, if it can be read."""
    settings = next((config[key] for key in _KEYS if config.get(key)), None)
    method = settings.get("quant_method") if isinstance(settings, Mapping) else None
    return next((row for row in FORMATS if row.method == method), None)


def find_low_bit(
    label: str,
    config: Mapping[str, Any],
    stored: Mapping[str, StoredTensor],
    read: Callable[[str], Shaped[ndarray, " n"]] | None = None,
) -> LowBitWeights | None:
    """The low-bit tensors of a model; None if its config.json declares no format that is read, or
    headers alone are here and do not tell their shapes.

    Args:
        label: The model, in messages.
        stored: Header entries of all stored tensors.
        read: Elements of one of them, flat; None if only headers are here.

    Raises:
        DamagedCheckpoint: a part is missing, or of another shape or dtype than the format has.
        IncompatibleCheckpoints: a variant of the format that is not read.
    """
    row = low_bit_format(config)
    if row is None or not (read or row.has_shapes):
        return None
    settings = next(config[key] for key in _KEYS if config.get(key))
    source = StoredTensors(label, settings, stored, read or _unread, read is not None)
    tensors = {folded.name: folded for folded in row.find(source)}
    if stored and not tensors:
        raise DamagedCheckpoint(
            f"{label}: its config.json says that weights are quantised ({row.title}), and none is. "
            "Weights and configuration of different models in one folder are the usual cause."
        )
    beside = frozenset(name for name in stored if name.rpartition(".")[2] in _BESIDE)
    return LowBitWeights(row, source, tensors, beside)


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json without its quantisation."""
    return {key: value for key, value in config.items() if key not in _KEYS}


def _unread(name: str) -> Shaped[ndarray, " n"]:
    raise AssertionError(f"{name}: only its header is here")
