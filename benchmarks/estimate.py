"""Preflight's estimates compared with real merges: seconds and peak memory.

Every run is a separate process, like `dppa merge`, with an empty profile cache. Nothing
waits for the disk; CPU seconds are printed too, since other work affects them less.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.measure import Measurement
from benchmarks.synthetic import DOMAINS, make
from dppa_core.preflight_checks.estimate import (
    DISK_RATE,
    MATRIX_MEMORY,
    MULTIPLY_RATES,
    WEIGHT_RATE,
    estimate,
    memory_to_chat,
)
from dppa_core.preflight_checks.local_facts import look_at_folder
from dppa_core.preflight_checks.merge_findings import sizes_of
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe

GROUP = "Preflight's estimates, 135 M parameters, three domain models"
MATRICES = "Methods that take matrices, those of 494 M parameters in a single layer, three models"
RUNS = 3

MERGE = """
import json, sys, time
from pathlib import Path
began = time.perf_counter()
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import load_recipe
merge_to_folder(load_recipe(sys.argv[1]), sys.argv[2], workers=int(sys.argv[3]), sync=False)
seconds = time.perf_counter() - began, time.process_time()
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
print(json.dumps([*seconds, 1024 * peak]))
"""
CHAT = """
import json, sys, time
from pathlib import Path
began = time.perf_counter()
import torch
torch.set_num_threads(1)
from dppa_core.merging.in_memory.model_pool import ModelPool
resident = ModelPool().get(sys.argv[1])
with torch.inference_mode():
    resident.model(torch.zeros((1, 64), dtype=torch.long))
seconds = time.perf_counter() - began, time.process_time()
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
print(json.dumps([*seconds, 1024 * peak]))
"""


def measurements() -> Iterator[Measurement]:
    """A merge that adds deltas, on one thread and two; one that combines them, and those that take
    matrices; two that round each operation; a model."""
    with TemporaryDirectory() as folder:
        models = make("S", Path(folder))
        cases = (("dppa", 1), ("dppa", 2), ("ties", 1), ("iso_c", 1))
        yield from (_merge(models, *case) for case in cases)
        yield from (_merge(models, name, 1, "bfloat16") for name in ("ties", "task_arithmetic"))
        yield _chat(models / "base")
        one_layer = make("M-1", Path(folder))
        yield from (_merge(one_layer, name, 1, group=MATRICES, runs=1) for name in MATRIX_MEMORY)
    yield from _answers()


def _answers() -> Iterator[Measurement]:
    """What an answer is made of: 64 prompts' products, and a pass over the weights, on one core."""
    torch.set_num_threads(1)
    for width, dtype in ((4, torch.float32), (2, torch.bfloat16)):
        weights = torch.ones(5632, 2048, dtype=dtype)
        for rows in (64, 1):
            tokens, times = torch.ones(rows, 2048, dtype=dtype), []
            for _ in range(40):
                began = time.perf_counter()
                torch.nn.functional.linear(tokens, weights)
                times.append(1000 * (time.perf_counter() - began))
            rate = 1000 / statistics.median(times)
            note = f"{rate * weights.nbytes / 1e9:.1f} GB/s, estimate {WEIGHT_RATE / 1e9:.1f}"
            if rows > 1:
                work = rate * 2 * rows * weights.numel() / 1e9
                note = f"{work:.0f} billion a second, estimate {MULTIPLY_RATES[width] / 1e9:.0f}"
            name = f"{rows} × 2,048 times 5,632 × 2,048, {str(dtype).removeprefix('torch.')}"
            yield Measurement(GROUP, name, tuple(times), note)


def _merge(
    models: Path,
    method: str,
    workers: int,
    arithmetic: str = "float32",
    *,
    group: str = GROUP,
    runs: int = RUNS,
) -> Measurement:
    levels = (0.9, 0.8) if method == "dppa" else (0.0,)
    tuned = tuple(DomainModel(str(models / name), levels) for name in DOMAINS)
    parameters = {"density": 0.2, "semantics": "mergekit"} if method == "ties" else {}
    recipe = MergeRecipe(
        str(models / "base"), tuned, method, parameters, arithmetic=arithmetic, dtype="bfloat16"
    )
    path = models / f"{method}.yaml"
    path.write_text(dump_recipe(recipe), encoding="utf-8")
    looked = [look_at_folder(name, models / name).facts for name in ("base", *DOMAINS)]
    base, *others = (facts for facts in looked if facts is not None)
    rounds = arithmetic != "float32"
    cost = estimate(sizes_of(base, others, method=method, rounds=rounds, workers=workers))
    measured = [
        _run(MERGE, models, str(path), f"out-{method}-{workers}-{i}", str(workers))
        for i in range(runs)
    ]
    return Measurement(
        group,
        f"merge, {method}, {workers} thread{'s' if workers > 1 else ''}"
        f"{f', {arithmetic} arithmetic' if rounds else ''}",
        tuple(1000 * run[0] for run in measured),
        _beside(cost.merge_seconds - cost.written / DISK_RATE, cost.merge_memory, measured),
    )


def _chat(folder: Path) -> Measurement:
    looked = look_at_folder("base", folder).facts
    needed = memory_to_chat(looked.parameters if looked else 0)
    _add_tokenizer(folder)
    runs = [_run(CHAT, folder, str(folder)) for _ in range(RUNS)]
    times = tuple(1000 * run[0] for run in runs)
    return Measurement(
        GROUP, "a model in memory, 64 tokens read", times, _beside(None, needed, runs)
    )


def _add_tokenizer(folder: Path) -> None:
    """The embedded models' tokenizer: its content does not matter."""
    zoo = Path(__file__).resolve().parents[1] / "assets" / "zoo" / "base"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((zoo / name).read_bytes())


def _run(code: str, folder: Path, *arguments: str) -> tuple[float, float, int]:
    """Wall-clock seconds, CPU seconds, and peak memory in bytes."""
    with TemporaryDirectory() as cache:
        child = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.getcwd(), "DPPA_CACHE": cache},
            capture_output=True,
            text=True,
            check=True,
        )
    clock, processor, peak = json.loads(child.stdout)
    return clock, processor, peak


def _beside(seconds: float | None, memory: int, runs: list[tuple[float, float, int]]) -> str:
    note = f"processor {statistics.median(run[1] for run in runs):.1f} s; "
    note += "" if seconds is None else f"estimate {seconds:.1f} s; "
    return f"{note}peak {max(run[2] for run in runs) / 1e6:.0f} MB, estimate {memory / 1e6:.0f} MB"
