"""Encoders of sentences scored by pairs: vectors as torch makes them, ranks by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DamagedCheckpoint, InvalidValue, NotAllowed
from dppa_core.evaluation.sentences.similarity import rank_interval, read_pairs
from dppa_core.evaluation.sentences.vectors import sentence_vectors
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.encoders import SIZES, save, save_sentence_encoder

pytestmark = pytest.mark.usefixtures("one_torch_thread")
TEXTS = ("a good film", "bad", "not a bad film a good film")
PAIRS = (("a good film", "good film", 5), ("bad", "not good", 4), ("bad film", "good", 1.5),
         ("a film", "not", 0))  # fmt: skip


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return save_sentence_encoder(BertModel(BertConfig(**SIZES)), tmp_path / "base")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [dict(zip(("first", "second", "score"), pair, strict=True)) for pair in PAIRS]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def spearman(first: object, second: object) -> float:
    ranks = [pd.Series(side).rank() for side in (first, second)]
    return float(np.corrcoef(ranks)[0, 1])


def vectors(folder: Path, texts: Sequence[str]) -> torch.Tensor:
    return sentence_vectors(open_checkpoint(str(folder)), texts)


def change(folder: Path, name: str, **values: object) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


@torch.inference_mode()
def states(folder: Path, text: str, most: int) -> torch.Tensor:
    """Of one text alone, so that nothing is padded."""
    ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    ids = ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]
    return AutoModel.from_pretrained(folder).eval()(torch.tensor([ids])).last_hidden_state[0]


def test_vectors_are_pooled_and_projected_as_the_files_say(encoder: Path) -> None:
    torch.manual_seed(9)
    layer = torch.nn.Linear(16, 4)
    raw = [states(encoder, text, 6).mean(0) for text in TEXTS]
    expected = [layer(vector).tanh().detach() for vector in raw]
    expected = [vector / vector.norm() for vector in expected]
    torch.testing.assert_close(vectors(encoder, TEXTS), torch.stack(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "pool"),
    [
        ({"pooling_mode_cls_token": True}, lambda s: s[0]),
        ({"pooling_mode_max_tokens": True}, lambda s: s.amax(0)),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, lambda s: s.sum(0) / len(s) ** 0.5),
        ({"pooling_mode": "cls"}, lambda s: s[0]),
        ({"pooling_mode": "mean"}, lambda s: s.mean(0)),
    ],
)
def test_every_pooling_is_that_of_the_library(encoder: Path, settings: dict, pool: object) -> None:
    (encoder / "1_Pooling/config.json").write_text(json.dumps(settings))
    rows = json.loads((encoder / "modules.json").read_text())
    (encoder / "modules.json").write_text(json.dumps(rows[:2]))
    expected = [pool(states(encoder, text, 6)) for text in TEXTS]  # type: ignore[operator]
    torch.testing.assert_close(vectors(encoder, TEXTS), torch.stack(expected), atol=1e-5, rtol=1e-4)


def test_a_prompt_by_default_comes_before_each_text_and_no_modules_mean_the_mean(
    encoder: Path, tmp_path: Path
) -> None:
    change(encoder, "config_sentence_transformers.json", default_prompt_name="query")
    prompted = vectors(encoder, ["good"])
    change(encoder, "config_sentence_transformers.json", default_prompt_name=None)
    torch.testing.assert_close(prompted, vectors(encoder, ["not good"]))
    plain = save(BertModel.from_pretrained(encoder), tmp_path / "plain")
    mean = states(plain, TEXTS[2], 512).mean(0)[None]
    torch.testing.assert_close(vectors(plain, TEXTS[2:]), mean, atol=1e-5, rtol=1e-4)


def test_unknown_modules_and_damaged_files_are_named(encoder: Path) -> None:
    change(encoder, "2_Dense/config.json", activation_function="x.Swish")
    with pytest.raises(NotAllowed, match="2_Dense: its activation is 'Swish'"):
        vectors(encoder, TEXTS)
    change(encoder, "2_Dense/config.json", activation_function="x.Tanh")
    (encoder / "2_Dense/model.safetensors").write_bytes(b"x")
    with pytest.raises(DamagedCheckpoint, match="2_Dense: its weights cannot be read"):
        vectors(encoder, TEXTS)
    (encoder / "1_Pooling/config.json").write_text('{"pooling_mode_weightedmean_tokens": true}')
    with pytest.raises(NotAllowed, match="Pooling by weightedmean_tokens: known here are"):
        vectors(encoder, TEXTS)


def test_code_of_a_model_is_never_run_and_weights_must_fit(encoder: Path) -> None:
    settings = {"model_type": "own", "auto_map": {"AutoModel": "modeling.Own"}}
    whole = json.loads((encoder / "config.json").read_text())
    change(encoder, "config.json", **settings)
    (encoder / "modeling.py").write_text("raise SystemExit('was run')")
    with pytest.raises(NotAllowed, match="asks for code of its own"):
        vectors(encoder, TEXTS)
    (encoder / "config.json").write_text(json.dumps({**whole, "num_hidden_layers": 3}))
    with pytest.raises(DamagedCheckpoint, match="num_hidden_layers 3, its weights have 2 layers"):
        vectors(encoder, TEXTS)


def test_ranks_are_those_of_pandas_and_ties_share_theirs() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 6, 50).astype(float)
    second = first + rng.normal(0, 2, 50).round()
    interval = rank_interval(first, second)
    assert interval.value == pytest.approx(spearman(first, second))
    assert -1 <= interval.low < interval.value < interval.high <= 1
    assert rank_interval(np.array([1.0, 2, 3]), np.array([10.0, 20, 21])).value == pytest.approx(1)


def test_pairs_are_read_from_lines_and_tables_and_bad_ones_are_named(
    pairs: Path, tmp_path: Path
) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(
        "first,second,score\n" + "\n".join(f"{a},{b},{score}" for a, b, score in PAIRS)
    )
    assert read_pairs(table) == read_pairs(pairs)
    assert [(one.first, one.second, one.score) for one in read_pairs(pairs)] == list(PAIRS)
    for line, words in (
        ('{"first": "a", "second": "b"}', "pair 5: needs two texts and a number"),
        ('{"first": "a", "second": "", "score": 1}', "pair 5: needs two texts"),
        ('{"first": "a", "second": "b", "score": "high"}', "pair 5: needs two texts"),
        ("nonsense", "pair 5: needs two texts"),
    ):
        bad = tmp_path / "bad.jsonl"
        bad.write_text(pairs.read_text() + "\n" + line)
        with pytest.raises(InvalidValue, match=words):
            read_pairs(bad)
    bad.write_text("\n".join(['{"first": "a", "second": "b", "score": 1}'] * 4))
    with pytest.raises(InvalidValue, match="3 to 100,000 whose scores differ"):
        read_pairs(bad)
    with pytest.raises(InvalidValue, match="cannot be read"):
        read_pairs(tmp_path / "none.jsonl")


def test_a_merge_of_encoders_is_scored_beside_its_models(
    encoder: Path, pairs: Path, dppa: Command, tmp_path: Path
) -> None:
    news = save_sentence_encoder(BertModel.from_pretrained(encoder), tmp_path / "news", 1)
    recipe = MergeRecipe(str(encoder), (DomainModel(str(news)),), "task_arithmetic")
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe))
    command = ["evaluate", tmp_path / "recipe.yaml", "--pairs", pairs]
    assert dppa(*command, "--json") == 0
    rows = {row["key"]: row for row in dppa.json["pairs"]}
    assert set(rows) >= {"recipe", "base", str(news)}
    for key, folder in (("base", encoder), (str(news), news)):
        sides = [vectors(folder, [pair[n] for pair in PAIRS]) for n in (0, 1)]
        cosines = torch.cosine_similarity(*sides).numpy()
        expected = spearman(cosines, [pair[2] for pair in PAIRS])
        assert rows[key]["correlation"]["value"] == pytest.approx(expected)
    assert dppa(*command, "--alone") == 0
    assert "Rank correlation (Spearman) of cosines with the scores of 4 pairs" in dppa.out
    assert dppa("evaluate", "zoo:base", "--pairs", pairs) == 0  # a language model has vectors, too
