"""rxnfp's BERT and its two published fine-tunes, from first look to merge: real models, real sizes.

References are numpy on whole matrices. `make test-all` runs these tests; they need PyPI.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import NotAllowed
from dppa_core.evaluation.analysis.overlap_pass import count_meetings
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.models.decode import prompt_ids
from dppa_core.pruning.tensor_names import in_head
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.conftest import NO_INDEX
from tests.helpers.command import Command
from tests.helpers.rxnfp import (
    BASE,
    CLASSES,
    FINGERPRINTS,
    fetch_rxnfp,
    weights,
)

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("one_torch_thread")]
TUNED = (FINGERPRINTS, CLASSES)
LEVELS, FACTORS = (0.9, 0.8), (0.8, 1.35)
Arrays = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the three models, each with the package's tokenizer as a file."""
    home = tmp_path_factory.mktemp("rxnfp")
    if not fetch_rxnfp(home):
        pytest.skip(NO_INDEX)
    return home


@pytest.fixture(scope="module")
def arrays(home: Path) -> Callable[[str], Arrays]:
    """The tensors of a model by name, read by torch alone."""
    return cache(lambda name: {k: v.numpy() for k, v in weights(home / name).items()})


@pytest.fixture(scope="module")
def deltas(arrays: Callable[[str], Arrays]) -> list[Arrays]:
    """The delta of each fine-tune: every tensor but heads of its own."""
    base = arrays(BASE)
    return [{n: w - base[n] for n, w in arrays(name).items() if n in base} for name in TUNED]


@pytest.fixture(scope="module")
def modules(deltas: list[Arrays]) -> list[str]:
    """The 72 matrices of the 12 blocks, in the order of their names."""
    return sorted(n for n in deltas[0] if n.startswith("encoder.") and deltas[0][n].ndim == 2)


def recipe(home: Path, method: str = "task_arithmetic") -> MergeRecipe:
    of_dppa = (LEVELS, FACTORS) if method == "dppa" else ()
    models = tuple(DomainModel(str(home / name), *of_dppa) for name in TUNED)
    return MergeRecipe(str(home / BASE), models, method, heads="base")


def merged(home: Path, method: str, out: Path) -> Arrays:
    """The tensors of a merge, by the names without their prefix."""
    merge_to_folder(recipe(home, method), out)
    model = open_checkpoint(str(out))
    named = {name: model.raw(name).reshape(model.shape(name)) for name in model.names()}
    return {name.removeprefix("bert."): values for name, values in named.items()}


def borrowed(folder: Path) -> str:
    """How a table names a fine-tune that is asked under the base's head."""
    return f"{folder}, the base's head"


def largest(magnitudes: np.ndarray, count: int) -> np.ndarray:
    """True at the largest elements."""
    mask = np.zeros(magnitudes.size, bool)
    mask[np.argsort(-magnitudes.ravel(), kind="stable")[:count]] = True
    return mask.reshape(magnitudes.shape)


def test_two_fine_tunes_share_the_bases_body_and_not_its_head(
    home: Path, dppa: Command, deltas: list[Arrays], modules: list[str], tmp_path: Path
) -> None:
    assert all(len(delta) == 199 for delta in deltas) and len(modules) == 72
    assert dppa("preflight", home / BASE, home / FINGERPRINTS, home / CLASSES) == 1
    assert dppa.out.count("blocker  head: Its head differs from the base's") == 2
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe(home)), "utf-8")
    assert dppa("preflight", tmp_path / "recipe.yaml") == 0
    assert dppa.out.count("The merge takes the base's and leaves its own out.") == 2
    assert "(tied)" not in dppa.out, "two of the three have no head, and the base's is its own"


def test_the_profile_measures_every_module_of_a_bin_file(
    home: Path,
    dppa: Command,
    arrays: Callable[[str], Arrays],
    deltas: list[Arrays],
    modules: list[str],
) -> None:
    distances = []
    for name, delta in zip(TUNED, deltas, strict=True):
        assert dppa("profile", home / BASE, home / name, "--json") == 0
        rows = {f"encoder.{row['name']}.weight": row for row in dppa.json["modules"]}
        assert sorted(rows) == modules
        for module, row in rows.items():
            norms = [np.linalg.norm(part[module]) for part in (delta, arrays(BASE))]
            assert [row["delta_norm"], row["base_norm"]] == pytest.approx(norms, rel=1e-4)
        squares = [sum(r[norm] ** 2 for r in rows.values()) for norm in ("delta_norm", "base_norm")]
        distances.append((squares[0] / squares[1]) ** 0.5)
    assert distances == pytest.approx([0.2267, 0.0879], abs=1e-4)


def test_dppa_keeps_the_planned_number_of_each_module_and_amplifies_it(
    home: Path, dppa: Command, deltas: list[Arrays], modules: list[str], tmp_path: Path
) -> None:
    weighed = {module: np.zeros_like(deltas[0][module]) for module in modules}
    for name, delta in zip(TUNED, deltas, strict=True):
        masks = []
        for rate in LEVELS:
            assert dppa("plan", home / BASE, home / name, "--rate", rate, "--json") == 0
            counts = {row["name"]: row["kept"] for row in dppa.json["modules"]}
            assert sum(counts.values()) == pytest.approx((1 - rate) * 6_291_456, abs=72)
            masks.append({f"encoder.{n}.weight": count for n, count in counts.items()})
        for module in modules:
            few, many = (largest(abs(delta[module]), counts[module]) for counts in masks)
            factors = np.select([few, many], FACTORS, 0)
            weighed[module] += factors * delta[module]
    model = merged(home, "dppa", tmp_path / "out")
    base = weights(home / BASE)
    for module in modules:
        expected = base[module].numpy() + weighed[module]
        assert np.isclose(model[module], expected, atol=1e-6).mean() > 0.9999, module  # ties


def test_task_arithmetic_adds_both_bodies_and_keeps_the_bases_head(
    home: Path, arrays: Callable[[str], Arrays], deltas: list[Arrays], tmp_path: Path
) -> None:
    model, base = merged(home, "task_arithmetic", tmp_path / "out"), arrays(BASE)
    tied = {"cls.predictions.decoder.weight": "embeddings.word_embeddings.weight"}
    assert model.keys() == base.keys()
    for name, values in model.items():
        source = tied.get(name, name)
        expected = base[name] + sum(delta[source] for delta in deltas if source in delta)
        np.testing.assert_allclose(values, expected, atol=1e-6, err_msg=name)
        assert (source in deltas[0]) or in_head(name)
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path / "out")
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")("CC(=O)O.OCC>>CC(=O)OCC")["input_ids"]
    assert loaded(torch.tensor([ids])).logits.isfinite().all() and 11 not in ids, "[UNK]"


def test_ties_trims_elects_and_averages_the_whole_body(
    home: Path, arrays: Callable[[str], Arrays], deltas: list[Arrays], tmp_path: Path
) -> None:
    model, base = merged(home, "ties", tmp_path / "out"), arrays(BASE)
    names = sorted(deltas[0])
    flat = np.stack([np.concatenate([delta[n].ravel() for n in names]) for delta in deltas])
    left = np.stack([row * largest(abs(row), round(0.2 * row.size)) for row in flat])
    agree = (np.sign(left) == np.sign(left.sum(0))) & (left != 0)
    mean = (left * agree).sum(0) / np.maximum(agree.sum(0), 1)
    got = np.concatenate([(model[n] - base[n]).ravel() for n in names])
    assert np.isclose(got, mean, atol=1e-6).mean() > 0.9999  # what is undecided, ties
    assert 0.2 < (mean != 0).mean() < 0.4


def test_the_conflict_is_that_of_the_signs(
    home: Path, deltas: list[Arrays], modules: list[str]
) -> None:
    (meeting,) = count_meetings(str(home / BASE), [str(home / name) for name in TUNED])
    first, second = (np.concatenate([d[n].ravel() for n in modules]) for d in deltas)
    assert int(meeting.both[:, 0].sum()) == int(((first != 0) & (second != 0)).sum())
    opposed = int(meeting.opposed[:, 0].sum())
    assert opposed == int((np.sign(first) * np.sign(second) < 0).sum())
    assert 0.4 < opposed / first.size < 0.5, "near what chance makes"


def test_forms_are_measured_on_a_text_under_the_bases_head(
    home: Path, dppa: Command, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe(home)), "utf-8")
    text = ("--text", home / "reactions.txt", "--json")
    assert dppa("evaluate", tmp_path / "recipe.yaml", *text) == 0
    losses = {row["label"]: row["loss"]["value"] for row in dppa.json["text"]}
    base, *tuned = (losses[str(home / BASE)], *(losses[borrowed(home / n)] for n in TUNED))
    assert base < min(tuned) and base < 1.5, "it knows reactions: chance among 591 tokens has 6.4"
    forms = ("--forms", "bits(bits=1);bits(bits=4)", "--factors", 1)
    assert dppa("size", home / BASE, home / CLASSES, *forms, *text) == 0
    rows = {row["store"] or "whole": row for row in dppa.json["models"][0]["forms"]}
    one, four = rows["bits(bits=1)"], rows["bits(bits=4)"]
    assert one["nbytes"] < four["nbytes"] < 4e6 and one["energy"] < four["energy"] < 1
    assert rows["whole"]["loss"] == pytest.approx(four["loss"], abs=0.1)


def test_chat_and_questions_are_refused_with_what_is_possible(home: Path, dppa: Command) -> None:
    resident = ModelPool().get(str(home / BASE))
    with pytest.raises(NotAllowed, match="writes no replies: no chat.*--text FILE"):
        prompt_ids(resident, "CC(=O)O")
    assert dppa("evaluate", home / BASE, "--tasks", "math", "--limit", 1) == 1
    assert "fills masks and writes no replies" in dppa.err


def test_a_converted_fine_tune_holds_the_same_numbers_in_safetensors(
    home: Path, arrays: Callable[[str], Arrays], dppa: Command, tmp_path: Path
) -> None:
    assert dppa("convert", home / CLASSES, "--out", tmp_path / "copy") == 0
    assert not list((tmp_path / "copy").glob("*.bin"))
    copy = open_checkpoint(str(tmp_path / "copy"))
    for name in copy.names():
        plain = arrays(CLASSES)[name.removeprefix("bert.")].ravel()
        np.testing.assert_array_equal(copy.raw(name), plain)
    assert json.loads((tmp_path / "copy" / "config.json").read_text())["num_labels"] == 50
