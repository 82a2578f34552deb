"""What a tab must know beside the weights: tensors, scores of modules, the vocabulary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.density import significance
from dppa_core.pruning.module_groups import find_modules, layer_of
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.pruning.tie_breaking import drop_seed, tensor_seed
from dppa_core.tab.packing import Bits

LAYERS = 6
SHAPE = {
    "model_type": "llama",
    "hidden_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "intermediate_size": 512,
    "num_hidden_layers": LAYERS,
    "vocab_size": 1024,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
}
"""Of the models that the compiled loops of assets/tab/ know."""
_IN_LAYER = (
    "input_layernorm",
    *(f"mlp.{part}_proj" for part in ("down", "gate", "up")),
    "post_attention_layernorm",
    *(f"self_attn.{part}_proj" for part in "koqv"),
)
TENSORS = (
    "model.embed_tokens.weight",
    *(f"model.layers.{n}.{part}.weight" for n, part in product(range(LAYERS), _IN_LAYER)),
    "model.norm.weight",
)
"""Their tensors, in the order in which the loops find them."""


def all_bits(checkpoint: Checkpoint) -> Bits:
    """All tensors, by name, one after the other. Raises IncompatibleCheckpoints unless a tab can
    compute the model."""
    wrong = sorted(key for key, value in SHAPE.items() if checkpoint.config.get(key) != value)
    wrong += ["its tensors"] if checkpoint.names() != TENSORS else []
    wrong += ["its dtype"] if {checkpoint.dtype(n) for n in checkpoint.names()} != {"BF16"} else []
    if wrong:
        raise IncompatibleCheckpoints(
            f"A tab computes only models of the embedded ones' shape in bfloat16; "
            f"{checkpoint.folder.name} differs in {', '.join(wrong)}."
        )
    return np.concatenate([checkpoint.raw(name) for name in checkpoint.names()])


def manifest(base: str, models: Sequence[str]) -> dict[str, Any]:
    """Everything as plain values, about 50 kB as JSON.

    `tensors` lists [name, elements, layer or null] in the order of `all_bits`; `modules` the place
    of each module in it, with its name and the seed of its ties as hexadecimal digits, in the order
    of plans; `models` the scores of each domain model, and the seeds of its random draws in each
    tensor for the recipe seed 0; `sha256` the hash of `all_bits` of each.
    """
    checkpoint = open_checkpoint(base)
    names = checkpoint.names()
    shapes = {name: checkpoint.shape(name) for name in names}
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    return {
        "base": base,
        "tensors": [[name, sizes[name], layer_of(name)] for name in names],
        "modules": [
            [names.index(item.tensor), item.name, f"{tensor_seed(item.tensor):016x}"]
            for item in find_modules(shapes)
        ],
        "models": {
            name: {**_scores(base, name), "draws": [f"{drop_seed(t, name, 0):016x}" for t in names]}
            for name in models
        },
        "sha256": {name: bits_hash(all_bits(open_checkpoint(name))) for name in (base, *models)},
        "vocabulary": _vocabulary(checkpoint),
    }


def bits_hash(bits: Bits) -> str:
    """SHA-256 of weights as they lie in memory, little-endian."""
    return hashlib.sha256(bits.astype("<u2").tobytes()).hexdigest()


def _scores(base: str, model: str) -> dict[str, list[float]]:
    """Significance of layers and modules with the usual multiples, and elements that changed."""
    profile = cached_profile(base, model)
    score = significance(profile, PruningParameters())
    return {
        "layer": score.layer.tolist(),
        "module": score.module.tolist(),
        "nonzero": [item.nonzero for item in profile.modules],
    }


def _vocabulary(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Tokens by number, merges in order, and the added tokens by name."""
    text = (checkpoint.folder / "tokenizer.json").read_text(encoding="utf-8")
    read = json.loads(text)
    numbers: dict[str, int] = read["model"]["vocab"]
    return {
        "tokens": sorted(numbers, key=lambda token: numbers[token]),
        "merges": [" ".join(pair) for pair in read["model"]["merges"]],
        "added": {token["content"]: token["id"] for token in read["added_tokens"]},
    }
