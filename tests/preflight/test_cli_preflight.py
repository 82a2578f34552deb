"""`dppa preflight`: its output and exit codes."""

from pathlib import Path

import pytest

from dppa_core.errors import DamagedCheckpoint, NonFiniteWeights
from dppa_core.preflight_checks.local_facts import trouble
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.tiny_models import random_llama


def test_a_merge_that_works_exits_with_0(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))  # nothing has been measured before
    assert dppa("preflight", "zoo:base", "zoo:math", "zoo:law") == 0
    assert "· note     base: How far" in dppa.out
    assert dppa.out.rstrip().rpartition("\n")[2].startswith("base and math + law can be merged:")
    assert not dppa.err


def test_measuring_tells_how_far_a_model_is(dppa: Command) -> None:
    assert dppa("preflight", "zoo:base", "zoo:math", "--measure", "--json") == 0
    assert 0 < dppa.json["distances"]["zoo:math"]["ratio"] < 1


def test_blockers_exit_with_1_and_are_on_stdout(dppa: Command) -> None:
    assert dppa("preflight", "zoo:base", "zoo:nosuch", "zoo:math", "--json") == 1
    assert not dppa.json["ready"] and len(dppa.json["facts"]) == 2
    (blocker,) = [f for f in dppa.json["findings"] if f["severity"] == "blocker"]
    assert blocker["model"] == "zoo:nosuch" and blocker["remedy"]
    assert dppa.err == "dppa: 1 finding stands in the way of this merge.\n"


def test_a_recipe_is_looked_at_with_its_method_and_dtype(dppa: Command, tmp_path: Path) -> None:
    estimates = {}
    for method, dtype in (("dppa", "bfloat16"), ("ties", "float32")):
        levels = (0.8,) if method == "dppa" else (0.0,)
        models = (DomainModel("zoo:math", levels), DomainModel("zoo:law", levels))
        recipe = MergeRecipe("zoo:base", models, method, dtype=dtype)
        path = tmp_path / f"{method}.yaml"
        path.write_text(dump_recipe(recipe), "utf-8")
        assert dppa("preflight", "--recipe", path, "--workers", 1, "--json") == 0
        estimates[method] = dppa.json["estimate"]
    assert estimates["ties"]["written"] == 2 * estimates["dppa"]["written"]
    assert estimates["ties"]["merge_memory"] == estimates["dppa"]["merge_memory"]
    assert estimates["ties"]["merge_seconds"] > estimates["dppa"]["merge_seconds"]


@pytest.mark.parametrize(
    "arguments", [(), ("zoo:base",), ("zoo:base", "zoo:math", "--recipe", "x.yaml")]
)
def test_half_a_question_is_wrong_usage(dppa: Command, arguments: tuple[str, ...]) -> None:
    assert dppa("preflight", *arguments) == 2


def test_an_adapter_that_does_not_fit_is_found_without_merging(
    dppa: Command, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"x")
    assert dppa("preflight", "zoo:base", f"zoo:base+{tmp_path}") == 1
    assert "not a safetensors header" in dppa.out


def test_what_is_wrong_with_weights_gets_its_own_remedy() -> None:
    nan = trouble("acme/math", NonFiniteWeights("acme/math: model.norm.weight holds nan at 3. A"))
    assert nan.what.startswith("model.norm.weight holds nan") and "saved broken" in nan.remedy
    cut = trouble("acme/math", DamagedCheckpoint("acme/math: the header claims 9 bytes. Cut"))
    assert cut.what.startswith("The header") and cut.remedy == "Fetch the model again."


def test_a_missing_shard_is_fetched_again(dppa: Command, tmp_path: Path) -> None:
    base = random_llama(1).save(tmp_path / "base", shards=2)
    max(base.glob("*.safetensors")).unlink()
    assert dppa("preflight", base, base) == 1
    assert "no such file" in dppa.out and "do:  Fetch the model again." in dppa.out


def test_what_is_no_folder_of_ours_is_told_as_what_it_is(dppa: Command, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert dppa("convert", tmp_path / "model.gguf", "--out", tmp_path / "out") == 1
    assert "model.gguf: a GGUF file, weights of llama.cpp." in dppa.err
    (tmp_path / "config.json").write_text("{}")
    assert dppa("card", tmp_path) == 1 and "no merge of this tool" in dppa.err
