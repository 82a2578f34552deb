"""Whole merges by DPPA and by mergekit, alternating in rounds."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine.journal import ROOT, Journal
from benchmarks.engine.process import Usage, cores, run
from benchmarks.engine.recipes import write_recipes
from benchmarks.synthetic import BASE

Say = Callable[[str], None]

# Ours and theirs alternate, so that compared runs are adjacent.
ROUNDS = {
    "S": (
        "dppa",
        "mergekit ties",
        "ties",
        "mergekit task_arithmetic",
        "task_arithmetic",
    ),
    "M": (
        "dppa",
        "mergekit ties",
        "ties",
        "mergekit task_arithmetic",
        "task_arithmetic",
        "dppa, two cores",
    ),
    "L": ("dppa", "task_arithmetic"),
}


@dataclass(frozen=True, slots=True)
class Bench:
    """A benchmark's paths and output."""

    folder: Path
    mergekit: Path | None
    """The program `mergekit-yaml`; None to leave it out."""
    say: Say

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def out(self) -> Path:
        """The merge written last."""
        return self.folder / "out"

    def runs(self, size: str) -> tuple[str, ...]:
        """The runs in a round of this size."""
        names = ROUNDS[size]
        if self.mergekit is None:
            names = tuple(name for name in names if not name.startswith("mergekit"))
        if len(cores()) < 2:
            names = tuple(name for name in names if "two cores" not in name)
        return names

    def environment(self, name: str) -> dict[str, str | None]:
        """The same for both: one thread, byte code kept, no Hub.

        Ours starts without profiles, so that each merge makes them.
        """
        shutil.rmtree(self.folder / "profiles", ignore_errors=True)
        one_thread = dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
        )
        tool = "mergekit" if name.startswith("mergekit") else "dppa"
        return {
            **one_thread,
            "HF_HUB_OFFLINE": "1",
            "PYTHONDONTWRITEBYTECODE": None,
            "PYTHONPYCACHEPREFIX": str(self.folder / "pycache" / tool),
            "NUMBA_CACHE_DIR": str(self.folder / "pycache" / "numba"),
            "DPPA_CACHE": str(self.folder / "profiles"),
        }

    def command(self, size: str, name: str) -> list[str]:
        """Program and arguments of one run."""
        recipes = self.folder / "recipes" / size
        if name.startswith("mergekit "):
            recipe = recipes / f"mergekit-{name.removeprefix('mergekit ')}.yaml"
            options = ["--lazy-unpickle", "--no-copy-tokenizer"]
            return [str(self.mergekit), str(recipe), str(self.out), *options]
        recipe = recipes / f"{name.split(',')[0]}.yaml"
        ours = [sys.executable, "-m", "dppa_core", "merge", str(recipe)]
        return [*ours, "--out", str(self.out), "--no-sync"]  # mergekit does not wait either

    def once(self, size: str, name: str) -> Usage:
        """One run, from start to end, on one core or two."""
        shutil.rmtree(self.out, ignore_errors=True)
        count = 2 if "two cores" in name else 1
        return run(
            self.command(size, name),
            self.folder / "log.txt",
            on=cores()[-count:],
            env=self.environment(name),
            folder=ROOT,
        )


def make_models(bench: Bench, size: str) -> Path:
    """Make the synthetic models of a size in another process, so its memory is not counted."""
    target = bench.models / size
    if not target.is_dir():
        bench.say(f"{size}: making four models")
    command = [sys.executable, "-m", "benchmarks.synthetic", size, "--folder", str(bench.models)]
    run(command, bench.folder / "log.txt", folder=ROOT)
    write_recipes(size, target, bench.folder / "recipes" / size)
    return target


def measure_merges(bench: Bench, journal: Journal, size: str, rounds: int) -> None:
    """Run rounds of one size until enough are complete; partial rounds do not count."""
    if len(journal.rounds(size)) >= rounds:
        return
    make_models(bench, size)
    for name in bench.runs(size):  # warms up byte code, compiled loops and file cache
        if size == "S" or not name.startswith("mergekit"):
            bench.say(f"{size}: {name}, to warm up")
            bench.once(size, name)
    while (complete := len(journal.rounds(size))) < rounds:
        usages = {}
        for name in bench.runs(size):
            used = bench.once(size, name)
            usages[name] = used.to_json()
            bench.say(
                f"{size} {complete + 1}/{rounds}: {name}: {used.wall:.2f} s, CPU {used.cpu:.2f} s, "
                f"{used.peak / 2**20:.0f} MiB"
            )
        journal.add(size, usages)
    shutil.rmtree(bench.out, ignore_errors=True)


def measure_differences(bench: Bench, journal: Journal, size: str = "S") -> None:
    """Compare ours with mergekit's by weight: as timed, and in float32."""
    if bench.mergekit is None or journal.rounds("differences"):
        return
    by_variant = {}
    for method in ("ties", "task_arithmetic"):
        bench.once(size, method)
        kept = bench.folder / "ours"
        shutil.rmtree(kept, ignore_errors=True)
        os.replace(bench.out, kept)
        for variant in ("", "-float32"):
            bench.say(f"{size}: comparing with mergekit {method}{variant}")
            bench.once(size, f"mergekit {method}{variant}")
            result = bench.folder / "differences.json"
            paths = (kept, bench.out, bench.models / size / BASE, result)
            command = [sys.executable, "-m", "benchmarks.engine.differences", *map(str, paths)]
            run(command, bench.folder / "log.txt", folder=ROOT)
            by_variant[method + variant] = json.loads(result.read_text("utf-8"))
        shutil.rmtree(kept)
    journal.add("differences", by_variant)


def measure_inside(bench: Bench, journal: Journal, rounds: int, size: str = "S") -> None:
    """Measure loops and slider in a separate process on one core."""
    if len(journal.rounds("inside")) >= rounds:
        return
    models, result = make_models(bench, size), bench.folder / "inside.json"
    bench.say(f"{size}: loops beside memcpy, and the slider")
    command = [sys.executable, "-m", "benchmarks.engine.inside", str(models), str(rounds)]
    log, env = bench.folder / "log.txt", bench.environment("inside")
    run([*command, str(result)], log, on=cores()[-1:], env=env, folder=ROOT)
    for values in json.loads(result.read_text("utf-8")):
        journal.add("inside", values)
