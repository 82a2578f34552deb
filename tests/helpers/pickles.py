"""Tiny models as PyTorch saves them: pytorch_model.bin, in shards or not, new or old format.

Does not use dppa_core.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tests.helpers.tiny_models import TinyLlama

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def state_of(model: TinyLlama, dtype: str = "BF16") -> dict[str, torch.Tensor]:
    """The tensors of a model, rounded by PyTorch."""
    return {name: torch.from_numpy(a).to(DTYPES[dtype]) for name, a in model.arrays.items()}


def save_pickled(
    model: TinyLlama, folder: Path, dtype: str = "BF16", shards: int = 1, *, legacy: bool = False
) -> Path:
    """The folder of a model published as .bin only. Returns `folder`."""
    model.save(folder, dtype=dtype)
    (folder / "model.safetensors").unlink()
    write_pickles(folder, state_of(model, dtype), shards, legacy=legacy)
    return folder


def write_pickles(
    folder: Path, state: Mapping[str, Any], shards: int = 1, *, legacy: bool = False
) -> None:
    """pytorch_model.bin, or shards of it and their index."""
    zipped = not legacy
    if shards == 1:
        path = folder / "pytorch_model.bin"
        torch.save(dict(state), path, _use_new_zipfile_serialization=zipped)
        return
    files = [f"pytorch_model-{i + 1:05d}-of-{shards:05d}.bin" for i in range(shards)]
    weight_map = {name: files[i % shards] for i, name in enumerate(state)}
    for file in files:
        part = {name: value for name, value in state.items() if weight_map[name] == file}
        torch.save(part, folder / file, _use_new_zipfile_serialization=zipped)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
