"""Fuzz the readers of foreign files; `make fuzz` runs it.

    python -m tests.fuzz [TARGET …] [--runs N] [--seed N] [--write [--add]] [--collect]

Every target runs in its own process, one after another. Findings go to out/fuzz with their
tracebacks, and make the command fail; once fixed, their inputs belong in
tests/fuzz/regressions. --write puts the figures into docs/, --add adds them to runs with other
seeds. A run ended by SIGTERM counts what it had tried; --collect reads it again.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.engine.journal import ROOT
from benchmarks.measure import machine
from tests.fuzz.report import RESULT, write
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, Target

PACKAGES = ROOT / "out" / "fuzz-packages"
"""Where scripts/atheris.sh puts the fuzzer: outside the environment of the app."""


def tried(target: Target, runs: int, seed: int) -> dict[str, Any]:
    """The results of one target's run."""
    folder = ROOT / "out" / "fuzz" / target.name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "corpus").mkdir(parents=True)
    for number, data in enumerate(seeds(target.name)):
        (folder / "corpus" / f"seed-{number:03}").write_bytes(data)
    paths = [str(ROOT), str(PACKAGES)]
    command = [sys.executable, "-m", "tests.fuzz.child", target.name, str(folder)]
    with (folder / "log").open("wb") as log:
        ended = subprocess.run(
            [*command, str(runs), str(seed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return results_of(target, folder, stopped=ended.returncode == -signal.SIGTERM)


def results_of(target: Target, folder: Path, *, stopped: bool) -> dict[str, Any]:
    """What a run has written; one that ended early without SIGTERM is a finding."""
    try:
        results: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    except FileNotFoundError:
        sys.exit(f"{target.name} did not begin; {folder / 'log'} says why.")
    for path in (*folder.glob("timeout-*"), *folder.glob("oom-*"), *folder.glob("crash-*")):
        results["findings"][path.name.partition("-")[0]] = path.name
    if not results["done"] and not results["findings"] and not stopped:
        results["findings"]["ended early"] = "log"
    return results | {"what": target.reads, "largest": target.largest}


def main() -> int:
    """The exit code: 1 where there was a finding."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [target.name for target in TARGETS]
    parser.add_argument("targets", nargs="*", choices=[*names, []], metavar="TARGET")
    parser.add_argument("--runs", type=int, help="inputs of each target, in place of its own")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="into docs/fuzz.json and its table")
    parser.add_argument("--add", action="store_true", help="to the figures that are there")
    parser.add_argument("--collect", action="store_true", help="of a run that was told to end")
    options = parser.parse_args()
    sys.path.append(str(PACKAGES))
    bad = 0
    for target in TARGETS:
        if options.targets and target.name not in options.targets:
            continue
        if options.collect:
            results = results_of(target, ROOT / "out" / "fuzz" / target.name, stopped=True)
        else:
            results = tried(target, options.runs or target.runs, options.seed)
        bad += len(results["findings"])
        line = {key: results[key] for key in ("inputs", "accepted", "seconds", "findings")}
        sys.stdout.write(f"{target.name}: {json.dumps(line)}\n")
        sys.stdout.flush()
        if options.write:
            keep(target.name, results, add=options.add)
    return 1 if bad else 0


def keep(name: str, results: dict[str, Any], *, add: bool) -> None:
    """Store the run of one target with the others, or add it to an earlier one."""
    stored = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {"targets": {}}
    stored |= {"machine": machine(load=False), "atheris": version("atheris")}
    order = [target.name for target in TARGETS]
    earlier = stored["targets"].get(name) if add else None
    runs = {**stored["targets"], name: results if earlier is None else together(earlier, results)}
    stored["targets"] = {key: runs[key] for key in order if key in runs}
    write(stored)


def together(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Two runs of a target as one."""
    counts = {
        key: earlier[key] + later[key] for key in ("inputs", "accepted", "blown_up", "seconds")
    }
    largest = {
        key: max(earlier[key], later[key]) for key in ("slowest", "slowest_blown_up", "memory")
    }
    return {**later, **counts, **largest, "findings": earlier["findings"] | later["findings"]}


if __name__ == "__main__":
    sys.exit(main())
