"""Vectors of texts: an encoder, and the modules behind it that sentence-transformers lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.sentence_files import (
    MODULES,
    PROMPTS,
    WEIGHTS,
    module_folders,
    sentence_home,
)
from dppa_core.checkpoints.folders.small_files import read_file, unreadable
from dppa_core.errors import DamagedCheckpoint, NotAllowed, shown
from dppa_core.evaluation.perplexity import USUAL_CAUSE
from dppa_core.models.loading import build_body, load_tokenizer
from dppa_core.models.texts import check_logits
from dppa_core.progress import Stop, check
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.strict_json import parse_json

_BATCH, _MOST_TOKENS = 32, 512
_POOLED = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
_ACTIVATIONS = {
    "Tanh": torch.tanh,
    "Identity": lambda x: x,
    "ReLU": torch.relu,
    "GELU": functional.gelu,
}


@torch.inference_mode()
def sentence_vectors(source: Checkpoint, texts: Sequence[str], stop: Stop | None = None) -> Tensor:
    """The vectors of texts, by the modules that sentence-transformers lists: pooling, dense layers.

    Without modules.json a vector is the mean over tokens.

    Returns:
        float32, one row a text.

    Raises:
        NotAllowed: a module or a setting of one that is not known here.
        DamagedCheckpoint: a file of the model or of a module that cannot be read.
    """
    folder = sentence_home(source.folder)
    modules = module_folders(folder) if (folder / MODULES).is_file() else ()
    layers = [_module(folder / name) for name in modules] or [_pooling(["mean_tokens"])]
    model, tokenizer = build_body(source), load_tokenizer(source)
    prompts, longest = _settings(folder, PROMPTS), _longest(source.folder, tokenizer)
    prompt = str((prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"), ""))
    order, rows = sorted(range(len(texts)), key=lambda n: len(texts[n])), dict[int, Tensor]()
    for start in range(0, len(order), _BATCH):
        check(stop)
        places = order[start : start + _BATCH]
        some = [prompt + texts[place] for place in places]
        with ForeignCode(f"{source.folder}: its tokenizer fails", USUAL_CAUSE):
            tokens = tokenizer(
                some, padding=True, truncation=True, max_length=longest, return_tensors="pt"
            )
        values = model(**tokens).last_hidden_state
        for layer in layers:
            values = layer(values, tokens["attention_mask"][..., None])
        rows |= dict(zip(places, values, strict=True))
    vectors = torch.stack([rows[place] for place in range(len(texts))])
    check_logits(vectors)
    return vectors


def _module(folder: Path) -> Any:
    """A function of values and mask. Kinds are told by the names that the library gives folders."""
    kind, settings = folder.name.partition("_")[2], _settings(folder)
    if kind == "Normalize":
        return lambda values, _mask: functional.normalize(values, dim=1)
    if kind == "Pooling":
        return _pooling(_pooling_modes(settings))
    if kind == "Dense":
        return _dense(folder, settings)
    raise NotAllowed(f"{folder.name}: known here are Pooling, Dense and Normalize.")


def _pooling_modes(settings: Mapping[str, Any]) -> list[str]:
    """Older versions of the library write a flag for each, newer ones the name of one."""
    if "pooling_mode" in settings:
        mode = str(settings["pooling_mode"])
        return ["cls_token" if mode == "cls" else f"{mode}_tokens"]
    start = "pooling_mode_"
    return [k.removeprefix(start) for k, on in settings.items() if k.startswith(start) and on]


def _pooling(chosen: Sequence[str]) -> Any:
    if not chosen or not set(chosen) <= set(_POOLED):
        raise NotAllowed(f"Pooling by {', '.join(chosen)}: known here are {', '.join(_POOLED)}.")

    def pooled(values: Tensor, mask: Tensor) -> Tensor:
        count, total = mask.sum(1), (values * mask).sum(1)
        every = {
            "cls_token": values[torch.arange(len(values)), mask[..., 0].argmax(1)],
            "mean_tokens": total / count,
            "max_tokens": values.masked_fill(mask == 0, -torch.inf).amax(1),
            "mean_sqrt_len_tokens": total / count.sqrt(),
        }
        return torch.cat([every[mode] for mode in _POOLED if mode in chosen], dim=1)

    return pooled


def _dense(folder: Path, settings: Mapping[str, Any]) -> Any:
    name = str(settings.get("activation_function", "")).rpartition(".")[2]
    if name not in _ACTIVATIONS:
        raise NotAllowed(f"{folder.name}: its activation is {shown(name)}, "
                         f"known here are {', '.join(_ACTIVATIONS)}.")  # fmt: skip
    try:
        layer = {key: part.float() for key, part in load_file(folder / WEIGHTS).items()}
        weight, bias = layer["linear.weight"], layer.get("linear.bias")
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{folder.name}: its weights cannot be read: {error}") from error
    activation: Any = _ACTIVATIONS[name]
    return lambda values, _mask: activation(functional.linear(values, weight, bias))


def _settings(folder: Path, name: str = "config.json") -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        return {}
    try:
        values = parse_json(read_file(path))
    except ValueError as error:
        raise unreadable(path, error) from error
    return values if isinstance(values, dict) else {}


def _longest(folder: Path, tokenizer: Any) -> int:
    """Tokens that are read of a text."""
    stated = [_settings(path.parent, path.name) for path in folder.glob("sentence_*_config.json")]
    lengths = [values.get("max_seq_length") for values in stated]
    known = [n for n in (*lengths, tokenizer.model_max_length) if isinstance(n, int) and n > 0]
    return min([*known, 512])
