"""`--items`: questions of one's own in every command that takes `--tasks`."""

from pathlib import Path

import pytest

from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from dppa_core.tasks.item_files import own_domain
from dppa_core.tuning.search.scoring import item_counts
from tests.helpers.command import Command
from tests.helpers.own_questions import APPLES, write_apples, write_clauses

pytestmark = pytest.mark.usefixtures("one_torch_thread")

MODELS = (
    DomainModel("zoo:math", (0.9, 0.8), (1.0, 1.0)),
    DomainModel("zoo:law", (0.9, 0.8), (1.0, 1.0)),
)


@pytest.fixture
def embedded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `dppa …` on the embedded models, which know some answers."""
    return Command(capsys, monkeypatch)


def written(folder: Path, models: tuple[DomainModel, ...] = MODELS) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(dump_recipe(MergeRecipe("zoo:base", models)))
    return path


def test_a_model_answers_questions_of_a_file(embedded: Command, tmp_path: Path) -> None:
    path = write_apples(tmp_path)
    assert embedded("evaluate", "zoo:math", "--items", path, "--json") == 0
    (name, score), *others = embedded.json["domains"].items()
    assert name == "apples" and not others and score["n"] == 3 and score["accuracy"] > 0
    assert score["tasks"] == {"number": {"accuracy": score["accuracy"], "n": 3}}
    # Another order is the same exam; another answer is another one, although its name is the same.
    first, *lines = APPLES.splitlines()
    path.write_text("\n".join([first, *reversed(lines)]))
    assert embedded("evaluate", "zoo:math", "--items", path, "--json") == 0
    assert embedded.json["domains"]["apples"] == score
    wrong = [f'{line.partition(", ")[0]}, "answer": 990}}' for line in lines]
    path.write_text("\n".join([first, *wrong]))
    assert embedded("evaluate", "zoo:math", "--items", path, "--json") == 0
    assert embedded.json["domains"]["apples"]["accuracy"] == 0


def test_own_questions_stand_beside_embedded_ones(dppa: Command, tmp_path: Path) -> None:
    recipe, apples, clauses = written(tmp_path), write_apples(tmp_path), write_clauses(tmp_path)
    options = ["--items", apples, "--items", f"terms={clauses}", "--limit", 1, "--split", "search"]
    assert dppa("evaluate", recipe, "--tasks", "math", *options, "--json") == 0
    value = dppa.json
    assert value["items"] == {"math": 1, "apples": 1, "terms": 1}
    assert dppa("evaluate", recipe, *options, "--json") == 0
    assert list(dppa.json["items"]) == ["apples", "terms"]
    assert dppa("evaluate", recipe, *options) == 0
    assert "apples: 3 of 6 questions are of the search split; --split test asks" in dppa.out


def test_all_questions_of_a_file_are_asked_on_request(dppa: Command, tmp_path: Path) -> None:
    recipe, options = written(tmp_path), ["--items", write_apples(tmp_path), "--split", "all"]
    assert dppa("evaluate", recipe, *options) == 0
    assert "apples: all 6 questions, those for searches too" in dppa.out
    assert dppa("evaluate", recipe, *options, "--json") == 0
    assert dppa.json["items"] == {"apples": 6} and dppa.json["split"] == "all"
    assert dppa("evaluate", recipe, *options, "--tasks", "law") == 1
    assert "split must be one of train, search, test, got 'all'" in dppa.err


def test_a_file_of_questions_in_the_place_of_the_recipe_is_told(
    dppa: Command, tmp_path: Path
) -> None:
    apples = write_apples(tmp_path)
    assert dppa("evaluate", apples, "--items", written(tmp_path)) == 1
    assert "a file of questions, not a recipe" in dppa.err and "--items" in dppa.err


@pytest.mark.parametrize("command", ["evaluate", "search"])
def test_a_pattern_that_would_take_the_memory_is_refused(
    command: str, dppa: Command, tmp_path: Path
) -> None:
    option = ["--out", tmp_path / "out.yaml"] if command == "search" else []
    lines = APPLES.splitlines()[1:]
    bomb = '{"scorer": "regex", "pattern": "(?:[ab]{1000}){3000}"}'
    (path := tmp_path / "apples.jsonl").write_text("\n".join([bomb, *lines]))
    assert dppa(command, written(tmp_path), "--items", path, *option) == 1
    assert "apples.jsonl: line 1" in dppa.err and "9003001 parts; at most 10,000" in dppa.err


def test_a_search_tells_how_many_questions_it_asked(dppa: Command, tmp_path: Path) -> None:

    domain = own_domain(str(write_apples(tmp_path)), None)
    assert item_counts([domain], 64) == (3, 3) and item_counts([domain, "law"], 64) == (3, 64)
    recipe, out = written(tmp_path), tmp_path / "out.yaml"
    for option in (("--trials", 2), ("--sampler", "random"), ("--objective", "worst")):
        assert dppa("search", recipe, "--out", out, *option) == 1
        assert f"{option[0]} has no meaning for the paper's climb" in dppa.err


def test_retention_is_by_the_model_in_the_place_of_the_file(
    embedded: Command, tmp_path: Path
) -> None:
    recipe, apples = written(tmp_path), write_apples(tmp_path)
    options = ["--items", apples, "--items", write_clauses(tmp_path), "--split", "search"]
    assert embedded("evaluate", recipe, *options, "--json") == 0
    cells = {row["key"]: row["domains"]["apples"] for row in embedded.json["rows"]}
    own_accuracy = cells["zoo:math"]["accuracy"]
    assert cells["recipe"]["retention"]["value"] == cells["recipe"]["accuracy"] / own_accuracy
    assert cells["zoo:law"]["forgetting"] and not cells["zoo:math"]["forgetting"]
    # One file for two models: the better of them is what is kept.
    assert embedded("evaluate", recipe, *options[:2], "--split", "search", "--json") == 0
    cells = {row["key"]: row["domains"]["apples"] for row in embedded.json["rows"]}
    best = max(cells["zoo:math"]["accuracy"], cells["zoo:law"]["accuracy"])
    assert cells["recipe"]["retention"]["value"] == cells["recipe"]["accuracy"] / best
    assert not cells["zoo:law"]["forgetting"]


@pytest.mark.cases(1)
@pytest.mark.parametrize(
    "way",
    [
        (),
        ("--joint", "--trials", 2),
        ("--vary", "rate=0.7,0.8", "--trials", 2),
        ("--grid", "rate=0.7,0.8", "--grid", "coefficient=1,1.1"),
    ],
    ids=["climb", "joint", "optuna", "grid"],
)
def test_every_search_goes_by_own_questions(
    embedded: Command, tmp_path: Path, way: tuple[object, ...]
) -> None:
    recipe, apples, out = written(tmp_path, MODELS[:1]), write_apples(tmp_path), tmp_path / "o.yaml"
    how = ["search", recipe, "--out", out, "--items", apples, *way, "--json"]
    assert embedded(*how) == 0, embedded.err
    (verdict,) = embedded.json["test"]
    assert verdict["domain"] == "apples" and verdict["merged"]["n"] == 3


def test_a_state_of_a_search_on_other_contents_is_refused(
    embedded: Command, tmp_path: Path
) -> None:
    recipe, apples = written(tmp_path, MODELS[:1]), write_apples(tmp_path)
    study = ["--vary", "rate=0.7,0.8", "--trials", 1, "--test-limit", 0, "--items", apples]
    assert embedded("search", recipe, "--out", tmp_path / "o.yaml", *study) == 0, embedded.err
    apples.write_text(APPLES.replace('"answer": 7}', '"answer": 8}'))
    assert embedded("search", recipe, "--out", tmp_path / "o.yaml", *study, "--overwrite") == 1
    assert "that of another search" in embedded.err and "apples" in embedded.err


def test_tasks_name_files_in_the_order_of_the_models(embedded: Command, tmp_path: Path) -> None:
    recipe, clauses = written(tmp_path), write_clauses(tmp_path)
    options = ["--tasks", "math,clauses", "--items", clauses, "--limit", 2, "--no-neighbours"]
    assert embedded("advise", recipe, *options, "--json") == 0, embedded.err
    assert [fact["probe"]["domain"] for fact in embedded.json["facts"]] == ["math", "clauses"]


def test_adamerging_scores_held_out_own_items(dppa: Command, tmp_path: Path) -> None:
    recipe, out = written(tmp_path, MODELS[:1]), tmp_path / "o.yaml"
    quick = ("--steps", 1, "--batch", 1, "--held-out", 1, "--longest", 3, "--items")
    assert dppa("adamerge", recipe, "--out", out, *quick, write_apples(tmp_path), "--json") == 0
    (figures,) = dppa.json["snapshots"][0]["domains"].values()
    assert figures["n"] == 1 and figures["accuracy"] is not None
    few = ("--batch", 16, "--items", tmp_path / "apples.jsonl", "--overwrite")
    assert dppa("adamerge", recipe, "--out", out, *few) == 1
    assert "apples: 3 search items, of which 1 would be held out and 2 give prompts" in dppa.err


def test_a_soup_is_found_by_own_questions(dppa: Command, tmp_path: Path) -> None:
    options = ["--out", tmp_path / "o.yaml", "--items", write_apples(tmp_path), "--json"]
    assert dppa("soup", written(tmp_path), *options) == 0, dppa.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scorer", "number"], "--scorer says how --items are scored"),
        (["--items", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--items", "APPLES", "--items", "APPLES"], "two files have the name apples"),
        (["--items", "APPLES", "--split", "train"], "the splits search, test and all"),
        (["--items", "math=APPLES"], "math is the name of embedded questions"),
    ],
)
def test_what_does_not_fit_is_told_before_a_model_is_read(
    dppa: Command, tmp_path: Path, options: list[str], message: str
) -> None:
    path = str(write_apples(tmp_path))
    options = [option.replace("APPLES", path) for option in options]
    assert dppa("evaluate", "zoo:math", *options) == 1
    assert message in dppa.err and dppa.err.count("\n") == 1


@pytest.mark.cases(1)
@pytest.mark.parametrize("way", [("--joint",), ("--vary", "coefficient=0.9,1")])
def test_one_file_serves_all_models_and_the_best_of_them_is_what_is_kept(
    embedded: Command, tmp_path: Path, way: tuple[object, ...]
) -> None:
    recipe, apples = written(tmp_path), write_apples(tmp_path)
    command = ["search", recipe, "--out", tmp_path / "o.yaml", "--items", apples, "--trials", 1]
    assert embedded(*command, *way, "--json") == 0, embedded.err
    value = embedded.json
    math, law = value["test"]
    assert (math["model"], law["model"]) == ("zoo:math", "zoo:law")
    assert math["own"]["accuracy"] > law["own"]["accuracy"]
    kept = math["merged"]["accuracy"] / math["own"]["accuracy"]
    assert value["retention"]["value"] == pytest.approx(kept)
