"""Places of kept elements: exact, near their entropy, and checked."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import DamagedCheckpoint
from dppa_core.forms.compression import compress, decompress
from dppa_core.forms.places import decode_places, drawn_places, encode_places, kept_count
from dppa_core.pruning.tie_breaking import drop_cut, drop_seed, mix


def entropy_bytes(share: float, numel: int) -> float:
    """The fewest bytes for random places of a share of elements."""
    return -numel / 8 * (share * np.log2(share) + (1 - share) * np.log2(1 - share))


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999])
@pytest.mark.parametrize(("numel", "most"), [(1 << 21, 1.04), (300_000, 1.2)])
def test_random_places_take_hardly_more_than_their_entropy(
    rate: float, numel: int, most: float
) -> None:
    kept = np.random.default_rng(0).random(numel) >= rate
    code = encode_places(kept)
    assert len(code) <= most * entropy_bytes(kept.mean(), numel)
    np.testing.assert_array_equal(decode_places(code, numel, "x"), kept)
    assert kept_count(code, "x") == np.count_nonzero(kept)


@given(numel=st.integers(0, 3000), rate=st.floats(0, 1), seed=st.integers(0, 9))
def test_places_come_back(numel: int, rate: float, seed: int) -> None:
    kept = np.random.default_rng(seed).random(numel) >= rate
    np.testing.assert_array_equal(decode_places(encode_places(kept), numel, "x"), kept)


@pytest.mark.parametrize("share", [0, 1])
def test_none_or_all_of_a_million_take_less_than_100_bytes(share: int) -> None:
    kept = np.full(1_000_001, bool(share))
    assert len(encode_places(kept)) < 100
    np.testing.assert_array_equal(decode_places(encode_places(kept), kept.size, "x"), kept)


def test_gaps_by_hand() -> None:
    """Kept are 3, 599 and 600 of 1024: gaps of 3, 595 and 0; 1024 // 3 has 9 bits, 5 are low."""
    kept = np.zeros(1024, bool)
    kept[[3, 599, 600]] = True
    code = encode_places(kept)
    assert code[:9] == bytes([5, 3, *7 * [0]])
    low = 3 | (595 & 31) << 5
    assert code[9:11] == low.to_bytes(2, "little")
    assert code[11:15] == zlib.crc32(code[9:11]).to_bytes(4, "little")
    assert decompress(code[15:], 3, "x") == bytes([0, 595 >> 5, 0])


def test_a_long_gap_is_escaped() -> None:
    kept = np.random.default_rng(0).random(100_000) < 0.1
    kept[40_000:-1], kept[-1] = False, True
    code = encode_places(kept)
    assert code[0] == 1
    np.testing.assert_array_equal(decode_places(code, kept.size, "x"), kept)


def sparse(numel: int) -> bytes:
    return encode_places(np.arange(numel) % 70 == 3)


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], int, str]] = {
    "too short": (lambda code: code[:8], 7000, "have 8 bytes"),
    "cut": (lambda code: code[:-3], 7000, "cannot be decompressed"),
    "longer": (lambda code: code + b"x", 7000, "cannot be decompressed"),
    "an unknown kind": (lambda code: bytes([200]) + code[1:], 7000, "contradict"),
    "other low bits": (lambda code: bytes([4]) + code[1:], 7000, "contradict"),
    "other count": (lambda code: code[:1] + bytes([101]) + code[2:], 7000, "contradict"),
    "more than all": (lambda code: code[:8] + b"\x7f" + code[9:], 7000, "contradict"),
    "fewer elements": (lambda code: code, 6900, "contradict"),
    "a bitmap of another size": (
        lambda code: bytes([255]) + code[1:9] + compress(bytes(874)), 7000, "contradict"
    ),
    "a bitmap beyond its end": (
        lambda code: bytes([255]) + code[1:9] + compress(b"\xff" * 13), 100, "contradict"
    ),
    "a gap beyond its end": (  # the last of 100 is at 7100
        lambda code: bytes([0]) + code[1:9] + bytes(4) + compress(bytes(99 * [71]) + b"\x47"),
        7000,
        "contradict",
    ),
    "ends in an escape": (
        lambda code: bytes(13) + compress(b"\xff"), 7000, "contradict"
    ),
    "a bomb": (
        lambda code: bytes([255]) + code[1:9] + compress(bytes(1 << 24)),
        7000,
        "16777216 bytes, at most 875 fit",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_places_are_refused_with_the_tensor_s_name(kind: str) -> None:
    change, numel, message = DAMAGE[kind]
    with pytest.raises(DamagedCheckpoint, match=f"f: up_proj: .*{message}"):
        decode_places(change(sparse(7000)), numel, "f: up_proj")


@given(at=st.integers(0, 10_000), value=st.integers(1, 255), rate=st.sampled_from([0.5, 0.97]))
def test_a_changed_byte_never_moves_places(at: int, value: int, rate: float) -> None:
    kept = np.random.default_rng(0).random(5000) >= rate
    code = bytearray(encode_places(kept))
    code[at % len(code)] ^= value
    try:  # a bit of a frame's header may be without meaning
        mask = decode_places(bytes(code), kept.size, "x")
    except DamagedCheckpoint:
        return
    np.testing.assert_array_equal(mask, kept)


def test_drawn_places_are_those_of_the_draws_at_any_start() -> None:
    seed, cut = drop_seed("up_proj", "zoo:math", 7), drop_cut(0.9)
    draws = mix(np.arange(1000, dtype=np.uint64), seed)
    expected = np.array([int(draw) < cut for draw in draws])
    np.testing.assert_array_equal(drawn_places(0, 1000, seed, cut), expected)
    np.testing.assert_array_equal(drawn_places(313, 900, seed, cut), expected[313:900])
    assert 60 < expected.sum() < 140
