"""A model in memory, ready to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Resident:
    """A loaded model with its tokenizer."""

    key: str
    """The model's reference, or the hash of the recipe it was merged from."""
    model: Any
    """A transformers causal language model in evaluation mode."""
    tokenizer: Any
    nbytes: int
    """Bytes of its parameters in memory."""
    made_of: Mapping[Path, str] = field(default_factory=dict)
    """Weight file -> its identity when it was read."""
