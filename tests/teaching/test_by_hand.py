"""One small matrix through all steps: numbers by hand, and the merge that writes folders."""

import json
from pathlib import Path

import numpy as np
import pytest

from dppa_core.errors import InvalidValue
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.teaching.by_hand.tiny_merge import (
    BASE,
    FIRST,
    MODELS,
    SECOND,
    STARTS,
    YOURS,
    Mini,
    edited,
    start,
)
from dppa_core.teaching.by_hand.trace import SIDE_BY_SIDE, HandSettings, Trace, trace
from dppa_core.teaching.by_hand.walk import explain
from tests.helpers.tiny_models import write_file
from tests.reference import slow

# Row by row. Chosen so that every step can be followed by hand.
DELTA = [
    3, -12, -3, -4, 17, -2, 0, 2, 6, 3, 5, 4, -5, -4, 8, 8, -14, 4,
    -3, 29, 3, 2, 1, -9, 11, 7, 11, 4, -31, 7, 4, -4, -2, 3, -41, 2,
]  # fmt: skip


@pytest.fixture(scope="module")
def way() -> Trace:
    return trace(start("heavy"), HandSettings())


def step(request: dict[str, object], key: str) -> dict[str, object]:
    return next(entry for entry in explain(request)["steps"] if entry["key"] == key)


def test_the_steps_by_hand(way: Trace) -> None:
    traced = way.models[FIRST]
    assert traced.delta.ravel().tolist() == DELTA
    assert sum(map(abs, DELTA)) == 278  # so the mean is 7.72, five times that 38.6: one outlier
    assert [(module.above, module.numel) for module in traced.modules] == [
        (1, 36),
        (1, 36),
        (0, 36),
        (1, 36),
    ]
    assert [(layer.above, layer.numel) for layer in traced.layers] == [(4, 72), (3, 72)]
    # S is 4/72 and 3/72: as far above their mean as below. u = (1/36) / (3/144) = 4/3.
    assert traced.significance.by_layer.tolist() == pytest.approx([0.08, 0.08, -0.08, -0.08])
    assert traced.centred.tolist() == pytest.approx([1 / 3, 1 / 3, -1, 1 / 3])
    assert traced.significance.by_module.tolist() == pytest.approx(
        [0.08 / 3] * 2 + [-0.08, 0.08 / 3]
    )
    # At 0.8 no density leaves the box: 0.2 + 0.08 + 0.0267. At 0.9 the third would be -0.06,
    # is set to 0, and the other three share the difference: 0.2067 - 0.02.
    assert traced.module.density == pytest.approx(0.2 + 0.08 + 0.08 / 3)
    assert traced.module.levels[0].density == pytest.approx(0.1 + 0.08 + 0.08 / 3 - 0.06 / 3)
    # round(36 * 0.3067) = 11 and round(36 * 0.1867) = 7 of the sorted |d|.
    assert (traced.module.levels[0].kept, traced.module.kept) == (7, 11)
    large = [abs(d) in (12, 14, 17, 29, 31, 41) for d in DELTA]
    assert sum(large) == 6 and (traced.partitions.ravel() == 1).sum() == 7
    assert all(traced.partitions.ravel()[large] == 1)
    assert sorted(np.abs(traced.delta[traced.partitions == 2]).tolist()) == [8, 8, 9, 11]
    by_hand = [
        d * {0: 0, 1: 2, 2: 1}[p] for d, p in zip(DELTA, traced.partitions.flat, strict=True)
    ]
    assert traced.amplified.ravel() == pytest.approx(by_hand)


def test_tied_changes_are_told_apart_as_a_merge_does(way: Trace) -> None:
    traced = way.models[FIRST]
    tied = np.flatnonzero(np.abs(traced.delta.ravel()) == 11)
    assert sorted(traced.partitions.ravel()[tied]) == [1, 2]
    cells = step({"start": "heavy"}, "partitions")["cells"]
    texts = {traced.partitions.flat[cell]: cells[cell] for cell in tied}
    tie = "11 is the threshold of the first level, as in 2 cells: 1 of them inside, chosen by a "
    assert texts[1] == f"|d| = 11, inside both levels (t = 11): partition 1. {tie}fixed order"
    assert (
        texts[2] == f"|d| = 11, inside the second level only (t = 7): partition 2. {tie}fixed order"
    )
    assert cells[2] == "|d| = 3, outside of both (t = 7): dropped"


@pytest.mark.parametrize("name", STARTS)
def test_everything_is_what_a_merge_of_a_checkpoint_gives(name: str, tmp_path: Path) -> None:
    mini, settings = start(name), HandSettings(rate=0.7, factor=1.3, first=0.9, second=0.6)
    folders = {model: saved(mini, model, tmp_path / model) for model in MODELS}
    models = tuple(
        DomainModel(str(folders[m]), settings.levels, settings.factors, settings.coefficients[m])
        for m in (FIRST, SECOND)
    )
    recipe = MergeRecipe(str(folders[BASE]), models, dtype="float32")
    merge_to_folder(recipe, tmp_path / "merged", workers=1, sync=False)
    traced = trace(mini, settings)
    merged = slow.read(tmp_path / "merged").arrays[YOURS]
    assert traced.merged.tobytes() == merged.tobytes()
    weights = {model: slow.read(folders[model]) for model in MODELS}
    treated = [
        slow.Treated(weights[m], settings.levels, settings.factors, settings.coefficients[m])
        for m in (FIRST, SECOND)
    ]
    assert traced.merged.tobytes() == slow.merge(weights[BASE], treated).arrays[YOURS].tobytes()
    planned = slow.plan(weights[BASE], weights[FIRST], settings.levels)[0]
    inner, outer = (mask.reshape(6, 6) for mask in planned.masks)
    assert (traced.models[FIRST].partitions == np.where(inner, 1, np.where(outer, 2, 0))).all()
    assert traced.models[FIRST].module.density == pytest.approx(planned.densities[1], abs=1e-9)


def saved(mini: Mini, model: str, folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    write_file(folder / "model.safetensors", mini.weights[model], "F32")
    return folder


def test_the_shift_is_that_of_all_four_where_mine_is_held() -> None:
    """Cut out of the models, at 95 %: S is 2/72 and 3/72, so 0.05 - 0.08 is held at 0."""
    steps = {entry["key"]: entry for entry in explain({"start": "real", "rate": 0.95})["steps"]}
    rate_step = steps["rate"]
    assert [row[1:3] + row[4:5] for row in rate_step["table"]["rows"]] == [
        ("−0.08", "0", "0"),
        ("−0.08", "0", "0"),
        ("+0.08", "0", "0.1"),  # all four keep 0.05, so these two keep 0.1 = 0.05 + 0.08 - 0.03
        ("+0.08", "0", "0.1"),
    ]
    worked, why = rate_step["lines"][-2:]
    assert worked.startswith("density = 0.05 − 0.08 + 0 − 0.03 = −0.06, held at 0, so the ")
    assert why.startswith("The last −0.03 is the same for all four")
    for key in ("pruned", "partitions"):
        assert steps[key]["lines"][-1] == (
            "This matrix keeps nothing here: its density, from step 3, is too small for one cell."
        )


def test_the_other_methods_by_hand(way: Trace) -> None:
    """In row 1, column 5, A has 17 and B -23: both are among the largest of their models."""
    changes = {name: way.methods[name].change[0, 4] for name in SIDE_BY_SIDE}
    assert changes["magnitude"] == 17 - 23
    assert changes["ties"] == -23  # 17 - 23 is negative: A does not count
    assert changes["dppa"] == 2 * 17 - 23
    dare = way.methods["dare"].parts[FIRST]
    drawn = dare != 0
    assert dare[drawn] == pytest.approx(way.models[FIRST].delta[drawn] / 0.2)


def test_a_vote_is_told_as_it_was_held() -> None:
    """A has 17 in row 1, column 5, B -23; turned round, A's is -17 and both agree."""
    turned = step({"start": "heavy", "first": -1}, "methods")["cells"][4]
    assert "TIES: A −17 (turned round) and B −23 agree, their mean by coefficients = −20" in turned
    base = explain({"start": "heavy"})["weights"]
    equal = {**base, "B": [2 * w - a for w, a in zip(base["base"], base["A"], strict=True)]}
    text = step({"start": "heavy", "weights": equal}, "methods")["cells"][4]
    assert "TIES: A 17 and B −17 cancel out, so the sign most cells elected counts = " in text


def test_every_step_says_its_numbers() -> None:
    steps = {entry["key"]: entry for entry in explain({"start": "heavy"})["steps"]}
    assert steps["delta"]["cells"][1] == "d = A − W = 6 − 18 = −12"
    assert steps["significance"]["lines"][2].endswith("s = 1/36 = 2.778\u202f%")
    assert "0.2 + 0.08 + 0.02667 = 0.3067" in steps["rate"]["lines"][-1]
    assert steps["pruned"]["cells"][2] == "|d| = 3 < 7: dropped"
    assert steps["amplified"]["cells"][1] == "partition 1: 2 × (−12) = −24"
    assert steps["merged"]["cells"][1] == "18 + 1 × (−24) + 1 × 0 = −6"
    assert "A 17 and B −23 disagree, the larger side = −23" in steps["methods"]["cells"][4]


@pytest.mark.parametrize("name", STARTS)
def test_every_step_asks_one_question_with_one_right_answer(name: str) -> None:
    for entry in explain({"start": name, "rate": 0.6})["steps"]:
        question = entry["question"]
        assert question and len(set(question["options"])) == len(question["options"]) >= 2
        assert question["options"][question["answer"]] and question["why"]
        if question["grid"]:  # what is hidden is what is asked
            grid = next(g for g in entry["grids"] if g["name"] == question["grid"])
            right = question["options"][question["answer"]]
            labels = {"p1": "partition 1", "p2": "partition 2", "out": "dropped", "far": "yes"}
            marks = [labels.get(m, m or "no") for m in grid["marks"]] or [""] * 36
            assert right == grid["shown"][question["cell"]] or right.endswith(
                marks[question["cell"]]
            )


def test_an_edited_matrix_with_nothing_to_ask_still_goes_all_the_way() -> None:
    same = [0.0] * 36
    explained = explain({"start": "random", "weights": dict.fromkeys(MODELS, same)})
    assert explained["steps"][-1]["grids"][-1]["values"] == tuple(same)
    assert explained["steps"][3]["lines"][-1] == (
        "This matrix keeps nothing here: all its changes are 0."
    )
    questioned = {entry["key"] for entry in explained["steps"] if entry["question"]}
    assert questioned == {"significance", "rate"}
    assert step({"start": "random"}, "rate")["lines"][1] == (
        "a(matrix) = 0: all four matrices have the same s."
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([], "starts from a mapping"),
        ({"start": "/etc"}, "heavy, random, real"),
        ({"weights": {"C": [0] * 36}}, "base, A, B"),
        ({"weights": {"A": [0] * 35}}, "36 numbers"),
        ({"weights": {"A": [0] * 35 + [1e7]}}, "A, row 6, column 6 must be a number"),
        ({"weights": {"A": ["1"] + [0] * 35}}, "A, row 1, column 1"),
        ({"rate": 1.0}, "rate must be a number from 0.5 to 0.95"),
        ({"factor": float("nan")}, "factor"),
    ],
)
def test_what_cannot_be_explained_is_refused(query: object, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        explain(query)


@pytest.mark.parametrize("change", [{}, {"weights": {FIRST: [float(n % 7) for n in range(36)]}}])
def test_numbers_are_measured_once_for_all_settings_and_without_threads(
    change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    explain({"start": "random", **change})

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("dppa_core.profiling.profile.profile_deltas", refuse)
    monkeypatch.setattr("dppa_core.system.threads.ThreadPoolExecutor", refuse)
    explain({"start": "random", "rate": 0.6, "factor": 3.0, "second": 0.5, **change})


def test_editing_leaves_the_start_as_it_was() -> None:
    mini = start("heavy")
    changed = edited(mini, {FIRST: [1.0] * 36})
    assert (changed.weights[FIRST][YOURS] == 1).all()
    assert mini.weights[FIRST][YOURS][0, 1] == 6


def test_what_is_asked_can_be_told_by_the_sizes() -> None:
    """Of two changes of 11, one is in partition 1, one in 2: neither is a question."""
    question = step({"start": "heavy"}, "partitions")["question"]
    assert question["veils"] and abs(DELTA[question["cell"]]) == 12
    assert "t =" not in question["text"]
