"""`dppa size`: forms of a delta by bytes."""

import math
from pathlib import Path

import pytest

from dppa_core.cli.commands import size
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_size import delta_size
from tests.helpers.command import Command
from tests.helpers.own_questions import write_apples
from tests.helpers.tiny_models import random_llama

MATH = ("--tasks", "math", "--factors")
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
    code = dppa("size", "zoo:math", "--forms", FORMS, *tasks, "--out", out, "--json")
    (model,), files = dppa.json["models"], dppa.json["files"]
    assert code == (0 if files else 1) == bool(dppa.err)
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


def test_where_no_form_is_enough_it_fails_and_says_what_can_be_done(
    dppa: Command, tmp_path: Path
) -> None:
    out = tmp_path / "small"
    assert dppa("size", "zoo:math", "--forms", "low_rank(rank=4)", "--out", out) == 1
    assert "smallest file that keeps 80% of the energy: whole, bfloat16" in dppa.out
    assert not out.exists()
    assert dppa.err.startswith(
        f"dppa: {out}: nothing written of zoo:math: the smallest file that keeps 80% of the energy "
        "is the whole model, 8.395 MB. --forms names larger forms, as 'bits(bits=8)'"
    )


def test_where_the_base_is_enough_the_questions_show_nothing(dppa: Command, tmp_path: Path) -> None:
    out, path = tmp_path / "small", tmp_path / "own.csv"
    path.write_text("question,answer\n" + "".join(f"Who is {n}?,no\n" for n in range(6)))
    options = ("--forms", "low_rank(rank=4)", "--items", path, "--factors", "1")
    assert dppa("size", "zoo:math", *options) == 0
    assert "\nwarning: the base alone is enough: what was asked does not show" in dppa.out
    assert dppa.out.count("\nwarning: ") == 2  # the other: few questions
    assert dppa("size", "zoo:math", *options, "--out", out) == 1
    assert f"dppa: {out}: nothing written of zoo:math" in dppa.err and not out.exists()
    assert "is the base alone, 0.000 MB. Ask by --tasks, --items or --text" in dppa.err


def test_of_several_models_those_that_have_a_small_form_are_written(
    dppa: Command, tmp_path: Path
) -> None:
    path, out = tmp_path / "r.yaml", tmp_path / "small"
    path.write_text(
        "dppa: 1\nbase: zoo:near-base\nmodels: [{model: zoo:near-math}, {model: zoo:math}]\n"
    )
    forms = "low_rank(rank=16)"
    assert dppa("size", path, "--forms", forms, "--out", out) == 1
    assert [file.name for file in out.glob("*.safetensors")] == ["near-math-rank-16.safetensors"]
    assert dppa.out.count("as a model: ") == 1
    assert dppa.err.count("\n") == 1 and "nothing written of zoo:math" in dppa.err


def test_an_accuracy_says_how_many_questions_it_rests_on(dppa: Command, tmp_path: Path) -> None:
    options = ("--forms", "low_rank(rank=4)", "--factors", "1", "--items", write_apples(tmp_path))
    assert dppa("size", "zoo:math", *options) == 0
    assert "smallest file that loses at most 2 points of accuracy on 3 questions: " in dppa.out
    few = "3 questions are too few to show a loss of 2 points: one answer is 33.3 points. "
    assert f"warning: {few}At least 50 are needed." in dppa.out
    assert "apples: 3 of 6 questions are asked; half of all are kept for choosing" in dppa.out
    assert dppa("size", "zoo:math", *options, "--json") == 0
    (model,) = dppa.json["models"]
    assert model["questions"] == 3 and f"{few}At least 50 are needed." in model["warnings"]


def test_another_base_is_warned_of_as_in_a_merge(dppa: Command, tmp_path: Path) -> None:
    base, other = (str(random_llama(n).save(tmp_path / str(n))) for n in (0, 1))
    assert dppa("size", base, other, "--forms", "bits(bits=8)") == 0
    assert f"warning: {other}: Its delta is 1.4 times as large as the base's weights" in dppa.out
    assert "this is another base, or a training from scratch" in dppa.out
    assert dppa("size", "zoo:math", "--forms", "bits(bits=8)", "--json") == 0
    assert dppa.json["models"][0]["warnings"] == []


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
        (("zoo:math", "--factors", "1"), "--factors are chosen by what --tasks,"),
        (
            ("zoo:math", "--limit", 3),
            "--limit counts the questions of --tasks or --items: give one",
        ),
        (("zoo:math", "--text", __file__, "--limit", 3), "--limit counts the questions of"),
        (("zoo:math", "--overwrite"), "--overwrite replaces the folder of --out: name one"),
        (("zoo:math", *MATH, "1,x"), "--factors must be numbers above 0, at most 100; got 'x'"),
        (("zoo:math", *MATH, "0"), "--factors must be numbers above 0, at most 100; got '0'"),
        (("zoo:math", *MATH, "1,nan"), "--factors must be numbers above 0, at most 100; got 'nan'"),
        (("zoo:math", *MATH, "101"), "--factors must be numbers above 0, at most 100; got '101'"),
        (("zoo:math", *MATH, ","), "--factors names no number"),
    ],
)
def test_wrong_options_are_named(dppa: Command, arguments: tuple[str, ...], message: str) -> None:
    assert dppa("size", *arguments) == 1
    assert message in dppa.err


def test_what_cannot_be_asked_is_refused_before_forms_are_measured(
    dppa: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(size, "form_sizes", lambda *_, **__: pytest.fail("measured"))
    assert dppa("size", "zoo:math", "--tasks", "mth") == 1 and "No domain 'mth'" in dppa.err
    (own := tmp_path / "own.csv").write_text("question,answer\nWho?,no\nWhat?,never\n")
    assert dppa("size", "zoo:math", "--items", own) == 1 and "for the test split" in dppa.err
    assert dppa("size", "zoo:math", "--text", tmp_path / "none.txt") == 1
    assert "none.txt" in dppa.err


def test_a_pack_says_what_it_does_not_hold(dppa: Command, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    model = "{model: zoo:math, store: {form: bits, bits: 1}, coefficient: 0.5}"
    path.write_text(f"dppa: 1\nbase: zoo:base\nmodels: [{model}]\nmethod: task_arithmetic\n")
    assert dppa("pack", path, "--out", tmp_path / "form", "--model", "math") == 0
    assert "the recipe's coefficient is no part of it" in dppa.out and "1 bit" in dppa.out
    path.write_text(path.read_text().replace("task_arithmetic", "magnitude"))
    assert dppa("pack", path, "--out", tmp_path / "other") == 0
    assert "method: task_arithmetic keeps the form, in fewer bytes" in dppa.out
