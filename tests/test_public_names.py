"""The public names of `dppa_core`: those of `__all__`, each where it is defined."""

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jaxtyping
import pytest

import dppa_core
from dppa_core.errors import DppaError, InvalidRecipe, InvalidValue

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", dppa_core.__all__)
def test_a_public_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    assert getattr(dppa_core, name).__doc__


def test_dir_lists_the_public_names_before_any_is_used() -> None:
    code = "import sys, dppa_core; sys.stdout.write(' '.join(dir(dppa_core)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert set(dppa_core.__all__) < set(names)
    assert {"preflight", "diff", "search", "evaluate"} < set(names)
    assert not [name for name in names if name.startswith("_") and not name.endswith("__")]


def test_any_other_name_is_missed_as_usual() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'mergers'"):
        _ = dppa_core.mergers


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, dppa_core; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"numpy", "torch", "dppa_core.errors"} & set(done.stdout.split())


def test_reaching_for_the_names_loads_nothing_heavy() -> None:
    code = (
        "import sys, dppa_core; [getattr(dppa_core, name) for name in dppa_core.__all__]; "
        "sys.stdout.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"torch", "transformers", "optuna", "pandas", "plotly"} & set(done.stdout.split())


def test_figures_without_plotly_name_what_to_install() -> None:
    code = "import sys; sys.modules['plotly'] = None; import dppa_core.figures"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: Figures need plotly, which is not installed: pip install plotly."
    )


def test_a_recipe_is_merged_and_scored_by_public_names(zoo_env: Path, tmp_path: Path) -> None:
    models = tuple(dppa_core.DomainModel(f"zoo:{name}", levels=(0.8,)) for name in ("math", "law"))
    recipe = dppa_core.MergeRecipe("zoo:base", models)
    (tmp_path / "recipe.yaml").write_text(dppa_core.dump_recipe(recipe), encoding="utf-8")
    assert dppa_core.load_recipe(tmp_path / "recipe.yaml") == recipe
    plan = dppa_core.plan(dppa_core.profile("zoo:base", "zoo:math"), levels=(0.8,))
    assert 0.19 < plan.density < 0.21
    dppa_core.merge(recipe, tmp_path / "merged")
    found = dppa_core.evaluate(str(tmp_path / "merged"), ["math"], limit=4)
    assert found.domains["math"].n == 4


@pytest.fixture
def unchecked_calls() -> Iterator[None]:
    """Values of other types reach the library, as they do outside of tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def recipe_file(zoo_env: Path, tmp_path: Path) -> Path:
    """A recipe of two models in two levels."""
    models = tuple(dppa_core.DomainModel(f"zoo:{name}", (0.9, 0.8)) for name in ("math", "law"))
    path = tmp_path / "recipe.yaml"
    path.write_text(dppa_core.dump_recipe(dppa_core.MergeRecipe("zoo:base", models)), "utf-8")
    return path


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_of_a_recipe_goes_wherever_a_recipe_goes(
    recipe_file: Path, tmp_path: Path, kind: Any
) -> None:
    path, recipe = kind(recipe_file), dppa_core.load_recipe(recipe_file)
    merged = dppa_core.merge(path, tmp_path / "merged")
    assert merged.sha256 == dppa_core.merge(recipe, tmp_path / "again").sha256
    packs = dppa_core.pack(path, tmp_path / "packs")
    assert [one.model for one in packs] == ["zoo:math", "zoo:law"]
    assert dppa_core.preflight(path).models == dppa_core.preflight(recipe).models
    scored = dppa_core.evaluate(path, "math", limit=2)
    assert scored == dppa_core.evaluate(recipe, ["math"], limit=2)
    assert scored.domains["math"].behaviour is None
    answered = dppa_core.evaluate(recipe, ["math"], limit=2, behaviour=True).domains["math"]
    assert answered.behaviour and answered.behaviour.length.value > 0 and answered.behaviour.kl


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_of_a_model_goes_wherever_a_model_goes(zoo_env: Path, kind: Any) -> None:
    base, math, law = (kind(zoo_env / name) for name in ("base", "math", "law"))
    profile = dppa_core.profile(base, math)
    assert profile.finetuned == str(math) and profile.base == str(base)
    assert dppa_core.diff(math, law, base).base == str(base)
    assert dppa_core.preflight(base, math, law).models == (str(math), str(law))
    assert dppa_core.evaluate(math, ["math"], limit=2).target == str(math)


@pytest.mark.usefixtures("unchecked_calls")
def test_a_recipe_of_paths_is_one_of_texts(zoo_env: Path) -> None:
    base, math = zoo_env / "base", zoo_env / "math"
    recipe = dppa_core.MergeRecipe(base, (dppa_core.DomainModel(math),))  # type: ignore[arg-type]
    assert recipe.base == str(base) and recipe.models[0].model == str(math)


def test_a_plan_takes_one_rate(zoo_env: Path) -> None:
    profile = dppa_core.profile("zoo:base", "zoo:math")
    assert dppa_core.plan(profile, 0.8) == dppa_core.plan(profile, [0.8])


NO_FILES = (
    ([{"question": "Red?", "answer": "apple"}], r"paths of files.*NAME=FILE.*'apple'"),
    ({"fruit": [{"question": "Red?", "answer": "apple"}]}, "paths of files.*'fruit'"),
    (7, "paths of files.*got 7"),
)


def _asked(items: Any, _at: Path) -> object:
    return dppa_core.evaluate("zoo:math", items=items)


@pytest.mark.usefixtures("unchecked_calls")
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda at: dppa_core.merge(7, at / "out"), InvalidRecipe, "got 7"),
        (
            lambda at: dppa_core.merge({"base": "zoo:base"}, at / "out"),
            InvalidRecipe,
            "path of its",
        ),
        (lambda at: dppa_core.merge("dppa: 1\nbase: b", at / "out"), InvalidRecipe, "parse_recipe"),
        (lambda at: dppa_core.merge("zoo:math", at / "out"), InvalidRecipe, "names a model"),
        (lambda at: dppa_core.parse_recipe(at / "r.yaml"), InvalidRecipe, "load_recipe"),
        (lambda at: dppa_core.profile("zoo:base", None), InvalidValue, "got None"),
        (lambda at: dppa_core.diff("zoo:base", 3), InvalidValue, "got 3"),
        (lambda at: dppa_core.preflight("zoo:base"), InvalidValue, "at least one domain model"),
        (lambda at: dppa_core.plan("zoo:math", 0.8), InvalidValue, r"profile\(base, model\)"),
        (lambda at: dppa_core.plan(_profile(), 80), InvalidValue, "a percentage"),
        (lambda at: dppa_core.plan(_profile(), "0.8"), InvalidValue, "got '0.8'"),
        (lambda at: dppa_core.plan(_profile(), None), InvalidValue, "got None"),
        (lambda at: dppa_core.evaluate("zoo:math", []), InvalidValue, "names no domain"),
        (lambda at: dppa_core.evaluate("zoo:math", scorer="exact"), InvalidValue, "items"),
        *((partial(_asked, items), InvalidValue, says) for items, says in NO_FILES),
    ],
)
def test_another_kind_of_value_is_refused_with_what_is_allowed(
    call: Any, error: type[DppaError], says: str, zoo_env: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        call(tmp_path)


def _profile() -> Any:
    return dppa_core.profile("zoo:base", "zoo:math")


def test_ones_own_questions_are_scored_under_their_name(zoo_env: Path, tmp_path: Path) -> None:
    path = tmp_path / "sums.jsonl"
    rows = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(6)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    alone = dppa_core.evaluate("zoo:math", items=path, split="test")
    assert list(alone.domains) == ["sums"] and 0 < alone.domains["sums"].n < 6
    found = dppa_core.evaluate("zoo:math", "math", items=[f"own={path}"], limit=2)
    assert {str(name): one.n for name, one in found.domains.items()} == {"math": 2, "own": 2}


@pytest.mark.long
@pytest.mark.usefixtures("one_torch_thread")
def test_each_search_of_the_command_line_is_a_call(tmp_path: Path) -> None:
    recipe_file, lines = tmp_path / "recipe.yaml", list[str]()
    models = "[{model: zoo:math, levels: [0.9, 0.8]}, {model: zoo:law, levels: [0.9, 0.8]}]"
    recipe_file.write_text(f"dppa: 1\nbase: zoo:base\nmodels: {models}\n", "utf-8")
    varied = dppa_core.search(
        str(recipe_file), vary="rate=0.5:0.9", trials=2, limit=2, sampler="random", say=lines.append
    )
    assert len(varied.trials) == len(lines) == 2 and varied.recipe.base == "zoo:base"
    assert re.fullmatch(
        r"StudyState\(2 settings tried; best: rate .*; retention .*\)", repr(varied)
    )
    named = dppa_core.search(recipe_file, grid={"rate": [0.5, 0.8], "factor": [1, 1.2]}, limit=2)
    assert len(named.trials) == 4
    joint = dppa_core.search(recipe_file, joint=True, trials=2, limit=2, tasks=["math", "law"])
    assert len(joint.trials) == 2
    assert re.fullmatch(r"JointResult\(2 settings tried; best: .*, retention .*%\)", repr(joint))
    climbed = dppa_core.search(recipe_file, limit=2, state=tmp_path / "state.json")
    assert re.fullmatch(
        r"ClimbResult\(\d+ settings tried; .*zoo:math .*zoo:law .*\)", repr(climbed)
    )
    assert len(climbed.searches) == 2 and (tmp_path / "state.json").exists()


@pytest.mark.usefixtures("unchecked_calls")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"per_model": True}, r"^per_model goes with joint:"),
        ({"joint": True, "vary": "rate"}, r"^Give either joint or vary and grid:"),
        ({"trials": 3}, r"^trials has no meaning"),
        ({"grid": "rate"}, r"two settings, got 1: grid rate"),
        ({"vary": "rats=0:1"}, "rats"),
        ({"vary": "rate", "study": "sqlite:///x"}, "^study takes a file, not the address"),
        ({"joint": True, "trials": -1}, "got -1"),
        ({"vary": "rate", "trials": -1}, "got -1"),
        ({"vary": "rate", "sampler": "best"}, "tpe"),
        ({"limit": -1}, "^limit must be a whole number of at least 1, or None, got -1"),
        ({"limit": 0}, "^limit must be a whole number of at least 1, or None, got 0"),
        ({"vary": "rate", "limit": 2.5}, "^limit must be a whole number .* got 2.5"),
        ({"vary": "rate", "seed": -1}, "^seed must be a whole number from 0 to 4294967295, got -1"),
        ({"joint": True, "seed": 1 << 32}, "^seed must be .* got 4294967296"),
        ({"study": "study.db"}, "^study goes with vary or grid"),
        ({"joint": True, "study": "study.db"}, "^study goes with vary or grid"),
        ({"tasks": "maths", "limit": 2}, "maths"),
    ],
    ids=str,
)
def test_a_search_that_cannot_be_names_options_as_python_does(
    recipe_file: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(DppaError, match=says):
        dppa_core.search(recipe_file, **options)


def test_a_folder_that_is_there_names_the_argument_that_replaces_it(
    recipe_file: Path, tmp_path: Path
) -> None:
    for write in (dppa_core.merge, dppa_core.pack):
        out = tmp_path / write.__name__
        write(recipe_file, out)
        with pytest.raises(InvalidValue, match=r"allow overwriting \(overwrite=True\)\.$"):
            write(recipe_file, out)
        write(recipe_file, out, overwrite=True)
        assert pickle.loads(pickle.dumps(write)) is write


def test_a_command_in_an_error_is_left_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "mergekit.yaml").write_text("merge_method: linear\nmodels: []\n", "utf-8")
    with pytest.raises(InvalidRecipe, match="`dppa import FILE --out recipe.yaml`"):
        dppa_core.evaluate(tmp_path / "mergekit.yaml")
