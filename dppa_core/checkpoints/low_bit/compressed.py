"""compressed-tensors: whole numbers in words, FP8, INT8, NVFP4 and MXFP4, as vLLM reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dppa_core.checkpoints.low_bit.alphabets import E2M1, FLOAT8, integers
from dppa_core.checkpoints.low_bit.folded import Folded, Layout
from dppa_core.checkpoints.low_bit.fp8 import of_bytes
from dppa_core.checkpoints.low_bit.microscaling import Microscaled
from dppa_core.checkpoints.low_bit.nvidia import Nvidia
from dppa_core.checkpoints.low_bit.packed import Packed
from dppa_core.checkpoints.low_bit.source import ANY, StoredTensor, StoredTensors

_SCALES = ("BF16", "F16", "F32")
_ALLOWED = "Allowed are dense matrices of 2, 4 or 8 bits in groups, rows or blocks."


def find(source: StoredTensors) -> Iterator[Folded]:
    """The tensors of a model, by the parts that they have."""
    _refuse_sparse(source)
    for packed, name in source.named(r"(.+\.weight)_packed"):
        if source.stored[packed].dtype == "I32":
            yield _words(source, name)
        else:
            yield _nibbles(source, name)
    for scales, name in source.named(r"(.+\.weight)_scale"):
        if name in source.stored and source.stored[name].dtype in (*FLOAT8, "I8"):
            yield _bytes(source, name, scales)
    for name, entry in sorted(source.stored.items()):
        if entry.dtype in (*FLOAT8, "I8") and name.endswith(".weight"):
            source.present(name, f"{name}_scale")


def _refuse_sparse(source: StoredTensors) -> None:
    for name in source.stored:
        if name.rpartition(".")[2] in ("bitmask", "compressed", "row_offsets", "meta"):
            raise source.refuse(name, "holds a sparse matrix, as 2:4", _ALLOWED)


def _schemes(source: StoredTensors) -> Iterator[Mapping[str, Any]]:
    """The settings of the weights of each group of layers."""
    groups = source.settings.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping):
            yield weights


def _words(source: StoredTensors, name: str) -> Folded:
    """Whole numbers in words of 32 bits."""
    parts = {"codes": f"{name}_packed", "scales": f"{name}_scale", "shape": f"{name}_shape"}
    codes = source.check(name, parts["codes"], ("I32",), (ANY, ANY))
    stored = {
        "codes": codes,
        "scales": source.check(name, parts["scales"], _SCALES, (codes.shape[0], ANY), (1,)),
        "shape": source.check(name, parts["shape"], ("I64", "I32"), (2,)),
    }
    beside = {f"{name}_zero_point", f"{name}_g_idx"} & source.stored.keys()
    if f"{name}_g_idx" in beside:
        raise source.refuse(f"{name}_g_idx", "orders inputs by activations", _ALLOWED)
    layout, weights = _scheme_of(source, name, parts["shape"], codes, stored["scales"])
    bits = weights["num_bits"]
    if beside:
        parts["zeros"], groups = f"{name}_zero_point", stored["scales"].shape
        packed = (-(-layout.rows * bits // 32), groups[-1])
        stored["zeros"] = source.check(name, parts["zeros"], ("I32", "I8"), packed, groups)
    symmetric = weights.get("symmetric") is not False
    return Packed(name, parts, stored, source, layout, integers(bits), symmetric)


def _scheme_of(
    source: StoredTensors, name: str, shape: str, codes: StoredTensor, scales: StoredTensor
) -> tuple[Layout, Mapping[str, Any]]:
    """The layout of words, and the settings that fit their shapes."""
    rows, groups = codes.shape[0], scales.shape[-1]
    for weights in _schemes(source):
        bits, size = weights.get("num_bits"), weights.get("group_size")
        if type(bits) is not int or bits not in (2, 4, 8):
            continue
        columns, width = codes.shape[1] * 32 // bits, 0
        if weights.get("strategy") == "group" and type(size) is int and size > 0:
            columns, width = groups * size, size
        if source.weights_here:
            height, columns = map(int, source.read(shape))
            if height != rows:
                continue
        block = (rows if scales.shape == (1,) else 1, width or max(columns, 1))
        if codes.shape[1] == -(-columns * bits // 32) and groups == -(-columns // block[1]):
            return Layout(rows, columns, block), weights
    raise source.refuse(name, "is packed as no group of its config_groups says", _ALLOWED)


def _nibbles(source: StoredTensors, name: str) -> Folded:
    """FP4: with a divisor of the matrix NVIDIA's, else by microscaling."""
    parts = {"codes": f"{name}_packed", "scales": f"{name}_scale"}
    codes = source.check(name, parts["codes"], ("U8",), (ANY, ANY))
    rows, columns = codes.shape[0], 2 * codes.shape[1]
    divided = f"{name}_global_scale"
    size, dtypes = (16, ("F8_E4M3",)) if divided in source.stored else (32, ("U8", "F8_E8M0"))
    scales = source.check(name, parts["scales"], dtypes, (rows, -(-columns // size)))
    stored, layout = {"codes": codes, "scales": scales}, Layout(rows, columns, (1, size))
    if size == 32:
        return Microscaled(name, parts, stored, source, layout, E2M1)
    parts["divisor"] = divided
    stored["divisor"] = source.check(name, divided, ("F32",), (1,), ())
    return Nvidia(name, parts, stored, source, layout, E2M1)


def _bytes(source: StoredTensors, name: str, scales: str) -> Folded:
    """FP8 or INT8, whose block the shapes tell: of groups, blocks, rows, or the matrix."""
    parts = {"codes": name, "scales": scales}
    if f"{name}_zero_point" in source.stored:
        parts["zeros"] = f"{name}_zero_point"
    shape, blocks = source.stored[name].shape, source.stored[scales].shape
    for weights in _schemes(source):
        sizes = weights.get("block_structure") or [1, weights.get("group_size") or 0]
        counted = isinstance(sizes, list) and [type(n) for n in sizes] == [int, int]
        if counted and min(sizes) > 0 and len(shape) == 2:
            if blocks == tuple(-(-n // size) for n, size in zip(shape, sizes, strict=True)):
                return of_bytes(source, name, parts, sizes)
    return of_bytes(source, name, parts, None)
