"""The command line, run as people run it."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dppa_core.cli.commands import merge as merge_command
from dppa_core.merging.to_folder import MergeReport, merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning, dump_recipe
from tests.helpers.command import Command
from tests.helpers.tiny_models import random_llama


@pytest.fixture
def recipe_file(zoo_env: Path, tmp_path: Path) -> Path:
    models = (DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0)), DomainModel("zoo:law", (0.7,)))
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(MergeRecipe("zoo:base", models)))
    return path


def test_a_merge_takes_as_many_threads_as_fit_into_its_memory(
    dppa: Command, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_MEMORY", "")
    workers: list[int | None] = []

    def merging(recipe: object, out: object, **how: Any) -> MergeReport:
        workers.append(how["workers"])
        return merge_to_folder(recipe, out, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(merge_command, "merge_to_folder", merging)
    for name, memory in (("one", "390MB"), ("three", "470MB"), ("four", "9GB")):
        words = ("merge", recipe_file, "--out", tmp_path / name, "--workers", 4)
        assert dppa(*words, "--memory", memory) == 0
    assert workers == [1, 3, 4] and len({_sha256(tmp_path / n) for n in ("one", "three")}) == 1
    assert dppa("merge", recipe_file, "--out", tmp_path / "none", "--memory", "100MB") == 1
    assert "takes 380 MB in one thread" in dppa.err and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("method", "arithmetic"), [("task_arithmetic", "bfloat16"), ("tsv_m", "float32")]
)
def test_memory_of_a_merge_counts_whole_tensors(
    method: str,
    arithmetic: str,
    dppa: Command,
    zoo_env: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DPPA_MEMORY", "")
    models = (DomainModel("zoo:math"), DomainModel("zoo:law"))
    recipe = MergeRecipe("zoo:base", models, method=method, arithmetic=arithmetic)
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe), "utf-8")
    words = ("merge", path, "--out", tmp_path / "merged", "--memory")
    assert dppa(*words, "380MB") == 1
    assert "in one thread" in dppa.err and "a recipe without `arithmetic`" in dppa.err
    assert dppa(*words, "1GB") == 0


def _sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_plan_as_json(dppa: Command) -> None:
    assert dppa("plan", "zoo:math", "--rate", 0.9, "--ties", "exact", "--json") == 0
    value = dppa.json
    assert len(value["modules"]) == 14 and value["levels"] == [0.9] and not dppa.err
    assert value["density"] == pytest.approx(0.1, abs=1e-3)
    assert sum(m["kept"] for m in value["modules"]) == value["kept"]


def test_plan_in_levels_with_its_settings(dppa: Command) -> None:
    options = ["--levels", "0.9,0.8", "--strength", 0.02, "--k-layer", 2, "--k-module", 4]
    assert dppa("plan", "zoo:math", "--base", "zoo:law", *options, "--json") == 0
    assert dppa.json["levels"] == [0.9, 0.8] and dppa.json["base"] == "zoo:law"
    parameters = dppa.json["parameters"]
    assert (parameters["strength"], parameters["k_layer"], parameters["k_module"]) == (0.02, 2, 4)


def test_plan_of_a_recipe(dppa: Command, recipe_file: Path) -> None:
    assert dppa("plan", "--recipe", recipe_file, "--json") == 0
    assert [plan["finetuned"] for plan in dppa.json["plans"]] == ["zoo:math", "zoo:law"]


def test_tables_for_people(dppa: Command, recipe_file: Path) -> None:
    assert dppa("plan", "zoo:math") == 0
    assert "layer" in dppa.out and "kept 3,072 of 15,360 elements (20.000%)" in dppa.out
    assert dppa("profile", "zoo:math") == 0
    assert "layers.1.mlp.down_proj" in dppa.out
    assert dppa("card", recipe_file) == 0
    assert dppa.out.startswith("---") and "dppa merge recipe.yaml" in dppa.out


def test_profile_and_card_as_json(dppa: Command, recipe_file: Path) -> None:
    assert dppa("profile", "zoo:math", "--json") == 0
    assert {m["kind"] for m in dppa.json["modules"]} == set("q k v o gate up down".split())
    assert dppa("card", recipe_file, "--json") == 0
    assert dppa.json["card"].startswith("---")


def test_merge(dppa: Command, recipe_file: Path, tmp_path: Path) -> None:
    assert dppa("merge", recipe_file, "--out", tmp_path / "one", "--json") == 0
    first = dppa.json
    assert first["densities"] == pytest.approx([0.2, 0.3], abs=1e-3)
    assert (
        dppa("merge", recipe_file, "--out", tmp_path / "two", "--backend", "torch", "--no-sync")
        == 0
    )
    for name in ("model.safetensors", "README.md", "recipe.yaml"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert dppa("merge", recipe_file, "--out", tmp_path / "one", "--overwrite") == 0


@pytest.mark.parametrize("prune", [None, Pruning("dppa")], ids=["dppa", "ties after dppa"])
def test_a_merge_with_another_base_is_warned_of(
    dppa: Command, zoo_env: Path, tmp_path: Path, prune: Pruning | None
) -> None:
    another_base = random_llama(7).save(tmp_path / "other")
    models = (DomainModel("zoo:math", (0.5,)), DomainModel(str(another_base), (0.5,)))
    path = tmp_path / "recipe.yaml"
    method = "ties" if prune else "dppa"
    path.write_text(dump_recipe(MergeRecipe("zoo:base", models, method, prune=prune)))
    assert dppa("merge", path, "--out", tmp_path / "out") == 0
    (warning,) = [line for line in dppa.out.splitlines() if "this is another base" in line]
    assert warning.startswith(f"warning: {another_base}: Its delta is 1.4 times as large")
    assert "this is another base" in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert dppa("card", path) == 0 and "this is another base" in dppa.out
    assert dppa("preflight", "zoo:base", another_base, "--measure") == 0
    assert re.search(r"can be merged, with \d+ warnings?: ", dppa.out.splitlines()[-1])


@pytest.mark.parametrize(("method", "pruned"), [("ties", False), ("dppa", True)])
def test_what_was_kept_is_told_where_something_was_pruned(
    dppa: Command, zoo_env: Path, tmp_path: Path, method: str, pruned: bool
) -> None:
    models = tuple(
        DomainModel(name, (0.5,) if pruned else (0.0,)) for name in ("zoo:math", "zoo:law")
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(MergeRecipe("zoo:base", models, method)))
    assert dppa("merge", path, "--out", tmp_path / "out") == 0
    assert ("of the deltas" in dppa.out) == pruned


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "zoo:math", "--rate", "1.2"], "got 1.2"),
        (["plan", "zoo:math", "--rate", "nan"], "got nan"),
        (["plan", "zoo:math", "--levels", "0.8,0.9"], "fall strictly"),
        (["plan", "zoo:math", "--strength", "0.9"], "strength"),
        (["plan", "zoo:math", "--ties", "some"], "ties must be one of"),
        (["plan", "zoo:maht"], "Did you mean 'zoo:math'"),
        (["plan", "/nowhere"], "no such folder"),
        (["profile", "meta/llama"], "offline mode is on"),
        (["merge", "nowhere.yaml", "--out", "x"], "nowhere.yaml: cannot be read"),
        (["plan", "--recipe", "nowhere.yaml"], "cannot be read"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_an_error_we_foresee_is_one_line_and_exit_code_1(
    dppa: Command, arguments: list[str], message: str, as_json: bool
) -> None:
    assert dppa(*arguments, *(["--json"] if as_json else [])) == 1
    assert not dppa.out and dppa.err.count("\n") == 1 and message in dppa.err
    assert dppa.err.startswith("dppa: ")


def test_a_recipe_with_an_unknown_key_is_one_line(dppa: Command, recipe_file: Path) -> None:
    recipe_file.write_text(recipe_file.read_text().replace("seed", "sede"))
    assert dppa("merge", recipe_file, "--out", recipe_file.parent / "out") == 1
    assert "unknown key 'sede'. Did you mean 'seed'" in dppa.err and dppa.err.count("\n") == 1
    assert not (recipe_file.parent / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan"],
        ["plan", "zoo:math", "--rate", "0.8", "--levels", "0.9"],
        ["plan", "zoo:math", "--rate", "high"],
        ["plan", "zoo:math", "--levels", "high"],
        ["merge"],
        ["nothing"],
        ["plan", "zoo:math", "--rat", "0.8"],
    ],
)
def test_wrong_usage_is_exit_code_2(dppa: Command, arguments: list[str]) -> None:
    assert dppa(*arguments) == 2
    assert not dppa.out and "Usage" in dppa.err


def test_a_wrong_word_is_told_before_a_model_is_opened(dppa: Command, tmp_path: Path) -> None:
    assert dppa("evaluate", "zoo:nosuch", "--tasks", "maths") == 1
    assert "No domain 'maths'. Did you mean 'math'?" in dppa.err
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(MergeRecipe("zoo:base", (DomainModel("zoo:nosuch"),))))
    assert dppa("merge", path, "--out", tmp_path / "out", "--backend", "nunba") == 1
    assert "No backend 'nunba'" in dppa.err


def test_options_that_a_recipe_settles_are_refused_beside_it(
    dppa: Command, recipe_file: Path
) -> None:
    options = ["--strength", 0.02, "--levels", "0.9", "--base", "zoo:law"]
    assert dppa("plan", "--recipe", recipe_file, *options) == 2
    assert "--base, --levels, --strength: settled by the recipe" in dppa.err
    assert dppa("plan", "zoo:math", "--recipe", recipe_file, "--ties", "exact", "--json") == 2
    assert "model, --ties: settled by the recipe" in dppa.err and not dppa.out


@pytest.mark.parametrize("size", ["5GiB", "0", "big"])
def test_a_shard_size_that_is_none_is_one_line(
    dppa: Command, recipe_file: Path, tmp_path: Path, size: str
) -> None:
    assert dppa("merge", recipe_file, "--out", tmp_path / "out", "--shard-size", size) == 1
    assert "like 5GB, 500MB" in dppa.err and dppa.err.count("\n") == 1


def test_a_sharded_merge_says_so(dppa: Command, recipe_file: Path, tmp_path: Path) -> None:
    options = ["--out", tmp_path / "out", "--shard-size", "20KB", "--overwrite"]
    assert dppa("merge", recipe_file, *options) == 0
    assert " into 3 files; " in dppa.out
    assert dppa("merge", recipe_file, *options, "--json") == 0
    assert len(dppa.json["files"]) == 3


def _lasting(value: dict[str, Any]) -> dict[str, Any]:
    """A command's output without the free memory and disk of the moment."""
    findings = [f for f in value.get("findings", ()) if f["topic"] not in ("memory", "disk")]
    return {**value, "findings": findings}


def test_the_recipe_is_an_argument_and_the_base_stands_before_the_model(
    dppa: Command, recipe_file: Path
) -> None:
    for old, new in (
        (["plan", "--recipe", recipe_file], ["plan", recipe_file]),
        (["plan", "zoo:math", "--base", "zoo:law"], ["plan", "zoo:law", "zoo:math"]),
        (["profile", "zoo:math", "--base", "zoo:law"], ["profile", "zoo:law", "zoo:math"]),
        (["preflight", "--recipe", recipe_file], ["preflight", recipe_file]),
    ):
        assert dppa(*old, "--json") == 0
        before = _lasting(dppa.json)
        assert dppa(*new, "--json") == 0
        assert _lasting(dppa.json) == before
    for words in (["plan", recipe_file, "zoo:math"], ["preflight", "zoo:base", recipe_file]):
        assert dppa(*words) == 2
        assert "give one recipe" in dppa.err
    assert dppa("profile", "zoo:base", "zoo:math", "zoo:law") == 2


@pytest.mark.parametrize("command", ["merge", "plan", "evaluate", "preflight", "search", "advise"])
def test_a_mergekit_configuration_given_to_a_command_names_the_import(
    dppa: Command, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "mergekit.yaml"
    path.write_text("merge_method: ties\nbase_model: zoo:base\nmodels: [{model: zoo:math}]\n")
    more = ["--out", tmp_path / "out"] if command in ("merge", "search") else []
    if command == "preflight":  # several recipes in one file are no YAML of ours either
        path.write_text(f"name: a\n{path.read_text()}---\n{path.read_text()}")
    assert dppa(command, path, *more) == 1
    assert "mergekit configuration. `dppa import FILE --out recipe.yaml`" in dppa.err


def test_a_model_in_place_of_a_recipe_and_a_bare_adapter_are_told_as_such(
    dppa: Command, tmp_path: Path
) -> None:
    assert dppa("merge", "zoo:math", "--out", tmp_path / "out") == 1
    assert "A recipe is a file; this names a model." in dppa.err
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text("{}")
    assert dppa("evaluate", tmp_path / "lora") == 1
    assert "an adapter, which is no model by itself" in dppa.err and "BASE+/" in dppa.err


def test_a_method_without_plans_says_so(dppa: Command, recipe_file: Path) -> None:
    models = (DomainModel("zoo:math", (0.9,)),)
    recipe_file.write_text(dump_recipe(MergeRecipe("zoo:base", models, "dare")))
    assert dppa("plan", "--recipe", recipe_file) == 1
    assert "dare ranks no elements" in dppa.err


def test_planning_and_merging_start_without_torch(recipe_file: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from dppa_core.merging.to_folder import merge_to_folder; "
        "from dppa_core.recipes.yaml_text import load_recipe; import dppa_core.cli.main; "
        "merge_to_folder(load_recipe(sys.argv[1]), sys.argv[2]); "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(recipe_file), str(tmp_path / "out")], check=True
    )


@pytest.mark.long
def test_two_processes_may_start_at_once(recipe_file: Path, tmp_path: Path) -> None:
    """On an empty cache, of profiles and of compiled kernels."""
    import os  # noqa: PLC0415 (here only)

    env = {**os.environ, "DPPA_CACHE": str(tmp_path / "c"), "NUMBA_CACHE_DIR": str(tmp_path / "n")}
    env["NUMBA_OPT"] = "0"  # what is compiled at the same time need not be fast
    command = [sys.executable, "-m", "dppa_core", "merge", str(recipe_file), "--json", "--out"]
    started = [
        subprocess.Popen(
            [*command, str(tmp_path / f"out{i}")], env=env, stdout=subprocess.PIPE, text=True
        )
        for i in range(2)
    ]
    hashes = set()
    for process in started:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        hashes.add(json.loads(out)["sha256"])
    assert len(hashes) == 1
