"""The exact borders of bands in a tensor, if its profile alone does not tell them.

Reads the weights once per open bin, and once to share out ties:
only hashes near the cut are collected, so memory stays small however many elements are tied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dppa_core.checkpoints.chunks import Loader, TensorPair
from dppa_core.errors import DamagedCheckpoint
from dppa_core.pruning.delta_profile import OPEN_BITS
from dppa_core.pruning.partition import Selection, refine
from dppa_core.pruning.tie_breaking import Cut, hash_window, resolve_ties, settled_cut, tensor_seed

_DEVIATIONS = (6.0, 60.0, 1e12)  # the first misses once in 10**8 bands, the last never


def find_cuts(
    loader: Loader, pair: TensorPair, selections: Sequence[Selection]
) -> tuple[tuple[Cut, int], ...]:
    """The cut of every band, and the number of elements inside it.

    Raises:
        DamagedCheckpoint: the tensor is not the profiled one.
    """
    exact = [
        selection
        if settled_cut(selection) or not selection.open
        else _split(loader, pair, selection)
        for selection in selections
    ]
    cuts = [settled_cut(selection) for selection in exact]
    for deviations in _DEVIATIONS:
        tied = [band for band, cut in enumerate(cuts) if cut is None]
        if tied:
            settled = _share_out(loader, pair, [exact[n] for n in tied], deviations)
            for band, cut in zip(tied, settled, strict=True):
                cuts[band] = cut
    return tuple((cut, selection.kept) for cut, selection in zip(cuts, exact, strict=True) if cut)


def _split(loader: Loader, pair: TensorPair, selection: Selection) -> Selection:
    counts = np.zeros(1 << OPEN_BITS, np.int64)
    key = int(np.float32(selection.low).view(np.uint32)) >> OPEN_BITS
    for _, base, tuned in loader.runs(pair, 0, pair.numel):
        loader.kernels.split_bin(base, tuned, key, counts)
    counts[0] = 0  # at the lower edge: a bin of its own
    _check_count(pair, selection, int(counts.sum()))
    return refine(selection, pair.numel, counts)


def _share_out(
    loader: Loader, pair: TensorPair, selections: Sequence[Selection], deviations: float
) -> list[Cut | None]:
    """Settle the ties of some bands in one reading."""
    windows = [hash_window(x.within, x.share, deviations) for x in selections]
    borders = (
        np.array([selection.low for selection in selections], np.float32),
        np.array([window.low for window in windows], np.uint64),
        np.array([window.high for window in windows], np.uint64),
    )
    counts = np.zeros((len(windows), 3), np.int64)
    hashes = np.empty((len(windows), max(window.room for window in windows)), np.uint64)
    seed = tensor_seed(pair.name)
    for start, base, tuned in loader.runs(pair, 0, pair.numel):
        loader.kernels.gather_tied(base, tuned, start, seed, borders, (counts, hashes))
    for selection, row in zip(selections, counts, strict=True):
        _check_count(pair, selection, int(row[0]))
    return [resolve_ties(*counted) for counted in zip(selections, counts, hashes, strict=True)]


def _check_count(pair: TensorPair, selection: Selection, count: int) -> None:
    if count != selection.within:
        raise DamagedCheckpoint(
            f"{pair.name}: {count} elements at the threshold {selection.low:g}, its profile has "
            f"{selection.within}. A file that changed while it was read is the usual cause."
        )
