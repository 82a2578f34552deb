"""A reader of delta packs, written from docs/pack-format.md alone, number by number."""

import hashlib
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import zstandard

WORD = (1 << 64) - 1
BLOCK = 1 << 20


def seed_of(tensor: str, model: str, seed: int) -> int:
    """The seed of a tensor's draw."""
    text = "\0".join(["drop", tensor, model, str(seed)]).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


def hash_of(seed: int, index: int) -> int:
    """The hash that decides whether an element is drawn."""
    z = (seed + index) & WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & WORD
    return z ^ (z >> 31)


def bits_of(code: bytes) -> list[int]:
    """Bits of bytes, the lowest first."""
    return [byte >> place & 1 for byte in code for place in range(8)]


def places_of(code: bytes, numel: int) -> set[int]:
    """The kept elements of a block."""
    kind, count = struct.unpack_from("<BQ", code)
    if kind == 255:
        bits = bits_of(zstandard.decompress(code[9:]))
        return {index for index, bit in enumerate(bits) if bit}
    inverted, low_bits = divmod(kind, 64)
    count = numel - count if inverted else count
    end = 9 + (count * low_bits + 7) // 8
    assert struct.unpack_from("<I", code, end)[0] == zlib.crc32(code[9:end])
    low, rest = bits_of(code[9:end]), iter(zstandard.decompress(code[end + 4 :]))
    places, place = set(), -1
    for index in range(count):
        high = _escaped(rest)
        own = low[index * low_bits : (index + 1) * low_bits]
        place += 1 + (high << low_bits) + sum(bit << n for n, bit in enumerate(own))
        places.add(place)
    return set(range(numel)) - places if inverted else places


def _escaped(symbols: Iterator[int]) -> int:
    total = 0
    for symbol in symbols:
        total += symbol
        if symbol != 255:
            break
    return total


def number_of(bits: int) -> int:
    """The bits of a bfloat16 as a whole number that rises with its value."""
    return bits ^ 0xFFFF if bits & 0x8000 else bits ^ 0x8000


def wide(bits: int) -> np.float32:
    """A bfloat16 as float32."""
    return np.frombuffer(struct.pack("<I", bits << 16), np.float32)[0]


def narrow(value: np.float32) -> int:
    """Bits of the nearest bfloat16, ties to even."""
    bits = int(np.asarray(value).view(np.uint32))
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def read_tensor(entry: bytes, base: list[int]) -> list[int]:
    """The bits of a bfloat16 tensor from its entry and the bits of the base's."""
    checksum, seed, cut = struct.unpack_from("<IQQ", entry)
    blocks, merged = -(-len(base) // BLOCK), list(base)
    at = 20 + 12 * blocks
    assert checksum == zlib.crc32(entry[4:at])
    for block in range(blocks):
        nplaces, nvalues, weight = struct.unpack_from("<IIf", entry, 20 + 12 * block)
        places, values = entry[at : at + nplaces], entry[at + nplaces : at + nplaces + nvalues]
        at += nplaces + nvalues
        if not values:
            continue
        first, end = block * BLOCK, min((block + 1) * BLOCK, len(base))
        kept = {i for i in range(first, end) if hash_of(seed, i) < cut}
        kept |= {first + i for i in places_of(places, end - first)} if places else set()
        order = sorted(sorted(kept), key=lambda i: base[i] >> 7 & 0xFF)
        planes = zstandard.decompress(values)
        for index, place in enumerate(order):
            step = planes[index] << 8 | planes[len(order) + index]
            step = step >> 1 if step % 2 == 0 else -(step >> 1) - 1
            number = (number_of(base[place]) + step) & 0xFFFF
            value = number ^ 0x8000 if number & 0x8000 else number ^ 0xFFFF
            if weight:
                old = wide(base[place])
                product = np.float32(weight) * (wide(value) - old)
                value = narrow(old + product) if product else base[place]
            merged[place] = value
    return merged
