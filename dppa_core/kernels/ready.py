"""Compiled loops on disk: read without loading the compiler, and compiled before they are needed.

A marker in the cache folder says that numba's own cache holds every loop in the form production
uses; `main` compiles them and writes it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dppa_core.pruning.delta_profile import OPEN_BITS
from dppa_core.pruning.tie_breaking import Window
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.system.locks import lock_folder

LARGE = 1 << 26
"""Elements times models from which waiting for the compiler takes less time than torch."""


def read_at_once(compiled: Any) -> None:
    """Make numba read a cached function from disk directly.

    Before reading one it loads all its typing and lowering rules, which takes over 0.1 s. They are
    needed only for compiling, and the compiler loads them itself.
    """
    from numba.core.runtime import nrt  # noqa: PLC0415  (not to ask what is compiled)

    cache = compiled._cache

    def read(signature: Any, context: Any) -> Any:
        nrt.rtsys.initialize(context)  # for arrays allocated by loops
        with cache._guard_against_spurious_io_errors():
            return cache._load_overload(signature, context)

    cache.load_overload = read


def usual_backend(work: int) -> str:
    """The backend for work that names none: "torch" while numba's loops are being compiled.

    That happens once a machine, in a process of its own, which the first such work starts.
    `DPPA_COMPILE=0`, large work, and a machine without locks or a cache folder mean "numba" at
    once: it compiles what it needs.

    Args:
        work: Elements of the base times domain models.
    """
    if work >= LARGE or os.environ.get("DPPA_COMPILE") == "0":
        return "numba"
    marker = marker_file()
    return "numba" if is_ready(marker) or not _compiled_elsewhere(marker) else "torch"


def is_ready(marker: Path) -> bool:
    """Whether the loops were compiled, and numba's cache was not deleted since."""
    index = load(marker)
    return index is not None and Path(os.fsdecode(index)).exists()


def marker_file() -> Path:
    """The marker of these sources, interpreter, numba, processor and folder of numba's cache."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    stamps = [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sources]
    numba = [os.environ.get(f"NUMBA_{name}") for name in ("CACHE_DIR", "CPU_NAME", "CPU_FEATURES")]
    made_of = stamps, str(sources[0]), sys.version, version("numba"), numba, _processor()
    return cache_folder("compiled") / hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]


def _processor() -> tuple[str, ...]:
    known = (platform.machine(),)
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        first = iter(lines.readline, "\n")  # one core of perhaps hundreds; frequencies change
        return *known, *(line for line in first if line.startswith(("model name", "flags", "Feat")))
    return known


@cache
def _compiled_elsewhere(marker: Path) -> bool:
    """Start to compile in another process, unless one does; False if that is impossible."""
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        os.close(lock_folder(marker.parent))
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from {__name__} import main; main()"],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except BlockingIOError:
        return True
    except OSError:
        return False
    threading.Thread(target=process.wait, name="dppa-compile", daemon=True).start()
    return True


def compile_all() -> None:
    """Run every loop on a few elements of each kind of arrays that merges and profiles use."""
    from dppa_core.kernels import numba_backend as kernels  # noqa: PLC0415  (numba)
    from dppa_core.kernels.protocol import Tally  # noqa: PLC0415

    raw, wide, tally = np.zeros(64, np.uint16), np.zeros(64, np.float32), Tally()
    fixed = [np.frombuffer(array.tobytes(), array.dtype) for array in (raw, wide)]  # as if mapped
    level, cut = np.ones(1, np.float32), np.ones(1, np.uint64)
    bands, place, sums = (level, cut, level), (0, 0), np.zeros((1 << 18, 2))
    for array in (raw, fixed[0]):
        kernels.widen(array, wide)
    kernels.narrow(wide, raw)
    kernels.largest(wide)
    kernels.fuse(raw, [raw], *place, [bands], raw)
    for one in (*fixed, wide):
        kernels.add_whole(wide, one, one, 1.0)
        kernels.histogram(one, one, tally)
        kernels.split_bin(one, one, 0, np.zeros(1 << OPEN_BITS, np.int64))
        counts, hashes = np.zeros((1, 3), np.int64), np.empty((1, 64), np.uint64)
        kernels.gather_tied(one, one, *place, level, cut, cut, counts, hashes)
    for one in fixed:
        kernels.score(one, one, wide, wide)
        kernels.score_random(one, one, *place, wide)
        kernels.add_bands(wide, one, one, *place, *bands)
        kernels.add_random(wide, one, one, *place, 1, 1.0)
        kernels.add_ranked(wide, one, one, wide, *place, *bands)
        kernels.sum_by_bin(one, one, wide, sums)
        kernels.sum_squares(one, np.zeros(1024))
    kernels.drain(tally)
    _compile_stacked(wide.reshape(2, 8, 4))
    _compile_whole(raw)
    _compile_binned()


def _compile_stacked(deltas: Any) -> None:
    from dppa_core.kernels import elected  # noqa: PLC0415  (numba)
    from dppa_core.methods.shared.sign_election import SignBallot  # noqa: PLC0415

    elected.count_magnitudes(deltas[0], np.zeros(1 << 17, np.int64))
    elected.count_within(deltas[0], 0, np.zeros(1 << 16, np.int64))
    elected.gather_tied(deltas[0], 1.0, 0, 0, Window(0, 1, 8))
    elected.vote(deltas, (), 0, 0, (1.0, 1.0))
    elected.agree(deltas, (), 0, 0, SignBallot((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), 0))


def _compile_whole(raw: Any) -> None:
    from dppa_core.kernels import whole  # noqa: PLC0415  (numba)

    seed, words = np.uint64(0), np.zeros(whole.SCRATCH * (64 + whole.MARGIN), np.uint64)
    given = tuple(np.full((3, 2), value, np.float32) for value in (np.inf, np.inf, np.inf, 1))
    addresses = np.array([raw.ctypes.data] * 4, np.uint64)
    whole.sweep(addresses, (0, 0), seed, given, 64, words, raw)
    exact = given[0].copy(), np.zeros((3, 2), np.uint64)
    whole.finish(0, seed, given, np.zeros((3, 2, 3), np.int64), exact, 64, words, raw)


def _compile_binned() -> None:
    from dppa_core.kernels import binned  # noqa: PLC0415  (numba)

    counts, sums = np.ones(4, np.int64), np.ones((4, 2))
    bits, excess = np.zeros(4, np.uint32), np.zeros(4, np.float32)
    binned.unpack(counts, counts, counts, bits, excess)
    binned.sum_up(bits, counts, excess, np.zeros(5, np.int64), np.zeros(5), np.zeros(4))
    parts = ((counts, counts, counts, sums),) * 2
    binned.join(*parts, *np.empty((3, 8), np.int64), np.empty((8, 2)))


def main() -> None:
    """Compile, unless another process does, and write the marker."""
    marker = marker_file()
    marker.parent.mkdir(parents=True, exist_ok=True)
    with suppress(BlockingIOError):
        handle = lock_folder(marker.parent)
        os.nice(10)
        compile_all()
        from dppa_core.kernels.loops import widen  # noqa: PLC0415  (numba)

        # Without a cache folder it names none, and "." always exists: numba compiles as needed.
        file = getattr(widen._cache, "_cache_file", None)
        store(marker, os.fsencode(file._index_path if file else ""))
        os.close(handle)
