"""Estimate of a merge's cost: bytes to fetch, memory, disk, seconds.

The constants are measured by `python -m benchmarks --only estimate`;
docs/reference/preflight.md states the formulas.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dppa_core.errors import OutOfBudget
from dppa_core.methods.shared.singular import decompose_seconds
from dppa_core.pruning.module_groups import find_modules

MERGE_MEMORY = 380_000_000
"""Bytes of a merge in one thread, whatever the size of the models: they are streamed."""
THREAD_MEMORY = 40_000_000
"""Bytes of every further thread."""
ROUNDED_MEMORY = {
    "passthrough": (16, 2),
    "task_arithmetic": (16, 9),
    "karcher": (18, 9),
    "linear": (24, 5),
    "nearswap": (24, 4),
    "model_stock": (24, 5),
    "arcee_fusion": (39, 6),
    "slerp": (43, 4),
}
"""Method -> bytes that each thread holds for an element of its tensor where every operation is
rounded to 16 bits, and those for each domain model more."""
RANKED_MEMORY = (40, 12)
"""The same for the other methods, which rank, draw, or stack what they make."""
MATRIX_MEMORY = {
    "iso_c": (72, 8),
    "subspace_boosting": (72, 8),
    "tsv_m": (92, 8),
    "iso_cts": (106, 14),
    "wudi": (60, 50),
    "doge_ta": (100, 12),
    "core_space": (80, 44),
    "knots": (80, 84),
}
"""The same for methods that take every linear module as one matrix."""
FOLDED_MEMORY = (64_000_000, 8)
"""Bytes of each thread that rounds a matrix to few bits, and those for each of its elements, of one
matrix more than there are threads."""
MATRIX_WORK = {
    "iso_c": (0.4, 0.0),
    "subspace_boosting": (0.5, 0.0),
    "tsv_m": (0.0, 0.6),
    "iso_cts": (0.5, 0.6),
    "wudi": (0.5, 0.5),
    "doge_ta": (0.0, 20.0),
    "core_space": (1.0, 2.0),
    "knots": (1.0, 2.0),
}
"""Such a method -> its work, as a multiple of `decompose_seconds`, and that for each domain model
more; measured with three."""
MODEL_MEMORY = 500_000_000
"""Bytes of an answering program without its model: PyTorch and transformers."""
FLOAT32_LIMIT = 200_000_000
"""Up to this many parameters a model computes in float32, the fastest on a CPU; larger ones in
bfloat16, which takes half the memory."""

START = 1.0
"""Seconds until the first tensor: imports, and compiled loops read from the cache."""
PASS_RATE = 1.5e9
"""Bytes a second and core, of hashing, profiling and adding deltas up, files in memory."""
COMBINE_RATE = 0.4e9
"""The same where a method combines deltas, measured with ties; pcb, della and sce take longer."""
DISK_RATE = 0.4e9
"""Bytes per second, written and synced."""
LINE_RATE = 12.5e6
"""Bytes a second of a download over a line of 100 Mbit/s; yours may differ tenfold."""
MULTIPLY_RATES = {4: 5e10, 2: 2e10}
"""Additions and multiplications a second of one core, by the bytes of a weight: bfloat16 is slower
on processors that imitate it, as the Intel Xeon (2.5 GHz) this was measured on does."""
WEIGHT_RATE = 6e9
"""Bytes of weights a second that one core reads for every token of a reply."""
WIDTHS = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Bytes of a number."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes that the formulas need."""

    parameters: int
    """Of the base, and so of the merge."""
    stored: tuple[int, ...]
    """Bytes of the weights of base and domain models."""
    missing: int = 0
    """Bytes to fetch."""
    formats: tuple[str, ...] = ("bfloat16",)
    """Dtypes of the models, or their formats of few bits."""
    dtype: str = "bfloat16"
    """Of the merged weights, or their format of few bits."""
    folded: int = 0
    """Bytes of the merge in few bits; 0 if it is written in plain numbers."""
    combines: bool = False
    """True if the method combines deltas."""
    workers: int = 1
    moved: int = 0
    """Bytes of embeddings whose rows are matched by token, which are reordered in memory."""
    held: int = 0
    """Bytes of `held_memory`; 0 if tensors are merged some rows at a time."""
    matrix_seconds: float = 0.0
    """Those of `matrix_seconds`; 0 if no matrix is taken whole."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cost of a merge."""

    download: int
    """Bytes to fetch."""
    download_seconds: float
    """Of that, at 100 Mbit/s."""
    read: int
    """Bytes of the models' weights."""
    formats: tuple[str, ...]
    """Their dtypes, or formats of few bits."""
    written: int
    """Bytes of the merged weights."""
    dtype: str
    """Of the merged weights, or their format of few bits."""
    merge_memory: int
    """Bytes of memory to merge into a folder."""
    model_memory: int
    """Bytes of memory to chat with the result."""
    merge_seconds: float
    """Of profiling and merging, files in memory."""


def estimate(sizes: Sizes) -> Estimate:
    """Apply the formulas.

    A merge reads every model three times (its hash, its profile beside the base, the merge)
    and writes once.
    """
    base, *tuned = sizes.stored
    written = sizes.folded or sizes.parameters * WIDTHS[sizes.dtype]
    hashed, profiled = base + sum(tuned), len(tuned) * base + sum(tuned)
    merged = base + sum(tuned) + written
    rate = COMBINE_RATE if sizes.combines else PASS_RATE
    seconds = (hashed + profiled) / PASS_RATE + merged / rate + sizes.matrix_seconds
    return Estimate(
        download=sizes.missing,
        download_seconds=sizes.missing / LINE_RATE,
        read=hashed,
        formats=sizes.formats,
        written=written,
        dtype=sizes.dtype,
        merge_memory=MERGE_MEMORY + (sizes.workers - 1) * THREAD_MEMORY + sizes.moved + sizes.held,
        model_memory=memory_to_chat(sizes.parameters),
        merge_seconds=START + seconds / sizes.workers + written / DISK_RATE,
    )


def held_memory(
    method: str,
    models: int,
    shapes: Mapping[str, tuple[int, ...]],
    workers: int,
    *,
    rounds: bool = False,
    folds: bool = False,
) -> int:
    """Bytes of the whole tensors that are merged at once; 0 if they are merged by rows.

    Args:
        models: Number of domain models.
        shapes: Of every tensor.
        rounds: True if every operation is rounded to 16 bits.
        folds: True if the merge is written in few bits, matrix by matrix.
    """
    numels: Iterable[int] = map(math.prod, shapes.values())
    matrices = [math.prod(module.shape[-2:]) for module in find_modules(shapes)]
    if rounds:
        own, each = ROUNDED_MEMORY.get(method, RANKED_MEMORY)
    else:
        own, each = MATRIX_MEMORY.get(method, (0, 0))
        numels = matrices
    by_thread, by_element = FOLDED_MEMORY if folds else (0, 0)
    folded = by_thread * workers + by_element * sum(heapq.nlargest(workers + 1, matrices))
    return folded + (own + each * models) * sum(heapq.nlargest(workers, numels))


def matrix_seconds(method: str, models: int, shapes: Mapping[str, tuple[int, ...]]) -> float:
    """About the seconds of one core that a method takes for matrices; 0 if it takes none whole.

    Args:
        models: Number of domain models.
        shapes: Of every tensor.
    """
    own, each = MATRIX_WORK.get(method, (0.0, 0.0))
    if not own + each:
        return 0.0
    matrices = (
        shape[-2:]
        for module in find_modules(shapes)
        for shape in [module.shape] * math.prod(module.shape[:-2])
    )
    return (own + each * models) * decompose_seconds(matrices)


def threads_within(memory: int, workers: int, held: Callable[[int], int]) -> int:
    """Threads of a merge that fit into an amount of memory, at most `workers`.

    Args:
        held: Threads -> bytes of the whole tensors that they hold.

    Raises:
        OutOfBudget: one thread does not fit.
    """

    def needed(threads: int) -> int:
        return MERGE_MEMORY + (threads - 1) * THREAD_MEMORY + held(threads)

    for threads in range(workers, 0, -1):
        if needed(threads) <= memory:
            return threads
    size, remedy = "the models", "."
    if held(1):
        size = "the other tensors"
        remedy = ", or take a recipe without `arithmetic` and a method that needs no whole matrix."
    raise OutOfBudget(
        f"A merge takes {needed(1) // 10**6} MB in one thread, whatever the size of {size}; "
        f"--memory allows {memory / 1e6:.4g} MB. Allow more{remedy}"
    )


def memory_to_chat(parameters: int) -> int:
    """Bytes of a program that answers with one model of a number of parameters.

    During construction the weights of some families exist twice: as merged, and as the model holds
    them.
    """
    width = 4 if parameters <= FLOAT32_LIMIT else 2
    return MODEL_MEMORY + parameters * (width + 2)


def answer_seconds(
    parameters: int, questions: int, tokens: float, reply: float, together: int
) -> float:
    """Seconds of one core that a model takes for questions.

    Args:
        tokens: Of a question with its right answer, which are read at once.
        reply: Tokens of a reply, which are written one after the other.
        together: Questions that share a pass over the weights.
    """
    width = 4 if parameters <= FLOAT32_LIMIT else 2
    work = 2 * parameters / MULTIPLY_RATES[width]
    batches = math.ceil(questions / together)
    step = max(parameters * width / WEIGHT_RATE, work * min(questions, together))
    return work * questions * tokens + batches * reply * step


def in_time(seconds: float) -> str:
    """Seconds in words: "3 s", "4 min", "2.5 h"."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
