"""The compiled loops that turn counted bins into the values of a profile.

Thousands of small modules have some thousand bins each. In numpy, which makes an array at every
step, this took a quarter of a profile.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

# numba does not recompile this file when these change; they never change.
from dppa_core.kernels.loops import _OPEN, _ZERO, _compiled

_ODD, _EXPONENT, _SMALLEST = np.uint32(1), np.uint32(0x7F800000), np.uint32(0x00800000)
_STEP = 2.0**-23


@_compiled
@no_type_check
def unpack(words, counts, places, bits, excess):
    """Bits of the smallest |d| of each word's bin, and the distance of its mean from there.

    Args:
        words: Indices, see `Kernels.histogram`.
        counts: Elements of each, never 0.
        places: Sums of their places.
        bits: uint32, written.
        excess: float32, written; in steps between float32 numbers.
    """
    for k in range(words.size):
        word = np.uint32(words[k])
        opened = word & _ODD
        bits[k] = (word >> _ODD << _OPEN) | opened
        inside = np.float64(places[k]) / np.float64(counts[k]) - 1.0 if opened else 0.0
        excess[k] = np.float32(inside)


@_compiled
@no_type_check
def sum_up(bits, counts, excess, below, energy, products):
    """Running sums over a profile's bins, as `ModuleProfile` computes them.

    Args:
        bits: Bits of the smallest magnitude of each bin, uint32.
        below: Elements before each bin, and all of them at the end; written.
        energy: Sum of squares from each bin on, and 0 at the end; written.
        products: Sum of magnitudes in each bin; written.
    """
    last, total = counts.size, np.int64(0)
    for k in range(last):
        low = np.uint32(bits[k])
        step = np.uint32(max(low & _EXPONENT, _SMALLEST)).view(np.float32)
        mean = np.float64(low.view(np.float32)) + np.float64(excess[k]) * (np.float64(step) * _STEP)
        below[k], energy[k], products[k] = total, mean * mean * counts[k], mean * counts[k]
        total += counts[k]
    below[last], energy[last], larger = total, 0.0, np.float64(_ZERO)
    for k in range(last - 1, -1, -1):
        larger += energy[k]
        energy[k] = larger


@_compiled
@no_type_check
def join(first, second, words, counts, places, sums):
    """Join the bins of two parts of a tensor; returns their number.

    Args:
        first: Words, counts, places and sums of a part, words ascending; sums may be absent.
        words: Written, as are the next three; room for the bins of both.
        sums: Two for each bin; written if present.
    """
    (words1, counts1, places1, sums1), (words2, counts2, places2, sums2) = first, second
    i, j, size, has_sums = 0, 0, 0, sums1.size > 0
    while i < words1.size or j < words2.size:
        in_first = j == words2.size or (i < words1.size and words1[i] <= words2[j])
        in_second = i == words1.size or (j < words2.size and words2[j] <= words1[i])
        words[size] = words1[i] if in_first else words2[j]
        counts[size] = (counts1[i] if in_first else 0) + (counts2[j] if in_second else 0)
        places[size] = (places1[i] if in_first else 0) + (places2[j] if in_second else 0)
        for n in range(2 if has_sums else 0):
            sums[size, n] = (sums1[i, n] if in_first else 0.0) + (sums2[j, n] if in_second else 0.0)
        i, j, size = i + in_first, j + in_second, size + 1
    return size
