"""`dppa size`: forms of a delta by bytes."""

import math
from pathlib import Path

import pytest

from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_size import delta_size
from tests.helpers.command import Command

FORMS = "low_rank(rank=4);bits(bits=1);sparse(rate=0.9)"


@pytest.fixture
def dppa(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capsys, monkeypatch)


def test_forms_stand_by_bytes_and_stars_mark_what_no_smaller_one_beats(dppa: Command) -> None:
    assert dppa("size", "zoo:math", "--forms", FORMS) == 0
    *lines, enough = dppa.out.splitlines()
    assert enough.startswith("smallest file that keeps 80% of the energy: ")
    size = delta_size(cached_profile("zoo:base", "zoo:math")).relative
    text = f"its changes are {size:.2%} as long as the weights (‖d‖/‖W‖)"
    assert lines[0] == f"zoo:math against zoo:base: {text}"
    rows = [line.split("  ") for line in lines[2:-1]]
    titles = [next(cell.strip() for cell in row if cell.strip(" *")) for row in rows]
    assert titles == ["rank 4", "1 bit", "90 % pruned", "whole, bfloat16"]
    assert [line.startswith("*") for line in lines[2:-1]] == [True, True, False, True]


def test_the_smallest_file_that_answers_as_well_is_written(dppa: Command, tmp_path: Path) -> None:
    out = tmp_path / "small"
    tasks = ("--tasks", "math", "--limit", 2, "--factors", "1")
    assert dppa("size", "zoo:math", "--forms", FORMS, *tasks, "--out", out, "--json") == 0
    (model,), files = dppa.json["models"], dppa.json["files"]
    rows = model["forms"]
    good = [row for row in rows if row["accuracy"] >= rows[-1]["accuracy"] - 0.02]
    enough = rows[model["enough"]]
    assert enough["nbytes"] == min(row["nbytes"] for row in good)
    assert bool(files) == out.exists() == (enough["store"] not in ("", "base"))


def test_a_form_that_keeps_enough_energy_is_a_model_by_its_file(
    dppa: Command, tmp_path: Path
) -> None:
    out, forms = tmp_path / "small", "bits(bits=1);bits(bits=8)"
    assert dppa("size", "zoo:math", "--forms", forms, "--out", out) == 0
    _, enough, _, file = dppa.out.rsplit("\n", 4)[:4]
    assert "8 bits" in enough and "(bits(bits=8))" in enough
    (path,) = out.glob("*.safetensors")
    assert file == f"as a model: zoo:base+{path}"
    assert dppa("size", "zoo:math", "--forms", forms, "--out", out) == 1
    assert "already exists" in dppa.err
    assert dppa("size", "zoo:math", "--forms", forms, "--out", out, "--overwrite") == 0
    (out / "notes.txt").write_text("mine")
    assert dppa("size", "zoo:math", "--forms", forms, "--out", out, "--overwrite") == 1
    assert "holds notes.txt" in dppa.err and (out / "notes.txt").is_file()


def test_where_no_form_is_enough_nothing_is_written_and_it_is_said(
    dppa: Command, tmp_path: Path
) -> None:
    out = tmp_path / "small"
    assert dppa("size", "zoo:math", "--forms", "low_rank(rank=4)", "--out", out) == 0
    assert f"{out}: not written, since no form is enough" in dppa.out and not out.exists()


def test_of_draws_whose_energy_is_unknown_no_star_is_told(dppa: Command) -> None:
    forms = f"{FORMS};drawn(rate=0.99)"
    assert dppa("size", "zoo:math", "--forms", forms, "--json") == 0
    best = {row["title"]: row["best"] for row in dppa.json["models"][0]["forms"]}
    assert not best.pop("99 % pruned at random") and list(best.values()) == [
        True,
        True,
        False,
        True,
    ]


def test_a_recipes_models_come_one_by_one_as_json(dppa: Command, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math}, {model: zoo:law}]\n")
    assert dppa("size", path, "--forms", "bits(bits=1)", "--json") == 0
    models = [
        (row["model"], [form["title"] for form in row["forms"]]) for row in dppa.json["models"]
    ]
    assert models == [(name, ["1 bit", "whole, bfloat16"]) for name in ("zoo:math", "zoo:law")]


def test_a_model_that_a_recipe_keeps_in_a_form_is_measured_whole(
    dppa: Command, tmp_path: Path
) -> None:
    path = tmp_path / "r.yaml"
    store = "store: {form: bits, bits: 1}"
    models = f"[{{model: zoo:math, {store}}}]"
    path.write_text(f"dppa: 1\nbase: zoo:base\nmethod: task_arithmetic\nmodels: {models}\n")
    assert dppa("size", path, "--forms", "bits(bits=8)", "--out", tmp_path / "small") == 0
    assert dppa.out.startswith("zoo:math against zoo:base")


def test_a_text_is_the_loss_without_questions_and_its_first_half_chooses_factors(
    dppa: Command, tmp_path: Path
) -> None:
    path, half = tmp_path / "a.txt", "One bag has nine red apples" + ", and nine red apples" * 7
    path.write_text(half * 2)
    common = "size", "zoo:math", "--forms", "bits(bits=1)", "--json"
    assert dppa(*common, "--text", path, "--factors", "1,2") == 0
    tuned = dppa.json["models"][0]["forms"]
    path.write_text(half)
    assert dppa(*common, "--text", path, "--factors", "1") == 0
    rows = dppa.json["models"][0]["forms"]
    assert all(row["perplexity"] == pytest.approx(math.exp(row["loss"])) for row in rows + tuned)
    assert all(new["loss"] <= row["loss"] for new, row in zip(tuned, rows, strict=True))
    assert "accuracy" not in rows[0]
    assert rows[0]["title"] == "the base alone" and rows[0]["nbytes"] == 0
    assert rows[0]["loss"] > rows[-1]["loss"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("zoo:math", "--forms", ";"), "names no form"),
        (
            ("zoo:math", "--forms", "bit(bits=1)"),
            "--forms: 'bit(bits=1)': No form of a delta 'bit'",
        ),
        (("zoo:math", "--forms", "lowrank"), "Forms: sparse(rate=0.9), drawn(rate=0.9), low_rank("),
        (("zoo:math", "--forms", "bits(bits=1),bits(bits=2)"), "A ; separates several"),
        (("zoo:base", "zoo:base"), "zoo:base equals its base zoo:base"),
        (("zoo:math", "--factors", "1,x"), "--factors must be numbers"),
    ],
)
def test_wrong_options_are_named(dppa: Command, arguments: tuple[str, ...], message: str) -> None:
    assert dppa("size", *arguments) == 1
    assert message in dppa.err


def test_a_pack_says_what_it_does_not_hold(dppa: Command, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    model = "{model: zoo:math, store: {form: bits, bits: 1}, coefficient: 0.5}"
    path.write_text(f"dppa: 1\nbase: zoo:base\nmodels: [{model}]\nmethod: task_arithmetic\n")
    assert dppa("pack", path, "--out", tmp_path / "form", "--model", "math") == 0
    assert "the recipe's coefficient is no part of it" in dppa.out and "1 bit" in dppa.out
    path.write_text(path.read_text().replace("task_arithmetic", "magnitude"))
    assert dppa("pack", path, "--out", tmp_path / "other") == 0
    assert "method: task_arithmetic keeps the form, in fewer bytes" in dppa.out
