"""Sets of models that the study measures: made, shuffled, found."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import MissingCheckpoint
from dppa_core.methods.registry import get_method
from dppa_core.pruning.floats import to_float32
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo import tune
from dppa_lab.zoo.joint_search import Budget
from dppa_lab.zoo.language_model import TUNINGS
from dppa_lab.zoo.results import choosing
from dppa_lab.zoo.results.entry import Entry
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.study import measured_set
from dppa_lab.zoo.study.merges import nested_merges, selected_merges
from dppa_lab.zoo.study.shuffled import shuffle_set
from dppa_lab.zoo.trained_set import trained_set

SHORT = replace(TUNINGS["lora"], steps=2, batch=2, warmup=1, rank=2)
MATRIX = "model.layers.1.mlp.down_proj.weight"


def test_shuffled_deltas_keep_their_entries_and_lose_their_places(
    tiny_zoo: Path, tmp_path: Path
) -> None:
    out = shuffle_set(tiny_zoo, tmp_path / "out")
    base, before, after = (
        load_file(folder / "model.safetensors")
        for folder in (tiny_zoo / "base", tiny_zoo / "law", out / "law")
    )
    deltas = [
        (weights[MATRIX].float() - base[MATRIX].float()).flatten().sort().values
        for weights in (before, after)
    ]
    assert torch.allclose(*deltas, atol=4e-3), "bfloat16 rounds the sum in its new place"
    assert not torch.equal(before[MATRIX], after[MATRIX])
    assert torch.equal(before["model.norm.weight"], after["model.norm.weight"])


@pytest.mark.usefixtures("one_torch_thread")
def test_a_set_is_measured_whole_by_equal_budgets(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["magnitude-90-all", "dppa-90-all", "reversed-90-all", "shuffled-90-all"]
    few = [merge for merge in selected_merges([0.9, 0.95]) if merge.key in keys]
    monkeypatch.setattr(choosing, "BUDGET", Budget(4, 2))
    folder = shutil.copytree(tiny_zoo, tmp_path / "set")
    about = {"size": "small", "regime": "plain", "seed": 3}
    for name in ("base", *DOMAINS):
        (folder / name / "training.json").write_text(json.dumps(about))
    lines: list[str] = []
    study = measured_set.measure_set(folder, few, limit=2, search_items=1, say=lines.append)
    assert study["set"] == about
    assert [row["key"] for row in study["merges"]] == keys
    assert all(row["tried"] == {"losses": 4, "retentions": 2} for row in study["merges"])
    assert all(len(bits) == 2 for row in study["merges"] for bits in row["hits"].values())
    assert len(lines) == 1 + len(keys)


@pytest.mark.usefixtures("one_torch_thread")
def test_a_nested_search_begins_at_the_best_of_what_it_contains(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(tiny_zoo, tmp_path / "set")
    asked: list[tuple[str, int, object]] = []

    def choose(
        merge: Entry, *_: object, times: int, begun: dict[str, float] | None
    ) -> choosing.ChosenValues:
        names = [axis.name for axis in merge.axes()]
        asked.append((names[-1], times, begun))
        return choosing.ChosenValues(dict.fromkeys(names, len(asked) / 8), 1, 1, {})

    monkeypatch.setattr(measured_set, "choose", choose)
    for name in ("base", *DOMAINS):
        about = {"size": "small", "regime": "settled", "seed": 3}
        (folder / name / "training.json").write_text(json.dumps(about))
    study = measured_set.measure_set(folder, nested_merges(), limit=1, search_items=1)
    assert [row["name"] for row in study["merges"]] == ["dpa", "dppa", "dpa_twice", "dppa_begun"]
    best = {"factor1": 0.125, "factor2": 0.125}
    assert asked == [
        ("factor2", 1, None),
        ("strength", 1, None),
        ("factor2", 2, None),
        ("strength", 1, best),
    ]


@pytest.mark.usefixtures("one_torch_thread")
def test_a_search_begins_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "BUDGET", Budget(1, 1))
    merge = Entry(get_method("dppa"), partitions=2)
    begun = choosing.choose(merge, MergeExaminer(1, 1), begun={"factor2": 1.25})
    assert begun.values == choosing.choose(merge, MergeExaminer(1, 1)).values | {"factor2": 1.25}
    assert choosing.choose(merge, MergeExaminer(1, 1), times=2).losses == 2


def test_adapters_are_a_set_on_the_base_they_name_and_are_shuffled_as_whole_models(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "search_accuracy", lambda *_: dict.fromkeys(DOMAINS, 0.0))
    for domain in DOMAINS:
        tune.tune_model(str(tiny_zoo / "base"), SHORT, tmp_path / "set", tmp_path, domain, 3)
    models = trained_set(tmp_path / "set")
    assert models.adapted and (models.record["regime"], models.record["seed"]) == ("lora", 3)
    assert models.references["law"] == f"{tiny_zoo / 'base'}+{tmp_path / 'set/law'}"
    whole = models.written(tmp_path / "whole")
    adapted = open_checkpoint(models.references["law"])
    written = load_file(whole / "law" / "model.safetensors")[MATRIX].float().numpy().ravel()
    exact = to_float32(adapted.raw(MATRIX), adapted.dtype(MATRIX))
    np.testing.assert_allclose(written, exact, rtol=2**-8)  # written in the base's bfloat16
    assert (shuffle_set(whole, tmp_path / "shuffled") / "law" / "model.safetensors").is_file()


def test_whole_models_of_a_base_elsewhere_are_a_set_too(tiny_zoo: Path, tmp_path: Path) -> None:
    for name in DOMAINS:
        shutil.copytree(tiny_zoo / name, tmp_path / "set" / name)
    record = {"base": str(tiny_zoo / "base"), "rank": 0, "stage": {"seed": 2}}
    (tmp_path / "set/math/training.json").unlink(missing_ok=True)
    with pytest.raises(MissingCheckpoint, match="no model base"):
        trained_set(tmp_path / "set")
    (tmp_path / "set/math/training.json").write_text(json.dumps(record))
    models = trained_set(tmp_path / "set")
    assert not models.adapted and models.record["seed"] == 2
    whole = models.written(tmp_path / "whole")
    assert (shuffle_set(whole, tmp_path / "shuffled") / "base" / "model.safetensors").is_file()
    with pytest.raises(MissingCheckpoint, match="dppa zoo train"):
        trained_set(tmp_path)
