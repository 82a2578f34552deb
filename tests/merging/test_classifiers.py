"""Classifiers: merged where their labels are the same, refused by name where they differ."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
)

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.folders.architectures import labels_of
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.evaluation.labels import label_logits
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.classifiers import LABELS, TEXTS, logits, save_classifiers, save_scored_llama
from tests.helpers.command import Command
from tests.helpers.encoders import SIZES, save

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(params=[save_classifiers, save_scored_llama], ids=["bert", "llama"])
def classifiers(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A base and two classifiers of its labels."""
    return request.param(tmp_path)


def recipe(folders: list[str], method: str = "linear", *weights: float, **more: str) -> MergeRecipe:
    base, *tuned = folders
    pairs = zip(tuned, weights or (1.0, 1.0), strict=True)
    models = tuple(DomainModel(folder, coefficient=weight) for folder, weight in pairs)
    return MergeRecipe(base, models, method, **more)


def test_a_merge_is_the_weighted_sum_and_keeps_the_labels(
    classifiers: list[str], tmp_path: Path
) -> None:
    merge_to_folder(recipe(classifiers, "task_arithmetic", 0.5, -0.25), tmp_path / "sum")
    merge_to_folder(recipe(classifiers, "linear", 1.0, 3.0), tmp_path / "mean")
    models = [AutoModelForSequenceClassification.from_pretrained(name) for name in classifiers]
    base, one, other = (model.state_dict() for model in models)
    assert any(name.startswith(("classifier", "score")) for name in base)
    for folder, shares in (("sum", (0.75, 0.5, -0.25)), ("mean", (0.0, 0.25, 0.75))):
        merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / folder)
        assert merged.config.id2label == dict(enumerate(LABELS))
        for name, weight in merged.state_dict().items():
            parts = zip(shares, (base, one, other), strict=True)
            expected = sum(share * part[name] for share, part in parts)
            torch.testing.assert_close(weight, expected, atol=1e-6, rtol=1e-5, msg=name)
        expected = torch.cat([logits(merged, tmp_path / folder, text) for text in TEXTS])
        ours = label_logits(open_checkpoint(str(tmp_path / folder)), TEXTS)
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
        assert "pipeline_tag: text-classification" in (tmp_path / folder / "README.md").read_text()


@pytest.mark.parametrize("labels", [("joy", "anger"), ("neutral", "negative", "positive")])
def test_other_labels_are_named_with_the_key_that_leaves_their_heads_out(
    labels: tuple[str, ...], tmp_path: Path, dppa: Command
) -> None:
    base, same, _ = save_classifiers(tmp_path)
    config = BertConfig(**SIZES, id2label=dict(enumerate(labels)))
    torch.manual_seed(4)
    other = str(save(BertForSequenceClassification(config), tmp_path / "other"))
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe([base, same, other])), "utf-8")
    assert dppa("merge", path, "--out", tmp_path / "out") == 1
    for part in (
        f"classifier.bias, classifier.weight: of {other} its labels are {list(labels)}, the base's "
        f"{list(LABELS)}. ",
        "`heads: base` in the recipe",
    ):
        assert part in dppa.err, dppa.err
    assert dppa("preflight", path) == 1 and f"its labels are {list(labels)}" in dppa.out

    path.write_text(dump_recipe(recipe([base, same, other], heads="base")), "utf-8")
    assert dppa("preflight", path) == 0
    merge_to_folder(recipe([base, same, other], heads="base"), tmp_path / "out")
    merged, old = SafetensorsCheckpoint(tmp_path / "out"), SafetensorsCheckpoint(base)
    for name in merged.names():
        kept = np.array_equal(merged.raw(name), old.raw(name))
        assert kept == name.startswith("classifier"), name
    assert labels_of(merged.config) == LABELS


def test_a_classifier_and_another_model_are_still_refused_by_their_tensors(tmp_path: Path) -> None:
    base, *tuned = save_classifiers(tmp_path)
    config = json.loads((Path(base) / "config.json").read_text())
    config["architectures"] = ["BertForTokenClassification"]
    (Path(base) / "config.json").write_text(json.dumps(config))
    assert labels_of(config) == ()
    merge_to_folder(recipe([base, *tuned]), tmp_path / "out")
    bare = BertForSequenceClassification.from_pretrained(tuned[0]).bert
    save(bare, tmp_path / "bare")
    with pytest.raises(IncompatibleCheckpoints, match="classifier.*`heads: base` in the recipe"):
        merge_to_folder(recipe([*tuned, str(tmp_path / "bare")]), tmp_path / "second")


def test_labels_without_names_are_those_of_transformers() -> None:
    config = {"architectures": ["XForSequenceClassification"]}
    assert labels_of(config) == ("LABEL_0", "LABEL_1")
    assert labels_of({**config, "num_labels": 3}) == ("LABEL_0", "LABEL_1", "LABEL_2")
    ten = {str(n): f"n{n}" for n in reversed(range(11))}
    assert labels_of({**config, "id2label": ten})[-1] == "n10"
    assert labels_of({**config, "id2label": {"a": "b"}}) == ()
    assert len(labels_of({**config, "num_labels": 10**12})) < 10**6
