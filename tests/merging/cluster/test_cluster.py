"""Merges on a Ray cluster of two nodes: the bytes of one machine, also after kills."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.evaluation.examiner import Examiner
from dppa_core.merging.cluster.merge import merge_on_cluster
from dppa_core.merging.cluster.ray import joined
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from dppa_core.tuning.search.cluster import exams_on_cluster
from dppa_core.tuning.search.options import SearchOptions
from dppa_core.tuning.search.search_loop import run_search
from tests.helpers.low_bit_models import FORMS, save
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

SHARD = 4_000
"""Bytes: sixty files, so that there is a middle to be killed in."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> MergeRecipe:
    """Two domain models of twelve layers."""
    root = tmp_path_factory.mktemp("models")
    base = random_llama(0, Shape(layers=12))
    names = [str(base.save(root / "base"))]
    names += [str(tuned_llama(base, seed).save(root / f"tuned{seed}")) for seed in (1, 2)]
    return MergeRecipe(names[0], tuple(DomainModel(name, (0.9, 0.8)) for name in names[1:]))


@pytest.fixture(scope="module")
def alone(recipe: MergeRecipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A local merge's folder."""
    out = tmp_path_factory.mktemp("alone") / "merged"
    merge_to_folder(recipe, out, shard_size=SHARD, sync=False)
    return contents(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def until(condition: Callable[[], object], seconds: float = 180) -> object:
    """The first true value of `found`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError("it never happened")


def workers(task: str) -> list[int]:
    """Processes that run such a task; Ray writes it into their titles."""
    numbers = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(task.encode()):
                numbers.append(int(entry.name))
        except OSError:
            continue  # just ended
    return numbers


@pytest.mark.long
def test_the_work_of_a_killed_worker_is_done_again(
    address: str,
    recipe: MergeRecipe,
    alone: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))  # so that nodes make profiles
    killed: list[int] = []

    def kill(task: str) -> None:
        (victim, *_) = until(lambda: workers(f"ray::{task}"))
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    def kill_both() -> None:
        kill("profile_part")
        kill("shard_task")

    killer = threading.Thread(target=kill_both)
    killer.start()
    messages: list[str] = []
    report = merge_on_cluster(
        recipe, tmp_path / "out", address=address, shard_size=SHARD, sync=False,
        progress=lambda count, total, text: messages.append(f"{text} {count}/{total}"),
    )  # fmt: skip
    killer.join(timeout=5)
    assert len(killed) == 2
    assert contents(tmp_path / "out") == alone
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out"]
    assert len(report.files) > 50 and any("profiles" in line for line in messages)


@pytest.mark.long
def test_a_lost_driver_is_followed_by_one_that_goes_on(
    address: str, recipe: MergeRecipe, alone: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe))
    command = [sys.executable, "-m", "dppa_core", "merge", "recipe.yaml", "--out", "out"]
    command += ["--ray", address, "--shard-size", str(SHARD), "--no-sync"]
    paths = {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    run = {"cwd": tmp_path, "env": os.environ | paths}
    first = subprocess.Popen(command, **run, stderr=subprocess.DEVNULL)
    until(lambda: len(list(tmp_path.glob(".out.dppa-parts-*/*.json"))) > 3)
    first.kill()
    first.wait()
    assert not (tmp_path / "out").exists()
    (parts,) = tmp_path.glob(".out.dppa-parts-*")
    until(lambda: not workers("ray::shard_task"))  # the lost driver's end by themselves
    before = {path.stem: (parts / path.stem).stat().st_ino for path in parts.glob("*.json")}
    again = subprocess.run(command, **run, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert contents(tmp_path / "out") == alone
    assert {name: (tmp_path / "out" / name).stat().st_ino for name in before} == before
    assert not parts.exists()


@pytest.mark.long
def test_files_in_few_bits_are_those_of_one_machine(address: str, tmp_path: Path) -> None:
    base = random_llama(1, Shape(hidden=40, intermediate=56))
    models = save(base, tmp_path / "base", FORMS["fp8"]), tuned_llama(base, 2).save(tmp_path / "m")
    recipe = MergeRecipe(str(models[0]), (DomainModel(str(models[1]), (0.5,)),))
    settings = {"shard_size": SHARD, "sync": False, "same_format": True}
    alone = merge_to_folder(recipe, tmp_path / "alone", **settings)
    report = merge_on_cluster(recipe, tmp_path / "out", address=address, **settings)
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert len(report.files) > 3 and report.requantised == alone.requantised


@pytest.mark.long
def test_a_search_asks_again_what_a_lost_worker_was_asked_and_goes_on(
    address: str, tmp_path: Path, one_torch_thread: None
) -> None:
    """On the embedded models: trials on both nodes, in one stored study."""
    recipe = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)),))
    options = SearchOptions(vary=("rate=0.3:0.9",), trials=3, limit=2, sampler="random")
    study = tmp_path / "study.db"
    killed: list[int] = []

    def kill() -> None:
        (victim, *_) = until(lambda: workers("ray::answer"))
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    killer = threading.Thread(target=kill)
    with joined(address) as cluster:
        ask = exams_on_cluster(cluster)
        killer.start()
        first = run_search(recipe, options, ask, state=study, beside=cluster.cores())
        killer.join(timeout=5)
        more = replace(options, trials=5)
        search = run_search(recipe, more, ask, state=study, beside=cluster.cores())
    assert len(killed) == 1 and len(first.trials) == 3 and len(search.trials) == 5
    assert search.trials[:3] == first.trials
    alone = run_search(recipe, more, Examiner(keep=False).score)
    assert search.trials == alone.trials  # drawn at random by their numbers, asked anywhere
