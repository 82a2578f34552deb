"""`python -m benchmarks.engine`: whole merges beside mergekit, loops beside memcpy.

Makes synthetic models of 135 M, 494 M and 1.5 B parameters, merges them in turns with both tools on
one core, and prints a table. A killed run can be continued.
"""

import argparse
import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.engine.figures import MIB
from benchmarks.engine.journal import ROOT, Journal, source_hash
from benchmarks.engine.merges import Bench, measure_differences, measure_inside, measure_merges
from benchmarks.engine.process import own_peak
from benchmarks.engine.report import text, to_json
from benchmarks.engine.write import keep
from benchmarks.measure import machine
from benchmarks.synthetic import DOMAINS, SIZES
from dppa_core.system.folder_cache import cache_folder

ASK = "from importlib.metadata import version as v; print(*(v(n) for n in {names!r}))"
MERGEKIT = ROOT / "out" / "mergekit-venv" / "bin" / "mergekit-yaml"


def room_needed(size: str) -> int:
    """Bytes of the base, its domain models and two merges; four may exist already."""
    return sum(spec.nbytes for spec in SIZES[size].tensors()) * (len(DOMAINS) + 3)


def too_large(size: str, folder: Path) -> str:
    """Why a size is left out, or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(folder).free, room_needed(size)
    if free < needed and not (folder / "models" / size).is_dir():
        return f"needs {needed / 1e9:.0f} GB on the disk of {folder}, {free / 1e9:.0f} GB are free"
    return ""


def versions(mergekit: Path | None) -> dict[str, str]:
    """Versions of what runs."""
    by_package = {"Python": sys.version.split()[0]}
    by_package |= {name: version(name) for name in ("numpy", "numba", "torch")}
    if mergekit is not None:
        names = ("mergekit", "torch", "transformers")
        command = [str(mergekit.parent / "python"), "-c", ASK.format(names=names)]
        query = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        ours = dict(zip(names, query.stdout.split(), strict=True))
        by_package |= {"mergekit": f"{ours['mergekit']} (torch {ours['torch']})"}
    return by_package


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list("SML"))
    parser.add_argument("--rounds", type=int, default=3, help="of every comparison (3)")
    parser.add_argument("--loops", type=int, default=7, help="rounds of the loops and the slider")
    parser.add_argument("--folder", type=Path, default=cache_folder("bench-engine"))
    parser.add_argument("--keep", action="store_true", help="leave models and journal there")
    parser.add_argument("--mergekit", type=Path, default=MERGEKIT, help="mergekit-yaml to run")
    parser.add_argument("--without-mergekit", action="store_true", help="measure ours alone")
    parser.add_argument("--write", action="store_true", help="into docs/, too")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> tuple[Journal, dict[str, Any]]:
    """Measure whatever was requested and is not measured yet."""
    folder: Path = options.folder.resolve()
    mergekit = None if options.without_mergekit else options.mergekit
    if mergekit is not None and not mergekit.is_file():
        raise SystemExit(f"{mergekit}: no mergekit there. `sh scripts/mergekit.sh` installs it.")
    skipped = {size: why for size in options.sizes if (why := too_large(size, folder))}
    for size, why in skipped.items():
        say(f"{size} is left out: it {why}.")
    conditions = {
        "machine": machine(load=False),
        "versions": versions(mergekit),
        "source": source_hash(),
    }
    journal, bench = Journal(folder / "journal.jsonl", conditions), Bench(folder, mergekit, say)
    if "S" in options.sizes:
        measure_inside(bench, journal, options.loops)
    for size in options.sizes:
        if size not in skipped:
            measure_merges(bench, journal, size, options.rounds)
        if size == "S":
            measure_differences(bench, journal)
        if not options.keep:
            shutil.rmtree(bench.models / size, ignore_errors=True)
    say(f"This process itself: {own_peak() / MIB:.0f} MiB at most.")
    return journal, {**conditions, "rounds": options.rounds, "skipped": skipped}


def main() -> None:
    """Read the arguments, measure, print, write."""
    options = arguments()
    journal, conditions = measure(options)
    results = to_json(journal.rounds, conditions)
    if options.write:
        keep("bench-engine", results, text(results), "benchmarks")
    print(json.dumps(results, indent=2) if options.json else text(results))
    if not options.keep:
        shutil.rmtree(options.folder.resolve(), ignore_errors=True)


if __name__ == "__main__":
    main()
