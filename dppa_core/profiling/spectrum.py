"""From weights to the spectrum of a delta, one matrix at a time, and its copies on disk.

A thread holds one matrix in float32 and its smaller Gram matrix in float64, beside what `eigh`
takes, whatever the number of matrices. Of an adapter no matrix is made: its factors are enough.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float16, Float32
from numpy import ndarray

from dppa_core.checkpoints.adapters.lora import LoraCheckpoint, adapters_between
from dppa_core.checkpoints.checkpoint import Checkpoint, PageReleaser
from dppa_core.checkpoints.folders.architectures import INPUTS_FIRST
from dppa_core.checkpoints.matching import check_finite, match_tensors
from dppa_core.forms.factors import joined
from dppa_core.methods.shared.singular import (
    Factors,
    blocks_of,
    decompose_seconds,
    directions_of,
    rank_of,
)
from dppa_core.profiling.cache import load_arrays, module_json, module_of, store_arrays
from dppa_core.profiling.delta_spectrum import (
    MOST_DIRECTIONS,
    DeltaSpectrum,
    MatrixSpectrum,
    effective_rank,
)
from dppa_core.profiling.profile import ProfileOptions, open_aligned, tensor_pair
from dppa_core.progress import RunControl, Stop, check, report
from dppa_core.pruning.floats import FLOATS, to_float32
from dppa_core.pruning.module_groups import Module, find_modules
from dppa_core.system.folder_cache import cache_folder
from dppa_core.system.threads import one_blas_thread, side_by_side, worker_count

_FORMAT = 2  # raise it if the same weights give another spectrum, or other bytes


def cached_spectrum(
    base: str | Path,
    finetuned: str | Path,
    *,
    public: bool = False,
    **options: Unpack[ProfileOptions],
) -> DeltaSpectrum:
    """The spectrum of a pair, from the disk cache if these weights were decomposed before.

    Args:
        base, finetuned, public, workers, progress: See `cached_profile`.
        stop: Ends the work between two matrices.

    Raises:
        InvalidValue: no reference.
        CheckpointError, Unreachable: see `open_checkpoint`.
    """
    control: RunControl = {"progress": options.get("progress"), "stop": options.get("stop")}
    pair, names = open_aligned(base, finetuned, public=public, **control)
    entry = _entry(*pair)
    known = _load(entry, names) if entry else None
    if known is not None:
        return known
    spectrum = decompose_delta(*pair, names=names, **options)
    if entry:
        _save(entry, spectrum)
    return spectrum


def is_decomposed(base: str, finetuned: str, *, public: bool = False) -> bool:
    """Return True if the spectrum of these weights is in the disk cache."""
    pair, names = open_aligned(base, finetuned, public=public)
    entry = _entry(*pair)
    return entry is not None and _load(entry, names) is not None


def decompose_delta(
    base: Checkpoint,
    tuned: Checkpoint,
    *,
    names: tuple[str, str] = ("base", "domain model"),
    **options: Unpack[ProfileOptions],
) -> DeltaSpectrum:
    """Decompose the delta of every linear module.

    Args:
        names: Base and domain model, for messages.
        workers, progress, stop: See `cached_spectrum`.

    Raises:
        IncompatibleCheckpoints: no delta exists.
        NonFiniteWeights: naming tensor and model.
        Cancelled: `stop` was set.
    """
    places = match_tensors(base, tuned, names[1], heads="base")
    releaser = PageReleaser((base, tuned))
    adapters = products_between(base, tuned)
    decomposer = _Decomposer(base, tuned, names, places, releaser, adapters, options.get("stop"))
    matrices, progress = list(decomposer.matrices()), options.get("progress")
    seconds = 0 if adapters else decompose_seconds(module.shape[-2:] for module, _ in matrices)
    about = f"decompose {len(matrices)} matrices, about {math.ceil(seconds)} s of one core"
    report(progress, 0, len(matrices), about)
    tasks = [partial(decomposer.decompose, *matrix) for matrix in matrices]
    spectra, workers = list[MatrixSpectrum](), worker_count(options.get("workers"))
    # Set once: threads that each set it would lift one another's limit.
    with one_blas_thread(), closing(side_by_side(tasks, workers)) as decomposed:
        for spectrum in decomposed:
            spectra.append(spectrum)
            report(progress, len(spectra), len(matrices), f"decompose {spectrum.name}")
    return DeltaSpectrum(*names, tuple(spectra))


def products_between(base: Checkpoint, tuned: Checkpoint) -> tuple[LoraCheckpoint, ...]:
    """The adapters whose factors make the delta of every tensor; none if it needs matrices."""
    adapters = adapters_between(base, tuned)
    return () if any(adapter.dense_reason() for adapter in adapters) else tuple(adapters)


@dataclass(frozen=True, slots=True)
class _Decomposer:
    """Decomposes single matrices of a pair, from any thread."""

    base: Checkpoint
    tuned: Checkpoint
    names: tuple[str, str]
    places: Mapping[str, str]
    """Name in the base -> name in the domain model."""
    releaser: PageReleaser
    adapters: tuple[LoraCheckpoint, ...]
    """Those whose factors are the delta; empty if it is read as matrices."""
    stop: Stop | None

    def matrices(self) -> Iterator[tuple[Module, int | None]]:
        """Every module; of those with three axes, every expert."""
        shapes = {n: self.base.shape(n) for n in self.places if self.base.dtype(n) in FLOATS}
        for module in find_modules(shapes):
            experts = range(module.shape[0]) if len(module.shape) == 3 else (None,)
            yield from ((module, expert) for expert in experts)

    def decompose(self, module: Module, expert: int | None) -> MatrixSpectrum:
        """Decompose one matrix."""
        check(self.stop)
        inputs_first = self.base.config.get("model_type") in INPUTS_FIRST
        if self.adapters:
            product = self._product(module)
            parts = spectrum_of_product(product.turned if inputs_first else product)
        else:
            delta = self._delta(module, expert)
            parts = spectrum_of_matrix(delta.T if inputs_first else delta)
        return MatrixSpectrum(module, expert, *parts)

    def _product(self, module: Module) -> Factors:
        rows, columns = module.shape
        parts = [Factors(np.zeros((rows, 0), np.float32), np.zeros((0, columns), np.float32))]
        scales, tensor = [1.0], self.places[module.tensor]
        for adapter in self.adapters:
            changed = adapter.adapted()
            if tensor in changed:
                parts.append(adapter.factors(tensor))
                scales.append(changed[tensor][1])
        for factor in (factor for part in parts for factor in part):
            check_finite(factor.ravel(), "F32", module.tensor, self.names[1])
        return joined(parts, scales)

    def _delta(self, module: Module, expert: int | None) -> Float32[ndarray, "rows columns"]:
        shape = module.shape[-2:]
        start = (expert or 0) * math.prod(shape)
        part = slice(start, start + math.prod(shape))
        pair = tensor_pair(self.base, self.tuned, module.tensor, self.places[module.tensor])
        sides = [(pair.finetuned[part], pair.finetuned_dtype), (pair.base[part], pair.base_dtype)]
        for (raw, dtype), model in zip(sides, reversed(self.names), strict=True):
            check_finite(raw, dtype, module.tensor, model, start)
        new, old = (to_float32(raw, dtype) for raw, dtype in sides)
        self.releaser.read(2 * new.nbytes)
        return np.asarray(new - old).reshape(shape)


def spectrum_of_matrix(
    delta: Float32[ndarray, "outputs inputs"],
) -> tuple[Float32[ndarray, " values"], Float16[ndarray, "leading inputs"]]:
    """Singular values of a matrix, and its leading right directions; see `MatrixSpectrum`."""
    tall = delta.shape[0] > delta.shape[1]
    flat = delta.T if tall else delta
    strong, near = directions_of(flat)
    values = np.zeros(len(flat), np.float32)
    values[: len(strong)] = strong
    count = min(effective_rank(values), MOST_DIRECTIONS)
    if tall:
        return values, near[:, :count].T.astype(np.float16)
    far = np.empty((count, flat.shape[1]), np.float16)
    for block in blocks_of(flat):
        product = near[:, :count].T @ flat[:, block].astype(np.float64)
        far[:, block] = product / strong[:count, None]
    return values, far


def spectrum_of_product(
    factors: Factors,
) -> tuple[Float32[ndarray, " values"], Float16[ndarray, "leading inputs"]]:
    """The same of a product, from the decomposition of a small core."""
    _, right, core = factors.around()
    _, strong, tail = np.linalg.svd(core)
    values = np.zeros(min(len(factors.left), len(factors.right.T)), np.float32)
    rank = rank_of(strong)
    values[:rank] = strong[:rank]
    count = min(effective_rank(values), MOST_DIRECTIONS)
    return values, (tail[:count] @ right.T).astype(np.float16)


def _entry(base: Checkpoint, tuned: Checkpoint) -> Path | None:
    """The path of a spectrum, by the hashes of the weights; models in memory have none."""
    if not (base.identities() and tuned.identities()):
        return None
    parts = (str(_FORMAT), base.content_hash(), tuned.content_hash())
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return cache_folder("spectra") / f"{key}.spectrum"


def _save(path: Path, spectrum: DeltaSpectrum) -> None:
    matrices = spectrum.matrices
    shapes = np.array([(m.values.size, *m.directions.shape) for m in matrices], np.int64)
    head = {"matrices": [[module_json(m.module), m.expert] for m in matrices]}
    arrays = {
        "shapes": shapes.ravel(),
        "values": np.concatenate([m.values for m in matrices] or [np.zeros(0, np.float32)]),
        "directions": np.concatenate(
            [m.directions.ravel() for m in matrices] or [np.zeros(0, np.float16)]
        ),
    }
    store_arrays(path, head, arrays)


def _load(path: Path, names: tuple[str, str]) -> DeltaSpectrum | None:
    return load_arrays(path, lambda head, arrays: _spectrum(head, arrays, names))


def _spectrum(head: Any, arrays: dict[str, Any], names: tuple[str, str]) -> DeltaSpectrum:
    shapes, matrices = arrays["shapes"].reshape(-1, 3), []
    values = np.split(arrays["values"], np.cumsum(shapes[:, 0])[:-1])
    directions = np.split(arrays["directions"], np.cumsum(shapes[:, 1] * shapes[:, 2])[:-1])
    rows = zip(head["matrices"], shapes, values, directions, strict=True)
    for (entry, expert), shape, falling, flat in rows:
        matrices.append(MatrixSpectrum(module_of(entry), expert, falling, flat.reshape(shape[1:])))
    return DeltaSpectrum(*names, tuple(matrices))
