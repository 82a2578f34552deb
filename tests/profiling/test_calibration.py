"""Calibration text and statistics on disk: read, refused, or rebuilt."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.errors import DamagedCheckpoint, InvalidRecipe, InvalidValue, NotAllowed, UnknownName
from dppa_core.profiling.calibration.store import Draft, open_stored
from dppa_core.profiling.calibration.texts import Sample, read_source, samples
from dppa_core.recipes.calibration import (
    Calibration,
    calibration_from,
    calibration_from_words,
    calibration_of,
)
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    Pruning,
    dump_recipe,
    parse_recipe,
    recipe_hash,
    short_hash,
)
from dppa_core.tasks import items


class Words:
    """A tokenizer of words, by their length; without a chat template, and with a first token."""

    chat_template = None
    eos_token_id = 2

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        ids = [10 + len(word) for word in text.split()]
        return {"input_ids": [1, *ids] if add_special_tokens else ids}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "needs either tasks or text"),
        ({"tasks": ["math"], "text": "a.txt"}, "needs either tasks or text"),
        ({"tasks": "math"}, "must be a list such as"),
        ({"tasks": [1]}, "must be a list such as"),
        ({"tasks": ["math", "math"]}, "a task twice"),
        ({"tasks": ["math"], "tokens": 1}, "tokens must be a number from 2 to"),
        ({"tasks": ["math"], "tokens": 10.5}, "tokens must be a whole number"),
        ({"text": 3}, "text must be the path of a file, got 3"),
    ],
)
def test_what_is_no_calibration_is_refused(value: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        calibration_from(value, "calibration")


def test_an_unknown_task_has_a_neighbour() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'math'"):
        Calibration(("maht",))
    with pytest.raises(InvalidRecipe, match="unknown key 'token'"):
        calibration_from({"tasks": ["math"], "token": 3}, "calibration")
    with pytest.raises(InvalidRecipe, match=r"must be a mapping as .*got 'math'"):
        calibration_from("math", "calibration")


def test_words_of_a_command_line() -> None:
    assert calibration_from_words("math,law", 100) == Calibration(("math", "law"), tokens=100)
    assert calibration_from_words("notes.txt") == Calibration(text="notes.txt")


def test_an_embedded_domain_model_has_a_text_of_its_own() -> None:
    domain_text, recipe_text = Calibration(("law",)), Calibration(text="a.txt")
    assert calibration_of("zoo:law", None, None) == domain_text
    assert calibration_of("zoo:law", None, recipe_text) == recipe_text
    assert calibration_of("zoo:law", domain_text, recipe_text) == domain_text
    for model in ("zoo:base", "zoo:base+adapter", "models/mine"):
        with pytest.raises(InvalidValue, match="needs calibration text"):
            calibration_of(model, None, None)


def recipe(**changes: object) -> MergeRecipe:
    fields: dict[str, object] = {
        "models": (DomainModel("zoo:math", (0.8,)), DomainModel("zoo:law", (0.8,))),
        "parameters": {"significance": "fisher"},
    }
    return MergeRecipe("zoo:base", **(fields | changes))  # type: ignore[arg-type]


def test_a_recipe_keeps_its_calibration() -> None:
    merge = recipe(calibration=Calibration(("math", "law"), tokens=300))
    model = replace(merge.models[0], calibration=Calibration(text="my notes.txt"))
    merge = replace(merge, models=(model, merge.models[1]))
    text = dump_recipe(merge)
    assert "calibration: {tasks: [math, law], tokens: 300}" in text
    assert parse_recipe(text) == merge
    assert merge.calibration_of(merge.models[0]).text == "my notes.txt"
    assert merge.calibration_of(merge.models[1]).tasks == ("math", "law")
    assert recipe_hash(merge) != recipe_hash(recipe())


def test_recipes_without_calibration_are_what_they_were() -> None:
    plain = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0)),))
    assert "calibration" not in dump_recipe(plain) and not plain.calibrated
    assert short_hash(plain) == "dd79757a5ad8"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {}}, "calibration: dppa reads no text as it is set"),
        ({"parameters": {"significance": "random"}}, "reads no text as it is set"),
        ({"method": "ties", "parameters": {}, "prune": Pruning("dare")}, "reads no text"),
    ],
)
def test_a_text_that_nobody_reads_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRecipe, match=message):
        recipe(calibration=Calibration(("math",)), **changes)


def test_a_model_without_a_text_is_named() -> None:
    models = (DomainModel("models/mine", (0.8,)),)
    with pytest.raises(InvalidRecipe, match="'models/mine' needs calibration text"):
        recipe(models=models)
    staged = {"method": "ties", "parameters": {}, "prune": Pruning("dppa")}
    assert not recipe(models=models, **staged).calibrated
    pruning = Pruning("dppa", {"significance": "activation"})
    assert recipe(**(staged | {"prune": pruning})).significance == "activation"


def test_strangers_name_no_files() -> None:
    Calibration(("math",)).check_public()
    with pytest.raises(NotAllowed, match="files of this computer are not read on a public page"):
        Calibration(text="/etc/passwd").check_public()


def test_questions_come_from_the_train_split_in_turn() -> None:
    source = read_source(Calibration(("math", "law"), tokens=400))
    assert len(source.turns) == 50 and len(set(source.turns)) == 50
    train = {item.prompt for item in items("math", "train", 60)}
    assert {question for question, _ in source.turns[::2]} <= train
    again = read_source(Calibration(("math", "law"), tokens=400))
    assert again.digest == source.digest
    for tasks, tokens in ((("law", "math"), 400), (("math", "law"), 401)):
        assert read_source(Calibration(tasks, tokens=tokens)).digest != source.digest


def test_a_file_is_read_as_far_as_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("grün " * 1000, encoding="utf-8")
    few = read_source(Calibration(text=str(path), tokens=2))
    assert few.turns == (("", few.turns[0][1]),) and few.turns[0][1].startswith("grün grün")
    assert len(few.turns[0][1].encode()) in (127, 128)  # a letter of two bytes may be cut
    path.write_text("grün " * 999, encoding="utf-8")
    assert read_source(Calibration(text=str(path), tokens=2)).digest == few.digest
    path.write_text("blau " * 1000, encoding="utf-8")
    assert read_source(Calibration(text=str(path), tokens=2)).digest != few.digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"  \n", "holds no text"),
        (b"some\0thing", "no plain text in UTF-8"),
        (b"\xff\xfe\x00abc", "no plain text in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_text_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "notes.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidValue, match=rf"notes.txt.*{message}"):
        read_source(Calibration(text=str(path)))


def test_a_text_is_cut_into_windows(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a bb ccc dddd eeeee ffffff")
    source = read_source(Calibration(text=str(path), tokens=6))
    assert samples(source, Words(), 3, 99) == (
        Sample((1, 11, 12), 1),
        Sample((13, 14, 15), 1),
    )
    assert samples(source, Words(), 4, 99) == (Sample((1, 11, 12, 13), 1), Sample((14, 15), 1))


def test_of_a_question_the_answer_is_learned() -> None:
    source = read_source(Calibration(("math",), tokens=60))
    first, *_ = samples(source, Words(), 512, 999)
    question, answer = source.turns[0]
    assert first.learned == 1 + len(question.split())
    assert len(first.ids) == first.learned + len(answer.split()) + 1 and first.ids[-1] == 2
    assert sum(len(s.ids) for s in samples(source, Words(), 512, 999)) <= 60


def test_a_text_without_a_prediction_and_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    source = read_source(Calibration(("math",), tokens=3))
    with pytest.raises(InvalidValue, match="3 tokens of this text hold nothing to predict"):
        samples(source, Words(), 512, 999)
    with pytest.raises(DamagedCheckpoint, match="the model 5 tokens"):
        samples(source, Words(), 512, 5)


def test_statistics_come_back_as_they_were(tmp_path: Path) -> None:
    path, shapes = tmp_path / "kept" / "a.bin", {"a": (2, 3), "b": (70,)}
    with closing(Draft(path, shapes)) as draft:
        draft.arrays["a"][:] = [[1, 2, 3], [4, 5, 6]]
        draft.arrays["b"][7] = 0.5
        draft.finish({"norm": 1.5})
    stored = open_stored(path)
    assert stored is not None and stored.about == {"norm": 1.5}
    assert stored.arrays["a"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert stored.arrays["b"].sum() == 0.5 and not stored.arrays["b"].flags.writeable
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "extended"])
def test_damaged_statistics_count_as_absent(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.bin"
    with closing(Draft(path, {"a": (100,)})) as draft:
        draft.arrays["a"][:] = 1
        draft.finish({})
    data = bytearray(path.read_bytes())
    data[200] ^= 1 if damage == "flipped" else 0
    whole = {"cut": data[:-9], "empty": b"", "extended": data + b"x"}.get(damage, data)
    path.write_bytes(bytes(whole))
    assert open_stored(path) is None


def test_what_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), closing(Draft(tmp_path / "a.bin", {"a": (3,)})) as draft:
        draft.arrays["a"][:] = 1
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with closing(Draft(tmp_path / "file" / "a.bin", {"a": (3,)})) as draft:
        draft.arrays["a"][:] = 7
        stored = draft.finish({"x": 1})
    assert stored.arrays["a"].tolist() == [7, 7, 7]


def test_the_folder_of_statistics_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dppa_core.profiling.calibration.store.MAX_STATISTICS_BYTES", 1000)
    for name in ("a", "b", "c"):
        with closing(Draft(tmp_path / name, {"x": (100,)})) as draft:
            draft.finish({})
    assert {path.name for path in tmp_path.iterdir()} == {"c"}
