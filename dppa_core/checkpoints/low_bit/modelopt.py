"""NVIDIA's Model Optimizer: FP8 with a scale for the matrix, and NVFP4, as vLLM reads them.

Its NVFP4 names the codes `weight`, and multiplies scales by `weight_scale_2`, where
compressed-tensors divides them.
"""

from __future__ import annotations

from collections.abc import Iterator

from dppa_core.checkpoints.low_bit.alphabets import E2M1, FLOAT8
from dppa_core.checkpoints.low_bit.folded import Folded, Layout
from dppa_core.checkpoints.low_bit.fp8 import of_bytes
from dppa_core.checkpoints.low_bit.nvidia import Nvidia
from dppa_core.checkpoints.low_bit.source import ANY, StoredTensors

_ALLOWED = "Allowed are FP8 with one scale for each matrix, and NVFP4."


def find(source: StoredTensors) -> Iterator[Folded]:
    """The tensors of a model, by the parts that they have."""
    for name, _ in source.named(r"(.+)\.pre_quant_scale"):
        raise source.refuse(name, "scales inputs, as AWQ", _ALLOWED)
    for name, _ in source.named(r"(.+)\.weight"):
        entry, scales = source.stored[name], f"{name}_scale"
        if entry.dtype == "U8":
            yield _nibbles(source, name)
        elif entry.dtype in FLOAT8:
            shape = source.present(name, scales).shape
            if shape[:1] == entry.shape[:1] or len(shape) == 4:
                raise source.refuse(scales, "holds a scale for each row or block", _ALLOWED)
            yield of_bytes(source, name, {"codes": name, "scales": scales}, None)


def _nibbles(source: StoredTensors, name: str) -> Folded:
    parts = {"codes": name, "scales": f"{name}_scale", "factor": f"{name}_scale_2"}
    codes = source.check(name, name, ("U8",), (ANY, ANY))
    rows, columns = codes.shape[0], 2 * codes.shape[1]
    stored = {
        "codes": codes,
        "scales": source.check(name, parts["scales"], ("F8_E4M3",), (rows, -(-columns // 16))),
        "factor": source.check(name, parts["factor"], ("F32",), (1,), ()),
    }
    return Nvidia(name, parts, stored, source, Layout(rows, columns, (1, 16)), E2M1)
