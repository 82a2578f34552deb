"""The architectures that a model's configuration names, and what they say of its head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CAUSAL = ("CausalLM", "LMHead")
_WITH_LM_HEAD = (*_CAUSAL, "MaskedLM", "PreTraining", "ConditionalGeneration")


def other_architectures(config: Mapping[str, Any]) -> list[str]:
    """The named architectures if none is a causal language model; empty if none is named, too."""
    return _names_without(_CAUSAL, config)


def lacks_lm_head(config: Mapping[str, Any]) -> bool:
    """Return True if architectures are named and none has a language model's head."""
    return bool(_names_without(_WITH_LM_HEAD, config))


def pipeline_tag(config: Mapping[str, Any]) -> str:
    """The Hub's tag of a causal language model; empty for others, whose card names none."""
    return "" if other_architectures(config) else "text-generation"


def _names_without(parts: tuple[str, ...], config: Mapping[str, Any]) -> list[str]:
    named = config.get("architectures")
    names = [str(name) for name in named] if isinstance(named, list) else []
    return [] if any(part in name for name in names for part in parts) else names
