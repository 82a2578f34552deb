"""Checkpoints of AdaMerging: the best one, collapses, and the texts used."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from dppa_core.errors import InvalidValue
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tuning.adamerging.settings import AdaMergeSettings, with_coefficients
from dppa_core.tuning.adamerging.snapshot import (
    DomainFigures,
    Snapshot,
    best_of,
    collapsed_in_a_row,
    has_collapsed,
)
from dppa_core.tuning.adamerging.texts import (
    domains_of_models,
    file_domains,
    fingerprint,
    task_domains,
)

SETTINGS = AdaMergeSettings(batch=2, prompts=3, held_out=2)


def snapshot(
    step: int, entropy: float, accuracy: float | None, perplexity: float = 2.0, n: int = 1000
) -> Snapshot:
    return Snapshot(step, ((0.3,),), {"math": DomainFigures(entropy, perplexity, accuracy, n)})


def test_less_entropy_with_clearly_worse_answers_is_a_collapse() -> None:
    best = snapshot(0, 1.0, 0.80)
    assert has_collapsed(snapshot(1, 0.9, 0.77), best)
    assert not has_collapsed(snapshot(1, 0.9, 0.79), best)  # within the noise
    assert not has_collapsed(snapshot(1, 1.1, 0.50), best)  # worse, and the entropy says so
    assert not has_collapsed(snapshot(1, 0.9, 0.85), best)


def test_few_items_tell_a_collapse_only_beyond_their_standard_error() -> None:
    best = snapshot(0, 1.0, 0.80, n=16)  # sqrt(0.8 x 0.2 / 16) = 0.1
    assert not has_collapsed(snapshot(1, 0.9, 0.71, n=16), best)
    assert has_collapsed(snapshot(1, 0.9, 0.69, n=16), best)


def test_without_right_and_wrong_the_perplexity_tells() -> None:
    best = snapshot(0, 1.0, None, 2.0)
    assert has_collapsed(snapshot(1, 0.9, None, 2.2), best)
    assert not has_collapsed(snapshot(1, 0.9, None, 2.05), best)


def test_the_best_is_the_most_accurate_then_the_least_surprised_then_the_first() -> None:
    snapshots = [
        snapshot(0, 1.0, 0.5, 2.0),
        snapshot(1, 0.9, 0.8, 3.0),
        snapshot(2, 0.8, 0.8, 2.5),
        snapshot(3, 0.1, 0.8, 2.5),
    ]
    assert best_of(snapshots).step == 2
    assert best_of([snapshot(0, 1, None, 3.0), snapshot(1, 1, None, 2.0)]).step == 1


def test_only_the_last_collapses_in_a_row_count() -> None:
    flags = [True, False, True, True]
    snapshots = [replace(snapshot(i, 1, 1), collapsed=flag) for i, flag in enumerate(flags)]
    assert collapsed_in_a_row(snapshots) == 2 and collapsed_in_a_row(snapshots[:2]) == 0


def test_means_are_over_domains() -> None:
    two = {"a": DomainFigures(1.0, 1.0, 0.5, 3), "b": DomainFigures(3.0, 4.0, 1.0, 300)}
    merged = Snapshot(0, ((1.0,),), two)
    assert (merged.entropy, merged.perplexity, merged.accuracy) == (2.0, pytest.approx(2.0), 0.75)
    assert Snapshot(0, ((1.0,),), two | {"c": DomainFigures(1, 1, None, 1)}).accuracy is None
    assert TypeAdapter(Snapshot).validate_python(merged.to_json()) == merged


def test_a_recipe_takes_a_number_or_one_for_each_layer() -> None:
    recipe = MergeRecipe("zoo:base", (DomainModel("zoo:math"), DomainModel("zoo:law")))
    changed = with_coefficients(recipe, [[0.5], [0.1, 0.2]])
    assert [model.coefficient for model in changed.models] == [0.5, {0: 0.1, 1: 0.2}]


def test_a_model_with_other_coefficients_keeps_its_calibration_text() -> None:
    model = DomainModel("zoo:math", (0.5,), calibration=Calibration(("law",)))
    recipe = MergeRecipe("zoo:base", (model,), parameters={"significance": "fisher"})
    assert with_coefficients(recipe, [[0.5]]).models == (replace(model, coefficient=0.5),)


def test_prompts_come_without_answers_and_apart_from_what_is_held_out() -> None:
    domain = task_domains(["math"], replace(SETTINGS, prompts=50, held_out=50))[0]
    held_out = {item.prompt for item in domain.held_out}
    assert len(domain.prompts) == 50 and len(held_out) == 50
    assert not held_out & set(domain.prompts)
    shuffled = task_domains(["math"], replace(SETTINGS, prompts=50, held_out=50, seed=1))[0]
    assert shuffled.held_out == domain.held_out and shuffled.prompts != domain.prompts
    assert fingerprint([domain]) != fingerprint([shuffled])


def test_embedded_models_know_their_domains() -> None:
    models = DomainModel("zoo:law"), DomainModel("zoo:math")
    assert domains_of_models(MergeRecipe("zoo:base", models)) == ("law", "math")
    with pytest.raises(
        InvalidValue, match=r"'owner/name'.*--prompts FILE or --items FILE for each"
    ):
        domains_of_models(MergeRecipe("zoo:base", (DomainModel("owner/name"),)))


def test_a_file_holds_prompts_and_held_out_items(tmp_path: Path) -> None:
    path = tmp_path / "cooking.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": "b"}\n\n{"prompt": "c", "answer": "d"}\n')
    domain = file_domains([path], SETTINGS)[0]
    assert (domain.name, domain.prompts, domain.scored) == ("cooking", ("a", "b"), False)
    assert [(item.prompt, item.answer) for item in domain.held_out] == [("c", "d")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": "a"}\nb', "line 2: no JSON"),
        ('["a"]', "line 1: must be an object of prompt and answer"),
        ('{"prompt": "a", "reply": "b"}', "must be an object of prompt and answer"),
        ('{"prompt": " "}', "prompt must be a text"),
        ('{"answer": "a"}', "prompt must be a text"),
        ('{"prompt": "a", "answer": 3}', "answer must be a text"),
        ('{"prompt": "a"}\n{"prompt": "b"}', "0 lines with an answer"),
        ('{"prompt": "a"}\n{"prompt": "b", "answer": "c"}', "1 line without an answer, at least"),
    ],
)
def test_a_file_that_is_no_list_of_prompts_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidValue, match=message):
        file_domains([path], SETTINGS)
    with pytest.raises(InvalidValue, match="cannot be read"):
        file_domains([tmp_path / "nowhere"], SETTINGS)
