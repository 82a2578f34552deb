"""A domain model of whose delta a form keeps a part: as a model, and in a recipe."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.in_memory import MemoryCheckpoint
from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint
from dppa_core.checkpoints.sources.references import (
    kept_delta,
    kept_reference,
    rename_models,
    short_name,
    stacked_models,
)
from dppa_core.errors import DppaError, NotAllowed
from dppa_core.forms.contract import Place, kept_energy
from dppa_core.forms.store import parse_store_text
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import dump_recipe, parse_recipe
from tests.helpers.tiny_models import random_llama, tuned_llama

NAME = "kept:low_rank(rank=8) of zoo:math on zoo:base"
Q = "model.layers.0.self_attn.q_proj.weight"
EMBEDDING, NORM = "model.embed_tokens.weight", "model.norm.weight"


def pair() -> tuple[MemoryCheckpoint, MemoryCheckpoint]:
    base = random_llama(0)
    return MemoryCheckpoint(base.arrays), MemoryCheckpoint(tuned_llama(base, 1).arrays)


def matrix(checkpoint: Checkpoint, name: str) -> np.ndarray:
    values = to_float32(checkpoint.raw(name), checkpoint.dtype(name))
    return values.reshape(checkpoint.shape(name))


def test_a_module_is_the_base_and_what_the_form_keeps() -> None:
    base, tuned = pair()
    store = parse_store_text("low_rank(rank=3)+bits(bits=1)")
    kept = KeptCheckpoint(base, tuned, store, "zoo:math")
    delta, place = matrix(tuned, Q) - matrix(base, Q), Place(Q, "zoo:math")
    expected = store.decode(store.encode(delta, place), delta.shape, place)
    assert np.array_equal(matrix(kept, Q), matrix(base, Q) + expected)
    assert kept.dtype(Q) == "F32" and kept.names() == tuned.names()
    assert 0.7 < kept_energy(delta, matrix(kept, Q) - matrix(base, Q)) < 1


@pytest.mark.parametrize(
    ("choice", "embedding", "norm"),
    [("same", "form", "tuned"), ("keep", "tuned", "tuned"), ("drop", "base", "base")],
)
def test_other_tensors_are_in_the_form_whole_or_dropped(
    choice: str, embedding: str, norm: str
) -> None:
    base, tuned = pair()
    kept = KeptCheckpoint(base, tuned, parse_store_text(f"bits(bits=1)+others({choice})"), "m")
    for name, source in ((EMBEDDING, embedding), (NORM, norm)):
        equal = {
            label: bool(np.array_equal(matrix(kept, name), matrix(model, name)))
            for label, model in (("base", base), ("tuned", tuned))
        }
        assert equal == {"base": source == "base", "tuned": source == "tuned"}


def test_rows_that_the_base_lacks_are_the_domain_models() -> None:
    base, tuned = pair()
    wider = dict(tuned_llama(random_llama(0), 1).arrays)
    wider[EMBEDDING] = np.vstack([wider[EMBEDDING], np.ones((2, 32), np.float32)])
    kept = KeptCheckpoint(base, MemoryCheckpoint(wider), parse_store_text("bits(bits=1)"), "m")
    assert np.array_equal(matrix(kept, EMBEDDING), wider[EMBEDDING])


def test_experts_in_one_tensor_are_kept_one_by_one() -> None:
    name, rng = "model.layers.0.mlp.experts.gate_up_proj", np.random.default_rng(0)
    base = MemoryCheckpoint({name: np.zeros((3, 6, 5), np.float32)})
    tuned = MemoryCheckpoint({name: rng.standard_normal((3, 6, 5), np.float32)})
    kept = KeptCheckpoint(base, tuned, parse_store_text("low_rank(rank=1)"), "m")
    assert len(kept.codes(name)) == 3
    assert [np.linalg.matrix_rank(expert) for expert in matrix(kept, name)] == [1, 1, 1]


def test_a_reference_is_read_back_and_named_in_short() -> None:
    kept = kept_delta(NAME)
    assert kept is not None and kept_reference(kept) == NAME == str(ModelRef.parse(NAME))
    assert short_name(NAME) == "math (rank 8)"
    assert stacked_models(NAME) == ("zoo:math", "zoo:base")
    assert rename_models(NAME, lambda name: name + "2") == (
        "kept:low_rank(rank=8) of zoo:math2 on zoo:base2"
    )
    assert kept_delta("zoo:math") is None


@pytest.mark.parametrize(
    "name",
    [
        "kept:bits(bits=1) of kept:bits(bits=1) of zoo:math on zoo:base on zoo:base",
        "kept:bits(bits=1) of zoo:math",
        "kept:bits(bits=3) of zoo:math on zoo:base",
        "kept:",
    ],
)
def test_a_wrong_reference_is_refused(name: str) -> None:
    with pytest.raises(DppaError):
        ModelRef.parse(name)


def test_a_visitor_names_no_folder_inside_it() -> None:
    with pytest.raises(NotAllowed):
        ModelRef.parse("kept:bits(bits=1) of /etc on zoo:base", public=True)
    assert ModelRef.parse(NAME, public=True).source == "kept"


def test_forms_and_draws_give_other_hashes_and_equal_ones_the_same() -> None:
    names = [NAME, NAME.replace("8", "9"), "kept:drawn(rate=0.9) of zoo:math on zoo:base"]
    hashes = [open_checkpoint(name).content_hash() for name in (*names, NAME)]
    assert len(set(hashes)) == 3 and hashes[0] == hashes[3]


RECIPE = """
dppa: 1
base: zoo:base
models:
- model: zoo:math
  store: {form: low_rank, rank: 8}
- model: zoo:law
  store: [{form: drawn, rate: 0.5}, {form: bits, bits: 1}]
method: METHOD
"""


def test_a_recipe_states_the_forms_as_store_and_is_read_back() -> None:
    recipe = parse_recipe(RECIPE.replace("METHOD", "task_arithmetic"))
    assert recipe.models[0].model == NAME
    text = dump_recipe(recipe)
    assert "store: {form: low_rank, rank: 8}" in text and "kept:" not in text
    assert parse_recipe(text) == recipe


def test_other_keys_name_the_model_without_its_forms() -> None:
    text = (
        RECIPE.replace("METHOD", "emr") + "parameters: {domain: zoo:math}\nvocabulary: zoo:math\n"
    )
    recipe = parse_recipe(text)
    assert recipe.parameters["domain"] == recipe.vocabulary == NAME
    assert parse_recipe(dump_recipe(recipe)) == recipe
    rows = text.replace(
        "vocabulary: zoo:math", "vocabulary: {source: zoo:math, tokens: {a: zoo:math}}"
    )
    recipe = parse_recipe(rows)
    assert recipe.vocabulary == recipe.token_rows.tokens["a"].source == NAME
    assert parse_recipe(dump_recipe(recipe)) == recipe


@pytest.mark.parametrize(
    "method",
    ["task_arithmetic", *(pytest.param(name, marks=pytest.mark.long) for name in ("ties", "dppa"))],
)
def test_every_method_takes_what_is_kept_with_any_number_of_workers(
    method: str, tmp_path: Path
) -> None:
    recipe = parse_recipe(RECIPE.replace("METHOD", method))
    hashes = {
        merge_to_folder(recipe, tmp_path / str(workers), workers=workers).sha256
        for workers in (1, 3)
    }
    assert len(hashes) == 1
    merged = open_checkpoint(str(tmp_path / "1"))
    q = "model.layers.2.self_attn.q_proj.weight"
    kept = [matrix(open_checkpoint(m.model), q) for m in recipe.models]
    root = matrix(open_checkpoint("zoo:base"), q)
    if method == "task_arithmetic":
        total = root + (kept[0] - root) + (kept[1] - root)
        assert np.allclose(matrix(merged, q), total, rtol=2**-8, atol=1e-6)
    assert not np.array_equal(matrix(merged, q), root)
