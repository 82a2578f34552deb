"""Where replies are computed: small models on the CPU, large ones on a GPU if available."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.work.lent_gpu import LentGpu
from dppa_core.answering.devices import local_reply
from dppa_core.errors import InvalidValue
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models import devices
from dppa_core.models.devices import Gpu, GpuCopies, copied
from dppa_core.models.generate import stream_tokens
from dppa_core.models.reply import GenerationSettings
from dppa_core.models.resident import MIN_GPU_BYTES, Resident
from dppa_core.system.machine import on_zero

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

CPU = torch.device("cpu")
GPU = Gpu(CPU, "a card", bfloat16=False)
QUESTION = "What is 12 + 5?"


@pytest.fixture(scope="module")
def resident() -> Resident:
    return ModelPool().get("zoo:math")


def test_a_copy_answers_alike_shares_no_memory_and_keeps_what_is_tied(resident: Resident) -> None:
    copy = replace(resident, model=copied(resident.model, CPU))
    settings = GenerationSettings(temperature=1, seed=2)
    before = {id(one) for one in resident.model.parameters()}
    assert not before & {id(one) for one in copy.model.parameters()}
    pairs = zip(resident.model.parameters(), copy.model.parameters(), strict=True)
    assert all(a.data_ptr() != b.data_ptr() and torch.equal(a, b) for a, b in pairs)
    assert copy.model.get_input_embeddings().weight is copy.model.get_output_embeddings().weight
    assert list(stream_tokens(copy, QUESTION, settings)) == list(
        stream_tokens(resident, QUESTION, settings)
    )


def test_copies_leave_when_room_is_short_but_never_while_they_are_used(resident: Resident) -> None:
    room = [2 * resident.nbytes]
    copies = GpuCopies([GPU], lambda device: room[0])
    first, second = (replace(resident, key=key) for key in "ab")
    with copies.lend(first) as one:
        room[0] = 0
        with copies.lend(first) as again, copies.lend(second) as none:
            assert one is again and one is not None and none is None
    room[0] = resident.nbytes
    with copies.lend(first) as still:
        assert still is one
    left = iter((0, 0, resident.nbytes, resident.nbytes))  # as much as the first copy frees
    copies._free = lambda device: next(left)
    with copies.lend(second) as other:
        assert other is not None and other is not one
    with copies.lend(first) as anew:
        assert anew is not one


def test_without_a_gpu_models_of_any_size_are_answered_by_the_processor(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "own_copies", lambda: GpuCopies(devices.gpus()))
    large, settings = replace(resident, nbytes=2 * MIN_GPU_BYTES), GenerationSettings()
    found = list(local_reply(large, QUESTION, settings, None))
    assert found == list(stream_tokens(resident, QUESTION, settings))


def test_a_variable_of_such_spaces_alone_is_a_mistake_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not on_zero()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", None)
    with pytest.raises(InvalidValue, match="SPACES_ZERO_GPU is set, and the package spaces"):
        LentGpu()


@pytest.mark.long
def test_a_lent_gpu_streams_the_same_tokens_from_another_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.lent_gpu"],
        env={**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["small"] and told["small_calls"] == 0
    assert told["same"] and told["calls"] == ["/schedule", "/allow", "/release"]
    assert "stopped" in told
    assert "empty" in told["failed"]
    assert "quota" in told["refused"] and "lends no GPU" in told["refused"]
    assert told["left"] == []
