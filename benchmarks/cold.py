"""Merging files that are not in the system's cache, beside only reading them.

    python -m benchmarks.cold [--size S] [--rounds 2] [--limit 200] [--write]

In each round the files are dropped from the cache and read, by as many threads as merge; then they
are dropped and merged, once for each row of the table. It is measured at the disk's own speed and
at a limit, which a control group sets (blkio, version 1; needs root). Linux only.
"""

import argparse
import ctypes
import gc
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np

from benchmarks.engine.recipes import recipe
from benchmarks.engine.write import keep, marked, measured_on, table
from benchmarks.measure import machine
from benchmarks.synthetic import SIZES, make
from dppa_core.checkpoints.page_copies import Pages
from dppa_core.merging.merger import open_merger
from dppa_core.merging.tensor_tasks import write_tensors
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.system.threads import available_cores, side_by_side

KEPT = ("reading", "merging", "processor", "warm")
LEAST = 0.8
"""Of reading alone ÷ merging."""
BLKIO = Path("/sys/fs/cgroup/blkio")
PIECE = 1 << 20
"""Bytes of one read."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of merge."""

    name: str
    method: str
    profiled: bool = False
    """Whether an earlier merge has left profiles."""
    written: bool = False
    """Whether the result goes to a folder on the same disk; else it is dropped."""


CASES = (
    Case("task_arithmetic", "task_arithmetic"),
    Case("task_arithmetic, to a folder", "task_arithmetic", written=True),
    Case("dppa, profiles known", "dppa", profiled=True),
    Case("dppa", "dppa"),
    Case("dppa, to a folder", "dppa", written=True),
)


@dataclass(frozen=True, slots=True)
class Timing:
    """One merge of cold files beside the readings before and after its round."""

    reading: float
    """Seconds; the mean of the two readings."""
    merging: float
    processor: float
    """Seconds of all threads while merging."""
    warm: float
    """Seconds of the same merge when the files are in the cache."""


class Dropped:
    """A sink that drops what is merged."""

    whole: Literal["bounded"] = "bounded"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def keep(self, name: str, kept: tuple[int, ...], stack: object = None) -> None:
        return None

    def room(self, name: str, start: int, stop: int) -> None:
        return None

    def take(self, name: str, start: int, merged: object, base: object) -> None:
        return None


class Bench:
    """The models of one size and their weight files."""

    def __init__(self, models: Path) -> None:
        self.models, self._out = models, models / "merged"
        self.files = sorted(models.glob("*/*.safetensors"))
        self._workers = available_cores()

    @property
    def bytes(self) -> int:
        """Of all weight files."""
        return sum(file.stat().st_size for file in self.files)

    def merge(self, case: Case) -> None:
        """One merge; unless it may find profiles, they are removed before."""
        cache = self.models / ("profiled" if case.profiled else "cache")
        if not case.profiled:
            shutil.rmtree(cache, ignore_errors=True)
        os.environ["DPPA_CACHE"] = str(cache)
        merge_recipe = recipe(case.method, self.models)
        if case.written:
            merge_to_folder(merge_recipe, self._out, overwrite=True, sync=False)
        else:
            merger = open_merger(merge_recipe, workers=self._workers)
            write_tensors(merger, Dropped(merger.names()), self._workers)

    def read(self) -> None:
        """Read every file from start to end."""
        tasks = [partial(_read, file) for file in self.files]
        for _ in side_by_side(tasks, self._workers):
            pass

    def drop(self) -> None:
        """Drop the files from the system's cache.

        Raises:
            SystemExit: some of their pages stay there.
        """
        gc.collect()  # a mapped page is not dropped
        for file in self.files:
            with file.open("rb") as opened:
                os.fsync(opened.fileno())  # a page that is not written is not dropped
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if (share := cached(file)) > 0.01:
                raise SystemExit(f"{file}: {share:.0%} of its pages stay in the system's cache.")

    def tidy(self) -> None:
        """Remove the merged model, so that writing it to the disk does not disturb what follows."""
        shutil.rmtree(self._out, ignore_errors=True)


def _read(file: Path) -> None:
    room = bytearray(PIECE)
    with file.open("rb", buffering=0) as opened:
        while opened.readinto(room):
            pass


def cached(file: Path) -> float:
    """Share of a file's pages that are in the system's cache."""
    size = file.stat().st_size
    resident = np.zeros(-(-size // os.sysconf("SC_PAGE_SIZE")), np.uint8)
    with file.open("rb") as opened:
        pages = Pages(opened.fileno(), size, file)
    start, room = ctypes.c_void_p(pages.address), ctypes.c_void_p(resident.ctypes.data)
    if ctypes.CDLL(None, use_errno=True).mincore(start, ctypes.c_size_t(size), room):
        raise OSError(ctypes.get_errno(), f"{file}: mincore failed")
    return float((resident & 1).mean())


@contextmanager
def limited(folder: Path, rate: int) -> Iterator[None]:
    """Let this process read from the disk of a folder at `rate` bytes a second at most.

    Raises:
        OSError: no such control group, not root, or a disk that cannot be limited.
    """
    lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    own_group = next((line.split(":")[2] for line in lines if ":blkio:" in line), "")
    group, disk = BLKIO / own_group.strip("/") / f"cold-{os.getpid()}", folder.stat().st_dev
    group.mkdir()
    try:
        limit = f"{os.major(disk)}:{os.minor(disk)} {rate}"
        (group / "blkio.throttle.read_bps_device").write_text(limit)
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def measured(
    bench: Bench, rounds: int, say: Callable[[str], object]
) -> dict[str, tuple[Timing, ...]]:
    """Case -> its timing in each round."""
    readings, rounds_of_cases = [_cold(bench, bench.read)[0]], []
    for number in range(rounds):
        rounds_of_cases.append({case.name: _merged(bench, case) for case in CASES})
        readings.append(_cold(bench, bench.read)[0])
        say(f"round {number + 1} of {rounds}: read in {readings[-1]:.2f} s\n")
    return {
        case.name: tuple(
            Timing((before + after) / 2, *round_of_cases[case.name])
            for before, after, round_of_cases in zip(
                readings, readings[1:], rounds_of_cases, strict=False
            )
        )
        for case in CASES
    }


def _merged(bench: Bench, case: Case) -> tuple[float, float, float]:
    merge = partial(bench.merge, case)
    cold = _cold(bench, merge)
    bench.tidy()
    warm = _seconds(merge)[0]
    bench.tidy()
    return *cold, warm


def _cold(bench: Bench, action: Callable[[], None]) -> tuple[float, float]:
    bench.drop()
    return _seconds(action)


def _seconds(action: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and seconds of processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def medians(timings: Sequence[Timing]) -> dict[str, float]:
    """Medians of all rounds, and the range of the ratio."""
    values = {name: median(timing[name] for timing in map(asdict, timings)) for name in KEPT}
    ratios = [timing.reading / timing.merging for timing in timings]
    values |= {"ratio": median(ratios), "least": min(ratios), "most": max(ratios)}
    return {name: round(value, 2) for name, value in values.items()}


def text(results: dict[str, Any]) -> str:
    """Reading ÷ merging of each case, on each disk."""
    disks: dict[str, Any] = results["disks"]
    ratios = {
        name: [disk_results[name]["ratio"] for disk_results in disks.values()]
        for name in results["cases"]
    }
    rows = (
        (name, *(marked(ratio >= LEAST, f"{ratio:.2f}") for ratio in both))
        for name, both in ratios.items()
    )
    return table((f"reading ÷ merging, at least {LEAST}", *disks), rows) + measured_on(results)


def main() -> None:
    """Make the models, measure, print or write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=int, default=200, help="MB a second of the slower disk")
    parser.add_argument("--folder", type=Path, default=Path("out/bench-cold"))
    parser.add_argument("--write", action="store_true", help="into docs/, too")
    options = parser.parse_args()
    bench = Bench(make(options.size, options.folder))
    for case in CASES:  # loads the compiled loops; keeps profiles for those that may find them
        bench.merge(case)
    bench.tidy()
    disks = {}
    for disk, rate in (("as it is", 0), (f"{options.limit} MB/s", options.limit * 10**6)):
        with ExitStack() as stack:
            try:
                if rate:
                    stack.enter_context(limited(bench.models, rate))
            except OSError as error:
                sys.stderr.write(f"{disk}: not measured ({error})\n")
                continue
            timed = measured(bench, options.rounds, sys.stderr.write)
            disks[disk] = {name: medians(results) for name, results in timed.items()}
    results = {
        "machine": machine(),
        "size": f"{options.size}, {bench.bytes / 1e9:.2f} GB in {len(bench.files)} files",
        "rounds": options.rounds,
        "cases": [case.name for case in CASES],
        "disks": disks,
    }
    print(text(results))
    if options.write and len(disks) > 1:
        keep("bench-cold", results, text(results), "benchmarks")


if __name__ == "__main__":
    main()
