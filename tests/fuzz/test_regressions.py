"""Earlier fuzzing findings, real files and a few mutations: read, or refused in one clear line.

`make fuzz` tries millions; these run with all tests, without a fuzzer.
"""

import time
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.mutate import mutated, stretched
from tests.fuzz.seeds import REGRESSIONS, seeds
from tests.fuzz.targets import TARGETS, Target, accepts, target_of

SLOW = 5.0
"""Seconds of processor time, of a machine that does other things as well."""
KEPT = [path for path in sorted(REGRESSIONS.glob("*/*")) if path.is_file()]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_once_was_a_finding_is_none(path: Path, tmp_path: Path) -> None:
    began = time.thread_time()
    accepts(target_of(path.parent.name), path.read_bytes(), tmp_path)
    assert time.thread_time() - began < SLOW


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_real_files_are_read(target: Target, tmp_path: Path) -> None:
    regression_count = len(list((REGRESSIONS / target.name).glob("*")))
    real = seeds(target.name)[:-regression_count] if regression_count else seeds(target.name)
    assert real and all(accepts(target, data, tmp_path) for data in real)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_changed_file_is_read_or_refused_in_a_line(target: Target, tmp_path: Path) -> None:
    chance, seed_inputs = Random(3), seeds(target.name)
    tried = [
        data
        for _ in range(min(60, target.runs // 500))
        if (data := mutated(chance.choice(seed_inputs), chance))
    ]
    tried += [stretched(data, target.largest, chance) for data in tried[:3]]
    tried += [data[: chance.randrange(len(data))] for data in seed_inputs]
    began = time.thread_time()
    read = sum(accepts(target, data, tmp_path) for data in tried)
    assert 0 < read < len(tried) and time.thread_time() - began < SLOW
