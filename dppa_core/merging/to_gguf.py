"""A merged folder as one GGUF file, for llama.cpp and what builds on it.

Weights keep the width they have: bfloat16 and float16 stay, float32 stays. Norms and biases are
float32, as llama.cpp wants them. A file is written for families and tokenizers whose form in GGUF
is known; others are refused, because a wrong form runs and answers nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint, FolderCheckpoint
from dppa_core.checkpoints.config_sizes import check_sizes
from dppa_core.errors import IncompatibleCheckpoints, InvalidValue
from dppa_core.merging.gguf_tokens import GgufTokens
from dppa_core.pruning.floats import to_float32
from dppa_core.system.atomic_folders import check_file, unwritable

_ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
"""model_type of a configuration -> its architecture in GGUF."""
_FILE_TYPES = {"F32": "ALL_F32", "F16": "MOSTLY_F16", "BF16": "MOSTLY_BF16"}
"""Dtype of most weights -> the name of that kind of file."""


@dataclass(frozen=True, slots=True)
class GgufReport:
    """A written file."""

    file: str
    architecture: str
    tensors: int
    nbytes: int


def write_gguf(folder: str | Path, file: str | Path) -> GgufReport:
    """Write the model in a folder, with its tokenizer and chat template, as one GGUF file.

    Args:
        folder: A checkpoint of a Llama, Mistral, Qwen2 or Qwen3 with tokenizer.json.
        file: Where the file goes; an existing one is replaced once the new one is complete.

    Raises:
        IncompatibleCheckpoints: another family, another kind of tokenizer, or scaled positions.
        InvalidValue: the file cannot be written, or has another ending than .gguf.
    """
    target = Path(file)
    check_target(target)
    source = FolderCheckpoint(folder)
    check_sizes(source, str(source.folder))
    config = dict(source.config)
    architecture = _architecture(source.folder, config)
    tokens = GgufTokens.read(source.folder, int(config["vocab_size"]))
    partial = target.with_name(f".{target.name}.partial")
    try:
        writer = gguf.GGUFWriter(partial, gguf.MODEL_ARCH_NAMES[architecture])
        with closing(writer):
            _add_settings(writer, config, source)
            tokens.add(writer)
            names = _names(source, architecture, int(config["num_hidden_layers"]))
            _write_tensors(writer, source, names, config)
        partial.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        partial.unlink(missing_ok=True)
    return GgufReport(
        str(target), gguf.MODEL_ARCH_NAMES[architecture], len(names), target.stat().st_size
    )


def check_target(file: Path, *, overwrite: bool = True) -> None:
    """Raise InvalidValue if no GGUF file can be written there."""
    if file.suffix != ".gguf":
        raise InvalidValue(f"{file}: a GGUF file ends in .gguf.")
    if file.exists() and not overwrite:
        raise InvalidValue(f"{file}: exists already. Choose another name, or --overwrite.")
    check_file(file)


def check_source(model: Checkpoint) -> None:
    """Raise IncompatibleCheckpoints if no GGUF file can be written of a merge on this base."""
    folder, config = model.folder, model.config
    check_sizes(model, str(folder))
    _architecture(folder, config)
    GgufTokens.read(folder, int(config["vocab_size"]))


def _architecture(folder: Path, config: Mapping[str, Any]) -> gguf.MODEL_ARCH:
    kind = str(config.get("model_type"))
    if kind not in _ARCHITECTURES:
        raise IncompatibleCheckpoints(
            f"{folder}: a {kind} model. GGUF files are written of {', '.join(_ARCHITECTURES)}; "
            "llama.cpp's own convert_hf_to_gguf.py knows more families."
        )
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    scaled = rope.get("rope_type", rope.get("type", "default"))
    if scaled != "default":
        raise IncompatibleCheckpoints(
            f"{folder}: positions scaled by {scaled!r}. GGUF files are written of models with "
            "plain rotary positions; llama.cpp's own convert_hf_to_gguf.py knows the others."
        )
    return _ARCHITECTURES[kind]


def _add_settings(writer: Any, config: Mapping[str, Any], source: FolderCheckpoint) -> None:
    heads = int(config["num_attention_heads"])
    width = int(config.get("head_dim") or config["hidden_size"] // heads)
    rope = config.get("rope_parameters") or {}
    writer.add_name(source.folder.name)
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 1e4))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_vocab_size(int(config["vocab_size"]))
    stored = _checked_dtype(source, source.dtype("model.embed_tokens.weight"))
    writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[stored]])


def _checked_dtype(source: FolderCheckpoint, dtype: str) -> str:
    if dtype not in _FILE_TYPES:
        raise IncompatibleCheckpoints(
            f"{source.folder}: weights in {dtype}. Merge with `dtype: bfloat16`, float16 or "
            "float32."
        )
    return dtype


def _names(source: FolderCheckpoint, architecture: gguf.MODEL_ARCH, layers: int) -> dict[str, str]:
    gguf_names = gguf.get_tensor_name_map(architecture, layers)
    tied = bool(source.config.get("tie_word_embeddings"))
    names = {}
    for name in source.names():
        if tied and name == "lm_head.weight":
            continue  # llama.cpp takes the embedding where there is no output
        gguf_name = gguf_names.get_name(name, try_suffixes=(".weight", ".bias"))
        if gguf_name is None:
            raise IncompatibleCheckpoints(f"{source.folder}: GGUF has no name for tensor {name}.")
        names[name] = gguf_name
    return names


def _write_tensors(
    writer: Any, source: FolderCheckpoint, names: Mapping[str, str], config: Mapping[str, Any]
) -> None:
    """Announce all tensors, then write one after another: memory holds a single one."""
    for name, gguf_name in names.items():
        shape, kind = source.shape(name), _kind(source, name)
        width = 4 if kind == "F32" else 2
        size = int(np.prod(shape)) * width
        dtype = np.dtype(np.float32 if kind == "F32" else np.float16)
        raw = gguf.GGMLQuantizationType[kind] if kind == "BF16" else None
        held = shape if raw is None else (*shape[:-1], 2 * shape[-1])  # bfloat16 goes as bytes
        writer.add_tensor_info(gguf_name, held, np.dtype(np.uint8) if raw else dtype, size, raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name in names:
        writer.write_tensor_data(_values(source, name, config))
        source.release()


def _kind(source: FolderCheckpoint, name: str) -> str:
    return "F32" if len(source.shape(name)) == 1 else _checked_dtype(source, source.dtype(name))


def _values(source: FolderCheckpoint, name: str, config: Mapping[str, Any]) -> Shaped[ndarray, "*"]:
    """A tensor as GGUF has it: rows of q and k in llama.cpp's order, vectors in float32."""
    raw, shape = source.raw(name), source.shape(name)
    values = to_float32(raw, source.dtype(name)) if len(shape) == 1 else raw
    values = values.reshape(shape)
    heads = int(config["num_attention_heads"])
    if config["model_type"] in ("llama", "mistral"):
        if ".q_proj." in name:
            values = interleaved(values, heads)
        elif ".k_proj." in name:
            values = interleaved(values, int(config.get("num_key_value_heads") or heads))
    return np.ascontiguousarray(values)


def interleaved(values: Shaped[ndarray, rows * columns], heads: int) -> Shaped[ndarray, ...]:
    """Rows of each head in llama.cpp's order: it rotates neighbours, transformers both halves."""
    rest = values.shape[1:]
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *rest)
    return halves.swapaxes(1, 2).reshape(values.shape)
