"""GPTQ and AWQ: whole numbers in words, a word for 8 inputs or 8 outputs, with zero points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
from jaxtyping import Int32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.low_bit.alphabets import Codes, integers, pack, unpack
from dppa_core.checkpoints.low_bit.folded import Blocked, Folded, Layout, Span, as_stored
from dppa_core.checkpoints.low_bit.rounding import Numbers
from dppa_core.checkpoints.low_bit.source import ANY, StoredTensor, StoredTensors
from dppa_core.errors import DamagedCheckpoint

_SCALES = ("F16", "BF16", "F32")
_ORDER = np.array([0, 2, 4, 6, 1, 3, 5, 7])
"""Output in each of a word's 8 places, as AWQ stores them."""


class Gptq(Blocked):
    """`qweight` has a word for some inputs in a row, and a column for each output.

    Its zero points are stored less 1, but for the second version.
    """

    zero_shift = 1

    def codes(self, slab: int, rows: Span, columns: Span) -> Codes:
        count = 32 // self.alphabet.bits
        first, last = columns[0] // count, -(-columns[1] // count)
        words = self.part("codes")[first:last, slice(*rows)]
        codes = _of_words(words.T, self.alphabet.bits)
        return codes[:, columns[0] - first * count :][:, : columns[1] - columns[0]]

    def scales(self, slab: int) -> Numbers:
        return np.ascontiguousarray(self.floats("scales").T)

    def zeros(self, slab: int) -> Numbers | None:
        codes = _of_words(self.part("zeros"), self.alphabet.bits)
        last = np.uint8(2**self.alphabet.bits - 1)
        codes = (codes + np.uint8(self.zero_shift)) & last
        return np.ascontiguousarray(codes[:, : self.layout.rows].T).astype(np.float32)

    def store(
        self, slab: int, codes: Codes, scales: Numbers, zeros: Numbers | None
    ) -> Mapping[str, Shaped[ndarray, ...]]:
        bits, last = self.alphabet.bits, np.uint8(2**self.alphabet.bits - 1)
        parts = {"codes": np.ascontiguousarray(_words(codes, bits).T)}
        parts["scales"] = as_stored(np.ascontiguousarray(scales.T), self.stored["scales"].dtype)
        if zeros is not None:
            shifted = (zeros.T.astype(np.uint8) - np.uint8(self.zero_shift)) & last
            parts["zeros"] = _words(shifted, bits)
        return parts | ({"groups": self.part("groups")} if "groups" in self.parts else {})

    @cached_property
    def column_blocks(self) -> Shaped[ndarray, " columns"]:
        if "groups" not in self.parts:
            return super().column_blocks
        groups = self.part("groups").astype(np.int64)
        if groups.min(initial=0) < 0 or groups.max(initial=0) >= self.stored["scales"].shape[0]:
            raise DamagedCheckpoint(
                f"{self.parts['groups']}: names a group that its scales do not have. A file "
                "overwritten in part is the usual cause."
            )
        return groups


class GptqSecond(Gptq):
    """The second version stores zero points as they are."""

    zero_shift = 0


class Awq(Gptq):
    """`qweight` has a row for each input, and a word for 8 outputs in an order of its own."""

    zero_shift = 0

    def codes(self, slab: int, rows: Span, columns: Span) -> Codes:
        first, last = rows[0] // 8, -(-rows[1] // 8)
        words = self.part("codes")[slice(*columns), first:last]
        outputs = _in_order(_of_words(words, 4))[:, rows[0] - first * 8 :]
        return np.ascontiguousarray(outputs[:, : rows[1] - rows[0]].T)

    def zeros(self, slab: int) -> Numbers | None:
        codes = _in_order(_of_words(self.part("zeros"), 4))
        return np.ascontiguousarray(codes.T).astype(np.float32)

    def store(
        self, slab: int, codes: Codes, scales: Numbers, zeros: Numbers | None
    ) -> Mapping[str, Shaped[ndarray, ...]]:
        parts = {
            "codes": _words(_out_of_order(codes.T), 4),
            "scales": as_stored(np.ascontiguousarray(scales.T), self.stored["scales"].dtype),
        }
        if zeros is not None:
            parts["zeros"] = _words(_out_of_order(zeros.T.astype(np.uint8)), 4)
        return parts


def find(source: StoredTensors) -> Iterator[Folded]:
    """The tensors of GPTQ."""
    bits = source.number("bits")
    second = source.settings.get("checkpoint_format") == "gptq_v2"
    symmetric = source.settings.get("sym") is not False
    for codes, module in source.named(r"(.+)\.qweight"):
        if bits not in (2, 4, 8):
            raise source.refuse(codes, f"holds {bits} bits", "Allowed are 2, 4 and 8.")
        name, count = f"{module}.weight", 32 // bits
        words = source.check(name, codes, ("I32",), (ANY, ANY))
        columns, rows = words.shape[0] * count, words.shape[1]
        parts, stored, size = _beside(source, module, rows, columns, count)
        stored["codes"] = words
        if f"{module}.g_idx" in source.stored:
            parts["groups"] = f"{module}.g_idx"
            stored["groups"] = source.check(name, parts["groups"], ("I32",), (columns,))
        layout, numbers = Layout(rows, columns, (1, size)), integers(bits, offset=0)
        kind = GptqSecond if second else Gptq
        yield kind(name, parts, stored, source, layout, numbers, symmetric)


def find_awq(source: StoredTensors) -> Iterator[Folded]:
    """The tensors of AWQ."""
    bits = source.number("bits", source.number("w_bit", 4))
    version = str(source.settings.get("version", "gemm")).lower()
    for codes, module in source.named(r"(.+)\.qweight"):
        if bits != 4 or version != "gemm":
            problem = f"holds {bits} bits in the version {version!r}"
            raise source.refuse(codes, problem, "Allowed are 4 bits in the version 'gemm'.")
        name = f"{module}.weight"
        words = source.check(name, codes, ("I32",), (ANY, ANY))
        columns, rows = words.shape[0], words.shape[1] * 8
        parts, stored, size = _beside(source, module, rows, columns, 8)
        stored["codes"] = words
        symmetric = source.settings.get("zero_point") is False
        layout, numbers = Layout(rows, columns, (1, size)), integers(4, offset=0)
        yield Awq(name, parts, stored, source, layout, numbers, symmetric)


def _beside(
    source: StoredTensors, module: str, rows: int, columns: int, count: int
) -> tuple[dict[str, str], dict[str, StoredTensor], int]:
    """Names and header entries of scales and zero points, and the inputs of a group."""
    name = f"{module}.weight"
    parts = {"codes": "qweight", "scales": "scales", "zeros": "qzeros"}
    parts = {part: f"{module}.{stored}" for part, stored in parts.items()}
    size = source.number("group_size", source.number("q_group_size", -1))
    size = size if size > 0 else columns
    groups = -(-columns // size)
    stored = {
        "scales": source.check(name, parts["scales"], _SCALES, (groups, rows)),
        "zeros": source.check(name, parts["zeros"], ("I32",), (groups, -(-rows // count))),
    }
    return parts, stored, size


def _of_words(words: Int32[ndarray, "_ _"], bits: int) -> Codes:
    return unpack(np.ascontiguousarray(words).view(np.uint8), bits)


def _words(codes: Codes, bits: int) -> Int32[ndarray, "_ _"]:
    return pack(np.ascontiguousarray(codes), bits, 4).view(np.int32)


def _in_order(codes: Codes) -> Codes:
    """Codes by output, from the order of AWQ's words."""
    return codes.reshape(len(codes), -1, 8)[:, :, np.argsort(_ORDER)].reshape(codes.shape)


def _out_of_order(codes: Codes) -> Codes:
    return np.ascontiguousarray(codes).reshape(len(codes), -1, 8)[:, :, _ORDER].reshape(codes.shape)
