"""A model in memory, ready to answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dppa_core.errors import NotAllowed, OutOfBudget

MIN_GPU_BYTES = 256 << 20
"""Models of at least this many bytes compute on a GPU, if there is one."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A loaded model with its tokenizer."""

    key: str
    """The model's reference, or the hash of the recipe it was merged from."""
    model: Any
    """A transformers language model, causal or masked, in evaluation mode."""
    tokenizer: Any
    nbytes: int
    """Bytes of its parameters in memory."""
    made_of: Mapping[Path, str] = field(default_factory=dict)
    """Weight file -> its identity when it was read."""

    @property
    def is_merge(self) -> bool:
        """True if its key is a recipe's hash; a folder so named counts as a merge, too."""
        return re.fullmatch("[0-9a-f]{64}", self.key) is not None


def is_spread(model: Any) -> bool:
    """Return True if accelerate placed the model's layers on several devices or on disk."""
    return getattr(model, "hf_device_map", None) is not None


def fills_masks(model: Any) -> bool:
    """Return True for a masked language model, as `build_model` makes of an encoder."""
    return type(model).__name__.endswith("ForMaskedLM")


def check_writes(model: Any, label: str) -> None:
    """Refuse an encoder, for work that needs a model that writes.

    Raises:
        NotAllowed: naming what can be measured instead.
    """
    if fills_masks(model):
        raise NotAllowed(
            f"{label}: an encoder, which fills masks and writes no replies: no chat, no "
            "questions, no calibration. A text can be scored: `dppa evaluate --text FILE` and "
            "`dppa size --text FILE` measure the loss at masked tokens."
        )


def check_whole(resident: Resident, work: str) -> None:
    """Refuse a model that is spread, for work that reads or changes its weights in place.

    Raises:
        OutOfBudget: naming the work, and how to raise the budget.
    """
    if is_spread(resident.model):
        raise OutOfBudget(
            f"{work} needs the whole model in memory, and {resident.key} exceeds the budget. Raise "
            "it with --memory or DPPA_MEMORY, such as 12GB, or choose a smaller model."
        )
