"""Predicts how long a merge on a cluster takes, and checks the prediction on this machine.

Run by `python -m benchmarks.cluster --folder DIR`: it merges a synthetic model on Ray clusters of
one and of two nodes of one core on this machine, and compares the time of the weight files with
the simulation that predicts the time for 70 billion parameters on eight nodes.
"""

import argparse
import heapq
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.synthetic import BASE, DOMAINS, Size, make
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.shard_writer import assign_shards
from dppa_core.merging.cluster.merge import MergeFacts, evenly_sized, opened, prepared, shard_task
from dppa_core.merging.cluster.parts import shards_of
from dppa_core.merging.cluster.ray import joined
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

LARGE = Size(80, 8192, 28672, 1024, 64, 32000)
"""Llama 2 of 70 billion parameters, without its separate head."""
GIB = 1 << 30


def schedule(seconds: Sequence[float], cores: int) -> float:
    """When the last task is done: each core takes the next one as soon as it is free."""
    free = [0.0] * cores
    for duration in seconds:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


# --- measured: small merges on this machine ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """The weight files of one merge on some one-core nodes."""

    nodes: int
    files: int
    nbytes: int
    """All weight files."""
    seconds: float
    """From the first task's start to the last one's end."""
    busy: tuple[float, ...]
    """What each task took by its own clock."""
    predicted: float
    """Simulated from the tasks' times on one node."""


def timed_shard(facts: MergeFacts, item: tuple[str, tuple[TensorSpec, ...]]) -> float:
    """Seconds that a weight file takes."""
    began = time.perf_counter()
    shard_task(facts, item)
    return time.perf_counter() - began


@contextmanager
def cluster_of(nodes: int) -> Iterator[str]:
    """The address of a cluster of `nodes` nodes on this machine."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415  (an extra, and seconds)

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_agent_register_timeout_ms", "120000")  # the machine may be busy
    size = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster()
    cluster.add_node(**size, include_dashboard=False)
    for _ in range(nodes - 1):
        cluster.add_node(**size)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def measure(recipe: MergeRecipe, nodes: int, shard_size: int, folder: Path) -> tuple[float, ...]:
    """Wall seconds of all weight files, and then each one's own."""
    with cluster_of(nodes) as address, joined(address) as cluster:
        facts = prepared(cluster, recipe, 1, {})
        items = list(shards_of(opened(facts), shard_size).items())
        for part in ("warm", "timed"):  # the first time compiles and opens models
            target = folder / part
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            began = time.perf_counter()
            durations = dict(cluster.run(timed_shard, replace(facts, folder=str(target)), items))
            wall = time.perf_counter() - began
            shutil.rmtree(target)
    return wall, *(durations[place] for place in range(len(items)))


def runs(folder: Path, name: str, shard_size: int, rounds: int) -> list[Run]:
    """The merge on one node and on two, alternating; the fastest of several rounds each."""
    models = make(name, folder)
    recipe = MergeRecipe(
        str(models / BASE),
        tuple(DomainModel(str(models / domain), (0.9, 0.8)) for domain in DOMAINS),
    )
    best: dict[int, tuple[float, ...]] = {}
    for _ in range(rounds):
        for nodes in (1, 2):
            durations = measure(recipe, nodes, shard_size, folder)
            best[nodes] = min(best.get(nodes, durations), durations)
    alone = best[1][1:]
    files = len(alone)
    nbytes = sum(path.stat().st_size for path in (models / BASE).glob("*.safetensors"))
    return [
        Run(nodes, files, nbytes, durations[0], durations[1:], schedule(alone, nodes))
        for nodes, durations in best.items()
    ]


# --- by arithmetic: a large merge on a cluster ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Machine:
    """A cluster and its file system."""

    nodes: int
    cores: int
    """Cores of a node; one task each."""
    node_rate: float
    """Bytes a second that a node reads or writes."""
    shared_rate: float
    """Bytes a second of the file system, all nodes together."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of a merge."""

    name: str
    tasks: int
    read: int
    """Bytes, all nodes together."""
    written: int
    by_cores: float
    """Seconds by schedule, if reading were free."""
    by_bytes: float
    """Seconds for the network, if computing were free."""

    @property
    def seconds(self) -> float:
        """The longer one: both run at once."""
        return max(self.by_cores, self.by_bytes)


def large_tensors() -> list[TensorSpec]:
    """All tensors of the large model."""
    head = TensorSpec("lm_head.weight", "BF16", (LARGE.vocabulary, LARGE.hidden))
    return [*LARGE.tensors(), head]


def phases(machine: Machine, models: int, shard_size: int, rates: dict[str, float]) -> list[Phase]:
    """The steps of a merge of the large model.

    Args:
        machine: Cluster.
        models: Domain models.
        shard_size: Bytes of a weight file.
        rates: Bytes of one model that a core hashes, profiles and merges in a second.
    """
    specs, cores = large_tensors(), machine.nodes * machine.cores
    size = sum(spec.nbytes for spec in specs)
    shards = [sum(s.nbytes for s in shard) for shard in assign_shards(specs, shard_size).values()]
    parts = evenly_sized({spec.name: spec.nbytes for spec in specs}, 3 * cores)
    by_part = [sum(spec.nbytes for spec in specs if spec.name in part) for part in parts]

    def phase(name: str, tasks: Sequence[int], rate: str, reads: int, writes: int) -> Phase:
        """`reads` and `writes`: how often all of a model's bytes are read and written."""
        busy = [task / rates[rate] for task in tasks]
        used = min(machine.nodes, len(tasks))  # a node without a task moves nothing
        bandwidth = min(machine.shared_rate, used * machine.node_rate)
        moved = (reads + writes) * size
        return Phase(
            name, len(tasks), reads * size, writes * size, schedule(busy, cores), moved / bandwidth
        )

    return [
        phase("hashes", [size] * (models + 1), "hash", models + 1, 0),
        phase("profiles", [models * part for part in by_part], "profile", models + 1, 0),
        phase("weights", shards, "merge", models + 2, 1),  # and once more, for its hash
    ]


def print_phases(machine: Machine, steps: Sequence[Phase]) -> None:
    """A table of the steps."""
    print(
        f"| step | tasks | read (GiB) | written (GiB) | by {machine.nodes} × {machine.cores} cores "
        "(s) | by the file system (s) |\n| --- | --- | --- | --- | --- | --- |"
    )
    for step in steps:
        print(
            f"| {step.name} | {step.tasks} | {step.read / GIB:.0f} | {step.written / GIB:.0f} | "
            f"{step.by_cores:.0f} | {step.by_bytes:.0f} |"
        )
    print(f"\nTogether, the longer of the two in each step: {sum(p.seconds for p in steps):.0f} s.")


def print_runs(measured: Sequence[Run]) -> None:
    """A table of what was measured."""
    print(
        "| nodes of one core | weight files | predicted (s) | measured (s) | measured ÷ predicted |"
    )
    print("| --- | --- | --- | --- | --- |")
    for run in measured:
        ratio = run.seconds / run.predicted
        print(
            f"| {run.nodes} | {run.files} | {run.predicted:.2f} | {run.seconds:.2f} | {ratio:.2f} |"
        )
    alone = measured[0]
    rate = alone.nbytes / sum(alone.busy) / 1e9
    print(f"\nOne core writes {rate:.2f} GB of merged weights a second (--merge).")


def main(arguments: Sequence[str]) -> None:
    """Measure, if a folder is given, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the synthetic models are, or go")
    parser.add_argument("--size", default="M", help="which of them: S, M, L")
    parser.add_argument("--shard", type=float, default=60, help="MB of a weight file, measured")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--cores", type=int, default=8, help="tasks beside each other on a node")
    parser.add_argument("--node-rate", type=float, default=2.5, help="GB/s; 2.5 is 20 Gbit/s")
    parser.add_argument("--shared-rate", type=float, default=10, help="GB/s of the file system")
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--shard-size", type=float, default=2, help="GB of a weight file")
    parser.add_argument("--hash", type=float, default=5, help="GB/s that a core hashes")
    parser.add_argument("--profile", type=float, default=0.6, help="GB/s of one model, a core")
    parser.add_argument("--merge", type=float, default=0.3, help="GB/s written, a core")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    machine = Machine(
        options.nodes, options.cores, options.node_rate * 1e9, options.shared_rate * 1e9
    )
    rates = {name: getattr(options, name) * 1e9 for name in ("hash", "profile", "merge")}
    steps = phases(machine, options.models, math.ceil(options.shard_size * 1e9), rates)
    measured: list[Run] = []
    if options.folder:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["DPPA_CACHE"] = cache
            measured = runs(
                options.folder, options.size, math.ceil(options.shard * 1e6), options.rounds
            )
    if options.json:
        summary = {"phases": [asdict(p) for p in steps], "runs": [asdict(r) for r in measured]}
        print(json.dumps(summary))
        return
    if measured:
        print_runs(measured)
        print()
    print_phases(machine, steps)


if __name__ == "__main__":
    main(sys.argv[1:])
