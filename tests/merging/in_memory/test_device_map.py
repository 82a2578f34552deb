"""Models spread over devices: here CPU memory and the disk."""

from pathlib import Path

import pytest
import torch

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam
from dppa_core.merging.in_memory.device_map_pool import SpreadModelPool
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.generate import stream_reply
from dppa_core.models.reply import GenerationSettings
from tests.helpers.command import Command

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

SETTINGS = GenerationSettings(max_new_tokens=6)


def reply(pool: ModelPool) -> str:
    with pool.lend("zoo:math") as resident:
        return list(stream_reply(resident, "2 + 3?", SETTINGS))[-1]


def test_a_model_whose_layers_lie_on_disk_answers_as_one_in_memory() -> None:
    spread = SpreadModelPool(max_memory={"cpu": 80_000})
    with spread.lend("zoo:math") as resident:
        places = set(resident.model.hf_device_map.values())
        assert places == {"cpu", "disk"}
        ids = torch.arange(8)[None]
        logits = resident.model(ids).logits
    with ModelPool().lend("zoo:math") as whole:
        assert torch.equal(logits, whole.model(ids).logits)
    assert reply(spread) == reply(ModelPool())


def test_it_is_scored_as_any_other_model(tmp_path: Path) -> None:
    marks = [
        Examiner(pool, fresh=True).marks(Exam("zoo:math", "math", "test", 3))
        for pool in (SpreadModelPool(max_memory={"cpu": 80_000}), ModelPool())
    ]
    assert marks[0].hits == marks[1].hits and marks[0].tokens == marks[1].tokens
    assert marks[0].losses == pytest.approx(marks[1].losses, rel=1e-6)


def test_what_cannot_be_spread_is_told() -> None:
    with pytest.raises(InvalidValue, match="device map must be one of auto, balanced"):
        SpreadModelPool("everywhere")
    with pytest.raises(InvalidValue, match="dtype must be one of float32"):
        SpreadModelPool(dtype="int8")


def test_the_command_spreads_a_folder(dppa: Command) -> None:
    spread = ["evaluate", "zoo:math", "--tasks", "math", "--limit", 2, "--device-map", "auto"]
    assert dppa(*spread, "--json") == 0
    assert dppa.json["domains"]["math"]["n"] == 2
    assert dppa(*spread[:-1], "everywhere") == 1
    assert "device map must be one of auto" in dppa.err


def test_commands_spread_what_exceeds_the_given_memory(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_MEMORY", "1GB")  # restored after the test
    recipe = tmp_path / "r.yaml"
    recipe.write_text("dppa: 1\nbase: zoo:base\nmodels:\n- model: zoo:math\n")
    words = ["evaluate", recipe, "--tasks", "math", "--limit", 3, "--alone", "--fresh", "--json"]
    assert dppa(*words, "--memory", "80KB") == 0
    spread = dppa.json["domains"]["math"]
    assert dppa(*words, "--memory", "1GB") == 0
    whole = dppa.json["domains"]["math"]
    assert spread["accuracy"] == whole["accuracy"]
    assert spread["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    prompt = ["--prompt", "2 + 3?", "--memory", "80KB"]
    assert dppa("attribute", recipe, *prompt) == 1
    assert "Attribution needs the whole model in memory" in dppa.err
    assert dppa("attribute", recipe, "--prompt", "2 + 3?", "--memory", "much") == 1
    assert "--memory must be like 5GB" in dppa.err
