"""The files of an adapter: its configuration, and its factors under PEFT's names."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.adapters.lora_files import CONFIG, WEIGHTS
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.checkpoints.sources.open import ModelRef
from dppa_core.merging.lora.linear_modules import LinearModule
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.tensor_names import in_head

_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class AdaptedModule:
    """One module of an adapter."""

    module: LinearModule
    shape: tuple[int, ...]
    """Of the weight, as the base stores it."""
    rank: int
    """0 for a module that is as in the base, while others of its name change."""
    start: int = 0
    """Of its factors in the temporary file."""

    def specs(self, dtype: str) -> tuple[TensorSpec, TensorSpec]:
        """The entries of A and B; of rank 1 at least, as PEFT has no other."""
        outputs, inputs = self.shape[:: -1 if self.module.transposed else 1]
        rank, name = max(self.rank, 1), f"{_PREFIX}{self.module.name}.lora_"
        return (
            TensorSpec(f"{name}A.weight", dtype, (rank, inputs)),
            TensorSpec(f"{name}B.weight", dtype, (outputs, rank)),
        )


class Spool:
    """A temporary file for factors, until the ranks of all modules are known.

    Any thread may use it at any time.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._handle, self._end, self._lock = file.fileno(), 0, threading.Lock()

    def put(self, *arrays: Shaped[ndarray, ...]) -> int:
        """Write arrays behind each other; returns the place of the first."""
        code = b"".join(array.tobytes() for array in arrays)
        with self._lock:
            start, self._end = self._end, self._end + len(code)
        at = start
        while code:  # one call writes 2 GiB at most
            written = os.pwrite(self._handle, code, at)
            code, at = code[written:], at + written
        return start

    def read(self, start: int, spec: TensorSpec) -> Shaped[ndarray, " n"]:
        """The elements of an entry that begins at a place."""
        return np.frombuffer(os.pread(self._handle, spec.nbytes, start), FLOATS[spec.dtype])


def factors_nbytes(modules: Sequence[AdaptedModule], dtype: str) -> int:
    """Bytes of all A and B."""
    return sum(spec.nbytes for module in modules for spec in module.specs(dtype))


def write_factors(folder: Path, modules: Sequence[AdaptedModule], dtype: str, spool: Spool) -> str:
    """Write adapter_model.safetensors; returns its SHA-256."""
    specs = [spec for module in modules for spec in module.specs(dtype)]
    with closing(SafetensorsWriter(folder / WEIGHTS, specs, {"format": "pt"})) as writer:
        for module in modules:
            start = module.start
            for spec in module.specs(dtype):
                zeros = np.zeros(spec.numel, FLOATS[dtype])
                writer.place(spec.name, spool.read(start, spec) if module.rank else zeros)
                start += spec.nbytes
        return writer.finish()


def write_lora_config(
    folder: Path,
    base: str,
    modules: Sequence[AdaptedModule],
    names: Iterable[str],
    *,
    causal: bool,
) -> None:
    """Write adapter_config.json: alpha is the rank of every module, so that B @ A is the delta.

    vLLM knows no patterns: it divides one alpha by one r, which is 1 as well.

    Args:
        base: Reference of the base.
        names: Of the base's tensors. Modules of a head that end as an adapted one are excluded.
        causal: True for a causal language model; PEFT needs no type of task for others.
    """
    ranks = {module.module.name: max(module.rank, 1) for module in modules}
    rank = max(ranks.values())
    pattern = {name: number for name, number in sorted(ranks.items()) if number != rank}
    leaves = {module.module.leaf for module in modules}
    heads = {name.removesuffix(".weight") for name in names if in_head(name)} - ranks.keys()
    others = [head for head in heads if head.rpartition(".")[2] in leaves]
    source = ModelRef.parse(base)
    on_hub = source.source == "hub" and source.base is None
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if causal else None,
        "base_model_name_or_path": source.location if on_hub else base,
        "revision": (source.revision or None) if on_hub else None,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": pattern,
        "alpha_pattern": pattern,
        "target_modules": sorted(leaves),
        "exclude_modules": sorted(others) or None,
        "fan_in_fan_out": any(module.module.transposed for module in modules),
        "bias": "none",
        "inference_mode": True,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "use_dora": False,
        "use_rslora": False,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
