"""Models and tokenizers by transformers, from a folder and its tensors."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from difflib import get_close_matches
from math import prod
from typing import Any

import torch

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.config_sizes import check_sizes
from dppa_core.checkpoints.folders.architectures import is_encoder
from dppa_core.checkpoints.folders.model_files import check_links
from dppa_core.checkpoints.vocabulary.tokenizer_files import check_named_files
from dppa_core.errors import DamagedCheckpoint, NotAllowed, shown
from dppa_core.models.own_step import knows
from dppa_core.models.parameter_views import fuse_weights, state_of
from dppa_core.models.plain import is_plain, plain_model, plain_tokenizer
from dppa_core.models.resident import fills_masks
from dppa_core.pruning.tensor_names import in_head
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.temporary import TemporaryFolder

_LOADING = threading.RLock()
"""One thread at a time: transformers changes its own classes while it loads a model, so that two
loads at once lose tied weights; and it imports its parts on first use."""
_MAX_COMPUTED_NUMBERS = 1 << 26
"""Numbers that a model computes from its configuration, such as masks and angles of positions."""
_MIXED = "Weights and configuration of different models in one folder are the usual cause."


def build_model(
    source: Checkpoint,
    tensors: Mapping[str, Any],
    dtype: torch.dtype,
    label: str = "",
    *,
    plain: bool = False,
) -> Any:
    """A transformers model of `source`'s architecture that holds `tensors`.

    Args:
        source: Where the configuration lies.
        tensors: Name -> (dtype name, shape, raw 1-D array), as `TensorMerger.tensor` gives them.
        dtype: Number format in which the model computes.
        label: Name of the model in messages; its folder if empty.
        plain: Build a `PlainModel` if it is such a model.

    Raises:
        DamagedCheckpoint: the configuration describes no language model, or other tensors.
        NotAllowed: it asks for code of its own, or a link leads out of its folder.
        NonFiniteWeights: NaN or infinity, naming tensor and model.
    """
    label = label or str(source.folder)
    if plain and is_plain(source.config):
        check_links(source.folder)
        check_sizes(source, label)
        model = plain_model(source, state_of(tensors, dtype, label))
        if model is not None:
            fuse_weights(model)
            return model.eval()
    with _LOADING:
        return _built(source, tensors, dtype, label)


def build_body(source: Checkpoint, label: str = "", kind: str = "base") -> Any:
    """A model in float32 for its hidden states, without any head; as a "classifier" with the head
    that scores labels. See `build_model`."""
    names, label = source.names(), label or str(source.folder)
    tensors = {name: (source.dtype(name), source.shape(name), source.raw(name)) for name in names}
    with _LOADING:
        return _built(source, tensors, torch.float32, label, kind)


def _built(
    source: Checkpoint,
    tensors: Mapping[str, Any],
    dtype: torch.dtype,
    label: str,
    kind: str = "",
) -> Any:
    config = _load_config(source, label)
    state = state_of(tensors, dtype, label)
    family = _family(config, source, label, kind)
    _check_parameters(config, family, sum(value.numel() for value in state.values()), label)
    with ForeignCode(f"{label}: transformers cannot build a model from its config.json", _MIXED):
        # transformers' own loader renames, fuses and ties tensors as each family does.
        model, loading_info = family.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported, and refused just below
        )
    _check_all_fit(model, loading_info, state, label, body=kind == "base")
    if kind:
        return model.eval()
    read_generation_config(source, model, label)
    if knows(model):
        fuse_weights(model)
    return model.eval()


def check_buildable(source: Checkpoint, label: str) -> None:
    """Refuse a folder whose config.json needs far more numbers than its weights have.

    For libraries that build a model from the folder themselves.

    Raises:
        DamagedCheckpoint, NotAllowed: see `build_model`.
    """
    stored = sum(prod(source.shape(name)) for name in source.names())
    config = _load_config(source, label)
    _check_parameters(config, _family(config, source, label), stored, label)


def blueprint(source: Checkpoint, label: str = "") -> Any:
    """The modules of a folder's architecture, without memory for weights.

    Raises:
        DamagedCheckpoint, NotAllowed: see `build_model`.
    """
    label = label or str(source.folder)
    with _LOADING:
        config = _load_config(source, label)
        return _blueprint(config, _family(config, source, label), label)


def _family(config: Any, source: Checkpoint, label: str, kind: str = "") -> Any:
    """The class of transformers that computes a model; without a kind that of a language model,
    causal, or masked for an encoder."""
    from transformers import (  # noqa: PLC0415  (heavy)
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        MODEL_MAPPING,
    )

    kind = kind or f"{'masked' if is_encoder(source.config) else 'causal'} language model"
    families: Any = {
        "causal language model": MODEL_FOR_CAUSAL_LM_MAPPING,
        "masked language model": MODEL_FOR_MASKED_LM_MAPPING,
        "classifier": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        "base": MODEL_MAPPING,
    }[kind]
    if type(config) not in families:
        raise DamagedCheckpoint(f"{label}: a model of the type {config.model_type!r} is no {kind}.")
    return families[type(config)]


def _blueprint(config: Any, family: Any, label: str) -> Any:
    failure = f"{label}: transformers cannot build a model from its config.json"
    with ForeignCode(failure, _MIXED), torch.device("meta"):
        return family(config)


def _check_parameters(config: Any, family: Any, stored: int, label: str) -> None:
    """Compare with the numbers of the model; transformers would draw those that are missing."""
    model = _blueprint(config, family, label)
    needed = sum(part.numel() for part in (*model.parameters(), *model.buffers()))
    if needed > 2 * stored + _MAX_COMPUTED_NUMBERS:
        raise DamagedCheckpoint(
            f"{label}: its config.json describes {needed} parameters, its weights have {stored}. "
            f"{_MIXED}"
        )


def load_tokenizer(source: Checkpoint, label: str = "", *, plain: bool = False) -> Any:
    """The tokenizer in a checkpoint's folder.

    Args:
        plain: A `PlainModel` reads its tokens, if it is such a model.

    Raises:
        DamagedCheckpoint: it is missing, or cannot be read without code of its own.
        NotAllowed: a link or a file's name leads out of its folder.
    """
    label = label or str(source.folder)
    cause = "A folder saved without one is the usual cause: copy the tokenizer files of its base."
    with _LOADING, ForeignCode(f"{label}: its tokenizer cannot be read", cause):
        if plain and is_plain(source.config):
            check_links(source.folder)
            check_named_files(source.folder)
            tokenizer = plain_tokenizer(source.folder)
            if tokenizer is not None:
                return tokenizer
        from transformers import AutoTokenizer  # noqa: PLC0415  (heavy)

        config = _load_config(source, label)
        check_named_files(source.folder)
        return AutoTokenizer.from_pretrained(
            source.folder, config=config, local_files_only=True, trust_remote_code=False
        )


def _load_config(source: Checkpoint, label: str) -> Any:
    # Heavy imports, on first use only: the page starts before any model is loaded.
    from transformers import CONFIG_MAPPING, AutoConfig  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    # We check and report its warnings ourselves, and draw the progress.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    _check_model_type(source.config, tuple(CONFIG_MAPPING.keys()), label)
    check_sizes(source, label)
    with ForeignCode(f"{label}: transformers cannot read its config.json", _MIXED):
        check_links(source.folder)  # every load begins here
        with closing(TemporaryFolder("model")) as scratch:  # a stack's is in no folder of its own
            (scratch.path / "config.json").write_text(json.dumps(dict(source.config)), "utf-8")
            return AutoConfig.from_pretrained(
                scratch.path, local_files_only=True, trust_remote_code=False
            )


def _check_model_type(config: Mapping[str, Any], supported: Collection[str], label: str) -> None:
    name = config.get("model_type")
    if name in supported:
        return
    if "auto_map" in config:
        raise NotAllowed(
            f"{label}: its config.json asks for code of its own (auto_map), which is never run "
            "here. Allowed are the architectures that transformers itself knows."
        )
    if not isinstance(name, str):
        raise DamagedCheckpoint(
            f"{label}: its config.json must name a model_type, got {shown(name)}. A file that was "
            "overwritten, or written by hand, is the usual cause."
        )
    close = get_close_matches(name[:80], supported, n=1)
    raise DamagedCheckpoint(
        f"{label}: model_type {shown(name)} is unknown to the transformers installed. "
        + (f"Did you mean {close[0]!r}? " if close else "")
        + "A model newer than the library is the usual cause."
    )


def _check_all_fit(
    model: Any,
    loading_info: Mapping[str, Any],
    state: Mapping[str, torch.Tensor],
    label: str,
    *,
    body: bool,
) -> None:
    """Refuse a model if a single parameter would differ from the one on disk.

    A masked language model does without the pooler and other heads that its folder may hold, and a
    body without any head.
    """
    parameters = (*model.named_parameters(), *model.named_buffers())
    missing, unexpected = loading_info["missing_keys"], loading_info["unexpected_keys"]
    if body:
        missing, unexpected = (
            [name for name in names if not in_head(name)] for names in (missing, unexpected)
        )
    elif fills_masks(model):
        unexpected = [name for name in unexpected if not in_head(name)]
        if missing and all(map(in_head, missing)):
            raise DamagedCheckpoint(
                f"{label}: has no masked-language head ({min(missing)}), so that no text can be "
                "scored. A classifier, or a model of embeddings, is the usual cause. Beside a base "
                "that has the head, `dppa size BASE MODEL --text FILE` borrows it."
            )
    groups: tuple[tuple[str, Iterable[str]], ...] = (
        ("is missing", missing),
        ("is not part of such a model", unexpected),
        ("has another shape", (name for name, *_ in loading_info["mismatched_keys"])),
        ("is missing", (name for name, value in parameters if value.is_meta)),
    )
    for problem, names in groups:
        first = min(names, default=None)
        if first is not None:
            raise DamagedCheckpoint(
                f"{label}: its {len(state)} tensors do not fit its config.json: {first} {problem}. "
                f"{_MIXED}"
            )


def read_generation_config(source: Checkpoint, model: Any, label: str) -> None:
    """Read the ids that end a reply, if the folder names them: chat models have several."""
    from transformers import GenerationConfig  # noqa: PLC0415  (heavy)

    if not (source.folder / "generation_config.json").is_file():
        return
    failure = f"{label}: its generation_config.json cannot be read"
    with ForeignCode(failure, "An interrupted download is the usual cause."):
        model.generation_config = GenerationConfig.from_pretrained(
            source.folder, local_files_only=True
        )
