"""Distances of two models: numbers by hand, the same for any workers, clear errors."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import DppaError, IncompatibleCheckpoints, NonFiniteWeights
from dppa_core.evaluation.diff.model_diff import diff_models, distance
from dppa_core.evaluation.diff.sums import sum_chunk
from dppa_core.pruning.floats import to_float32
from tests.helpers.command import Command
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama


def test_sums_by_hand() -> None:
    a, b = np.array([3.0, 0.0, -4.0, 1.0]), np.array([3.0, 2.0, -4.0, 0.0])
    sums = sum_chunk(a, b)
    assert (sums.numel, sums.changed) == (4, 2)
    assert (sums.difference, sums.first, sums.second, sums.product) == (5.0, 26.0, 29.0, 25.0)
    item = distance("x", sums, with_base=False)
    assert item.changed == 0.5
    assert item.relative == pytest.approx((5 / 26) ** 0.5)
    assert item.cosine == pytest.approx(25 / (26 * 29) ** 0.5)
    assert item.delta_cosine is None and item.sign_agreement is None


def test_deltas_by_hand() -> None:
    """Deltas (2, -1, 0, 1) and (1, 1, 3, 2): two of three signs agree."""
    base = np.array([1.0, 1.0, 1.0, 1.0])
    sums = sum_chunk(base + [2, -1, 0, 1], base + [1, 1, 3, 2], base)
    assert (sums.both, sums.agreeing, sums.delta_product) == (3, 2, 3.0)
    item = distance("x", sums, with_base=True)
    assert item.delta_cosine == pytest.approx(3 / (6 * 15) ** 0.5)
    assert item.sign_agreement == pytest.approx(2 / 3)


def test_what_is_zero_has_no_cosine() -> None:
    item = distance("x", sum_chunk(np.zeros(3), np.ones(3), np.zeros(3)), with_base=True)
    assert (item.relative, item.cosine, item.delta_cosine) == (None, None, None)
    assert item.changed == 1.0 and item.sign_agreement is None


def test_minus_zero_is_no_change() -> None:
    assert sum_chunk(np.array([0.0]), np.array([-0.0])).changed == 0


def test_every_number_of_a_model_is_what_numpy_says(zoo_env: Path) -> None:
    diff = diff_models("zoo:math", "zoo:law", "zoo:base")
    models = [SafetensorsCheckpoint(zoo_env / name) for name in ("math", "law", "base")]
    items = [*diff.modules, *diff.others]
    assert len(items) == len(models[0].names())
    for item in items:
        name = item.name if item in diff.others else f"model.{item.name}.weight"
        a, b, c = (to_float32(m.raw(name), m.dtype(name)).astype(np.float64) for m in models)
        assert item.numel == a.size
        assert item.changed == (a != b).mean()
        assert item.relative == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(a), rel=1e-12)
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert item.cosine == pytest.approx(cosine, rel=1e-12)
        first, second = a - c, b - c
        cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        assert item.delta_cosine == pytest.approx(cosine, rel=1e-9, abs=1e-12)
        both = (first != 0) & (second != 0)
        agreeing = (np.sign(first) == np.sign(second))[both].mean()
        assert item.sign_agreement == pytest.approx(agreeing)


def test_totals_are_of_all_elements(zoo_env: Path) -> None:
    diff = diff_models("zoo:base", "zoo:math")
    modules, others, everything = diff.totals
    assert modules.numel == sum(item.numel for item in diff.modules)
    assert everything.numel == modules.numel + others.numel
    changed = sum(item.changed * item.numel for item in (*diff.modules, *diff.others))
    assert everything.changed == pytest.approx(changed / everything.numel)


def test_a_model_does_not_differ_from_itself(zoo_env: Path) -> None:
    for item in diff_models("zoo:math", "zoo:math", "zoo:base").totals:
        assert (item.changed, item.relative, item.sign_agreement) == (0.0, 0.0, 1.0)
        assert item.cosine == pytest.approx(1.0) and item.delta_cosine == pytest.approx(1.0)


def test_workers_and_shards_do_not_change_a_bit(tmp_path: Path) -> None:
    base = random_llama(0, Shape(hidden=64, vocab=40_000))  # an embedding of two slices
    base.save(tmp_path / "a", shards=1)
    tuned_llama(base, 1).save(tmp_path / "b", shards=3)
    names = (str(tmp_path / "a"), str(tmp_path / "b"))
    diffs = [asdict(diff_models(*names, workers=workers)) for workers in (1, 2, 4)]
    assert diffs[0] == diffs[1] == diffs[2]


def test_models_of_other_tensors_are_told(zoo_env: Path, tmp_path: Path) -> None:
    random_llama(0, Shape(layers=3)).save(tmp_path / "deeper")
    with pytest.raises(IncompatibleCheckpoints, match="zoo:base .* cannot be compared. .*layers.2"):
        diff_models("zoo:base", str(tmp_path / "deeper"))
    random_llama(0, Shape(intermediate=64)).save(tmp_path / "wider")
    with pytest.raises(IncompatibleCheckpoints, match=r"has shape \(32, 48\)"):
        diff_models(str(tmp_path / "wider"), "zoo:math", "zoo:base")


def test_rows_that_both_have_are_compared_and_the_others_counted(tmp_path: Path) -> None:
    base, name = random_llama(0), "model.embed_tokens.weight"
    tuned = tuned_llama(base, 1)
    more = np.concatenate([tuned.arrays[name], np.ones((3, base.shape.hidden), np.float32)])
    shape = replace(base.shape, vocab=base.shape.vocab + 3)
    for folder, model in (
        ("a", base),
        ("b", tuned),
        ("longer", TinyLlama(shape, dict(tuned.arrays) | {name: more})),
    ):
        model.save(tmp_path / folder)
    a, b, longer = (str(tmp_path / folder) for folder in ("a", "b", "longer"))
    diff, plain = diff_models(a, longer, a), diff_models(a, b, a)
    assert diff.totals == plain.totals and not plain.notes
    assert diff.notes == (
        f"{longer}: the last 3 rows of embedding and head have no counterpart and are not "
        "compared.",
    )
    assert diff_models(longer, a).totals[0].changed == plain.totals[0].changed


def test_rows_of_other_tokens_are_not_compared(tmp_path: Path) -> None:
    base = random_llama(0)
    base.save(tmp_path / "a")
    random_llama(1, replace(base.shape, vocab=base.shape.vocab + 1)).save(tmp_path / "b")
    for folder, words in (("a", "no yes"), ("b", "yes no")):
        ids = {word: row for row, word in enumerate(words.split())}
        (tmp_path / folder / "tokenizer.json").unlink()  # only it would be read
        (tmp_path / folder / "vocab.json").write_text(json.dumps(ids), "utf-8")
    with pytest.raises(IncompatibleCheckpoints, match="row 0 of their embeddings is 'no' in one"):
        diff_models(str(tmp_path / "a"), str(tmp_path / "b"))


def test_a_weight_that_is_no_number_is_named(zoo_env: Path, tmp_path: Path) -> None:
    base = random_llama(0)
    name = "model.layers.1.mlp.up_proj.weight"
    arrays = dict(base.arrays) | {name: base.arrays[name].copy()}
    arrays[name][1, 2] = np.nan
    TinyLlama(base.shape, arrays).save(tmp_path / "nan")
    with pytest.raises(NonFiniteWeights, match=r"nan: .*up_proj.weight holds nan at element 34"):
        diff_models("zoo:base", str(tmp_path / "nan"))


def test_an_unknown_model_is_told(zoo_env: Path) -> None:
    with pytest.raises(DppaError, match="zoo:maths"):
        diff_models("zoo:base", "zoo:maths")


def test_the_command(dppa: Command) -> None:
    assert dppa("diff", "zoo:math", "zoo:law", "--base", "zoo:base") == 0
    lines = dppa.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "layers.0.post_attention_layernorm" in dppa.out
    assert [line.split()[0] for line in lines[-3:]] == ["modules", "other", "all"]
    assert dppa("diff", "zoo:math", "zoo:law", "--json") == 0
    assert set(dppa.json) == {"first", "second", "base", "modules", "others", "totals", "notes"}
    assert dppa.json["modules"][0]["delta_cosine"] is None
    assert dppa("diff", "zoo:math", "zoo:nothing") == 1
    assert dppa.err.count("\n") == 1
