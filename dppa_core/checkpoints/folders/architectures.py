"""The architectures that a model's configuration names, and what they say of its head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_CAUSAL = ("CausalLM", "LMHead")
_MASKED = "MaskedLM"
_CLASSIFIER, _MOST = "ForSequenceClassification", 1 << 16
_WITH_LM_HEAD = (*_CAUSAL, _MASKED, "PreTraining", "ConditionalGeneration")
_ENCODERS = frozenset(
    "albert bert camembert convbert deberta deberta-v2 distilbert electra ernie esm eurobert ibert "
    "longformer megatron-bert mobilebert modernbert mpnet nystromformer rembert roberta "
    "roberta-prelayernorm squeezebert xlm-roberta xlm-roberta-xl xmod".split()
)
"""Model types whose language model fills masks."""
_PREFIXED = ("albert", "bert", "distilbert", "electra", "mpnet", "roberta")
"""Encoders whose tensors begin with their model type."""

INPUTS_FIRST = ("gpt2", "openai-gpt")
"""Model types whose linear weights are stored inputs x outputs."""


def is_encoder(config: Mapping[str, Any]) -> bool:
    """Return True for a model that fills masks or embeds texts, and writes none."""
    named = _names_without((), config)
    if any(part in name for name in named for part in _CAUSAL) or config.get("is_decoder") is True:
        return False
    return config.get("model_type") in _ENCODERS or any(_MASKED in name for name in named)


def with_model_type(config: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The configuration; of an encoder that names no model type, with the one that its tensors
    begin with. Versions of transformers before 2020 wrote none."""
    prefixes = {name.partition(".")[0] for name in names}
    found = [prefix for prefix in _PREFIXED if prefix in prefixes]
    lacking = config.get("model_type") is None and "auto_map" not in config and len(found) == 1
    return {**config, "model_type": found[0]} if lacking else dict(config)


def other_architectures(config: Mapping[str, Any]) -> list[str]:
    """The named architectures if none is a causal language model; empty if none is named, too."""
    return _names_without(_CAUSAL, config)


def lacks_lm_head(config: Mapping[str, Any]) -> bool:
    """Return True if architectures are named and none has a language model's head."""
    return bool(_names_without(_WITH_LM_HEAD, config))


def labels_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels of a classifier of texts, in the order of its scores; empty for other models.

    Without names they are LABEL_0, LABEL_1 and so on, two if no number is stated, as transformers
    reads it.
    """
    if not any(_CLASSIFIER in name for name in _names_without((), config)):
        return ()
    names, count = config.get("id2label"), config.get("num_labels")
    if isinstance(names, Mapping):
        try:
            return tuple(str(names[key]) for key in sorted(names, key=int))
        except ValueError:
            return ()
    return tuple(f"LABEL_{n}" for n in range(min(count, _MOST) if isinstance(count, int) else 2))


def pipeline_tag(config: Mapping[str, Any]) -> str:
    """The Hub's tag of a language model or a classifier of texts; empty for others, whose card
    names none."""
    if labels_of(config):
        return "text-classification"
    if is_encoder(config):
        masked = any(_MASKED in name for name in _names_without((), config))
        return "fill-mask" if masked else ""
    return "" if other_architectures(config) else "text-generation"


def _names_without(parts: tuple[str, ...], config: Mapping[str, Any]) -> list[str]:
    named = config.get("architectures")
    names = [str(name) for name in named] if isinstance(named, list) else []
    return [] if any(part in name for name in names for part in parts) else names
