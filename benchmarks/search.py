"""How long a search trial takes on the embedded models, and which files it writes.

    python -m benchmarks.search [--items 64] [--runs 7] [--threads 2] [--json]

Every trial has other factors: its merge overwrites the last one in memory, and answers the
search items of three domains. Target: 2 s on two cores, and no file written.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time

import torch

from benchmarks.measure import machine
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.search.scoring import SEARCH_ITEMS

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
TARGET = 2.0


def recipe(factor: float) -> MergeRecipe:
    """All three models at 80 %, amplified."""
    models = (DomainModel(f"zoo:{name}", (0.9, 0.8), (factor, 1.0), 0.9) for name in DOMAINS)
    return MergeRecipe("zoo:base", tuple(models))


def main() -> None:
    """Measure trials, after two that compile and load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=SEARCH_ITEMS, help="a domain")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="write one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pool, written = ModelPool(), list[str]()
    ask = Examiner(pool, keep=False).score

    def trial(factor: float) -> tuple[float, float, float]:
        begun, worked = time.perf_counter(), time.process_time()
        with pool.lend(recipe(factor)):
            merged = time.perf_counter() - begun
        for domain in DOMAINS:
            ask(Exam(recipe(factor), domain, "search", options.items))
        return merged, time.perf_counter() - begun, time.process_time() - worked

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event != "open" or arguments[0] == os.devnull:
            return
        flags = arguments[2]  # (path, mode, flags)
        if isinstance(flags, int) and flags & WRITING:
            written.append(str(arguments[0]))

    for factor in (1.0, 1.1, 1.2):  # load, compile, and fill what idle merges may keep
        trial(factor)
    sys.addaudithook(watch)
    rows = [trial(1.3 + place / 10) for place in range(options.runs)]
    merged, whole, worked = (statistics.median(column) for column in zip(*rows, strict=True))
    results = {
        "machine": machine(),
        "items": options.items * len(DOMAINS),
        "threads": options.threads,
        "merge_s": merged,
        "trial_s": whole,
        "processor_s": worked,
        "files_written": written,
    }
    if options.json:
        print(json.dumps(results))
        return
    print(results["machine"])
    print(
        f"one trial, {results['items']} items, {options.threads} threads, median of {options.runs}"
    )
    print(f"merge in place   {merged:6.2f} s")
    print(f"whole trial      {whole:6.2f} s, target {TARGET:g} s; processor {worked:.2f} s")
    print(f"files written    {len(written)}")


if __name__ == "__main__":
    main()
