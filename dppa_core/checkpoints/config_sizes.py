"""Refuses a config.json whose counts the weights do not have, before anything is built by them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.small_files import values_within
from dppa_core.errors import DamagedCheckpoint, many
from dppa_core.pruning.module_groups import layer_of
from dppa_core.pruning.tensor_names import find_embedding

_COUNT = re.compile(
    r"(?:layers?|experts?|heads?|blocks?|groups?|depth|stages|inputs|passes|repeats|codebooks)$"
)
"""The end of a key that says how often something is built."""
_FEWEST_PARTS = 1024
"""Heads, experts or layers of another part, which may all lie in one tensor."""
LAYER_COUNTS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")
"""The keys under which families count their layers."""
_DECODERS = (
    "bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "marian", "mbart", "mvp",
    "pegasus", "plbart", "trocr", "whisper",
)  # fmt: skip
"""Model types whose `num_hidden_layers` are those of an encoder, which is not loaded."""


def check_sizes(source: Checkpoint, label: str) -> None:
    """Refuse a config.json with more layers, tokens or parts than the weights have."""
    names = source.names()
    inner = source.config.get("text_config")
    layers, embedding = len({*map(layer_of, names)} - {None}), find_embedding(names)
    counts = ("decoder_layers",) if source.config.get("model_type") in _DECODERS else LAYER_COUNTS
    rows = source.shape(embedding)[:1] if embedding else ()
    for part in (source.config, inner if isinstance(inner, Mapping) else {}):
        for key in counts:
            if layers and _is_beyond(part.get(key), layers):
                raise _disagree(label, key, part[key], many(layers, "layer"))
        if rows and _is_beyond(part.get("vocab_size"), rows[0]):
            raise _disagree(
                label, "vocab_size", part["vocab_size"], f"{rows[0]} rows in {embedding}"
            )
    for key, value in values_within(source.config):
        if _COUNT.search(key) and _is_beyond(value, max(_FEWEST_PARTS, len(names))):
            raise _disagree(label, key, value, many(len(names), "tensor"))


def configured_layers(config: Mapping[str, Any]) -> int:
    """The number of layers a config.json states; 0 if it states none."""
    inner = config.get("text_config")
    parts = (config, inner if isinstance(inner, Mapping) else {})
    counts = (part.get(key) for part in parts for key in LAYER_COUNTS)
    return next((count for count in counts if type(count) is int and count > 0), 0)


def _is_beyond(value: Any, most: int) -> bool:
    return type(value) is int and value > most


def _disagree(label: str, key: str, value: int, weights: str) -> DamagedCheckpoint:
    return DamagedCheckpoint(
        f"{label}: its config.json has {key} {value}, its weights have {weights}. Weights and "
        "configuration of different models in one folder are the usual cause."
    )
