"""Sets of one's own, and the command that runs experiments on them."""

import json
from pathlib import Path
from typing import Any

import pytest

from dppa_core.errors import InvalidRecipe, InvalidValue, UnknownName
from dppa_lab.experiments.paper import pruning
from dppa_lab.experiments.presets import preset_setting
from dppa_lab.experiments.runner import RESULT
from dppa_lab.experiments.setting import Subject
from tests.helpers.command import Command

ZOO = Path(__file__).resolve().parents[2] / "assets" / "zoo"


def test_a_set_of_ones_own_is_a_file_and_each_model_has_a_domain(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: ./base\nmodels:\n  - {model: ./math}\n")
    assert "--tasks" in preset_setting(str(path)).hindrance
    setting = preset_setting(str(path), tasks=["law"], test=9)
    assert (setting.base, setting.subjects) == ("./base", (Subject("./math", "law"),))
    assert not setting.hindrance
    assert preset_setting(str(path), lm_eval=["piqa"]).subjects[0].name == "piqa"
    with pytest.raises(InvalidValue, match="names 2"):
        preset_setting(str(path), tasks=["law", "math"])
    with pytest.raises(UnknownName):
        preset_setting(str(path), tasks=["lew"])
    path.write_text("base: ./base\nmodels: [./math]\n")
    with pytest.raises(InvalidRecipe, match="mine.yaml: a set of models"):
        preset_setting(str(path))


def test_a_set_of_the_hub_tells_why_it_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "gated" in preset_setting("llama-2-7b").hindrance
    monkeypatch.setattr("dppa_core.system.machine.free_disk", lambda _folder: 1 << 30)
    assert "too large" in preset_setting("qwen2.5-1.5b", tasks=["math", "law"]).hindrance


def test_a_set_larger_than_memory_is_run_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dppa_core.system.machine.available_memory", lambda: 1 << 30)
    monkeypatch.setattr("dppa_core.system.machine.free_disk", lambda _folder: 1 << 40)
    assert not preset_setting("qwen2.5-1.5b", tasks=["math", "law"]).hindrance


def test_the_command_lists_experiments_and_wants_one_named(dppa: Command) -> None:
    assert dppa("reproduce", "--list", "--json") == 0
    assert dppa.json[0]["key"] == "pruning"
    assert dppa("reproduce") == 1 and "--all" in dppa.err
    assert dppa("reproduce", "prunning") == 1 and "'pruning'" in dppa.err


@pytest.fixture
def arguments(
    tmp_path: Path, one_torch_thread: None, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, ...]:
    """Prunes the embedded law model as a user's set, two items for each model."""
    monkeypatch.setattr(pruning, "RATES", (0.8, 0.9))
    monkeypatch.setattr(pruning, "DRAWS", 1)
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: {ZOO / 'base'}\nmodels:\n  - model: {ZOO / 'law'}\n")
    options = ("--preset", path, "--tasks", "law", "--limit", 2, "--workers", 1)
    return ("reproduce", "pruning", *options)


@pytest.mark.long
@pytest.mark.long
def test_a_set_larger_than_the_budget_gives_the_same_figures(
    dppa: Command, tmp_path: Path, arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for memory in ("8MB", "1GB"):
        monkeypatch.setenv("DPPA_CACHE", str(tmp_path / memory))
        assert dppa(*arguments, "--json", "--memory", memory, "--out", tmp_path / memory) == 0
        runs.append(dppa.json["experiments"][0])
    spread, whole = runs
    assert spread["known"] == whole["known"] == 0, "each budget asks for itself"
    assert spread["tables"] == whole["tables"]


@pytest.mark.long
def test_real_models_are_asked_once_and_a_second_run_asks_nothing(
    dppa: Command, tmp_path: Path, arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*arguments, "--out", tmp_path / "out")
    assert dppa(*arguments) == 0
    assert "pruning 6/6: law by dare 90 %: law, test" in dppa.err
    first = json.loads((tmp_path / "out" / RESULT).read_text())
    (experiment,) = first["experiments"]
    assert experiment["answers"] == 7 and experiment["known"] == 0
    assert experiment["seconds"]["processor"] > 0
    assert f"base: {ZOO / 'base'}" in experiment["tables"][0]["rows"][1]["recipe"]
    assert dppa(*arguments, "--json") == 0
    assert dppa.err == "" and dppa.json["seconds"]["processor"] == first["seconds"]["processor"]
    assert (tmp_path / "out" / "experiments" / "pruning-1.svg").exists()
    monkeypatch.setattr(pruning, "RATES", (0.8, 0.9, 0.95))
    assert dppa(*arguments, "--no-ask", "--json") == 0
    (experiment,) = dppa.json["experiments"]
    assert "at least 3 answers" in experiment["not_run"]
    assert (experiment["answers"], experiment["known"]) == (1, 0), "the unanswered cost nothing"


def test_a_model_that_answers_nothing_of_its_domain_is_told(
    dppa: Command, zoo_env: Path, tmp_path: Path, one_torch_thread: None
) -> None:
    path = tmp_path / "random.yaml"
    path.write_text(f"base: {zoo_env / 'base'}\nmodels:\n  - model: {zoo_env / 'law'}\n")
    options = ("--preset", path, "--tasks", "law", "--limit", 2, "--workers", 1)
    assert dppa("reproduce", "pruning", "pair", *options, "--out", tmp_path / "out", "--json") == 1
    first, pair = dppa.json["experiments"]
    assert "itself answers none of the 2 test items of law" in first["not_run"]
    assert pair["not_run"] == "a merge needs at least two domain models"
