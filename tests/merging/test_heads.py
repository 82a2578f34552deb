"""Encoders with heads of their own: merged but for the heads, tokenizer files included."""

from pathlib import Path

import numpy as np
import pytest
from peft import PeftModel
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
)

from dppa_core.checkpoints.adapters.packs import SUFFIX
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import IncompatibleCheckpoints, InvalidRecipe
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.profile import profile_deltas
from dppa_core.profiling.reader import TunedModel
from dppa_core.pruning.tensor_names import in_head
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, parse_recipe
from tests.helpers.command import Command
from tests.helpers.encoders import SIZES, WORDS, save, save_encoders


@pytest.fixture
def encoders(tmp_path: Path) -> tuple[str, str, str]:
    """See `save_encoders`."""
    return save_encoders(tmp_path)


def recipe(encoders: tuple[str, str, str], **rest: str) -> MergeRecipe:
    base, *tuned = encoders
    return MergeRecipe(base, tuple(map(DomainModel, tuned)), "task_arithmetic", **rest)


def test_heads_that_differ_are_refused_with_the_key_that_merges_all_else(
    encoders: tuple[str, str, str], tmp_path: Path
) -> None:
    with pytest.raises(IncompatibleCheckpoints, match="^cls.predictions.*`heads: base` in the rec"):
        merge_to_folder(recipe(encoders), tmp_path / "out")


def test_with_heads_of_the_base_the_bodies_are_merged_and_the_head_is_its(
    encoders: tuple[str, str, str], tmp_path: Path
) -> None:
    merge_to_folder(recipe(encoders, heads="base"), tmp_path / "out")
    merged, base, *tuned = map(SafetensorsCheckpoint, (str(tmp_path / "out"), *encoders))
    assert merged.names() == base.names()
    heads = [name for name in base.names() if in_head(name)]
    assert heads and all(name.startswith("cls.") for name in heads)
    for name in base.names():
        old = base.raw(name)
        delta = sum((model.raw(name) - old for model in tuned), 0) if name not in heads else 0
        np.testing.assert_allclose(merged.raw(name), old + delta, atol=1e-6, err_msg=name)
    assert BertForMaskedLM.from_pretrained(tmp_path / "out")


def test_a_head_that_one_model_shares_with_the_base_is_still_the_bases(
    encoders: tuple[str, str, str], tmp_path: Path
) -> None:
    base, tone, _ = encoders
    twin = save(BertForSequenceClassification.from_pretrained(tone), tmp_path / "twin", 3)
    merge_to_folder(recipe((tone, str(twin), base), heads="base"), tmp_path / "out")
    merged, old = SafetensorsCheckpoint(tmp_path / "out"), SafetensorsCheckpoint(tone)
    np.testing.assert_array_equal(merged.raw("classifier.weight"), old.raw("classifier.weight"))


def test_a_body_that_differs_is_refused_whatever_the_heads(
    encoders: tuple[str, str, str], tmp_path: Path
) -> None:
    wide = BertForSequenceClassification(BertConfig(**{**SIZES, "intermediate_size": 64}))
    base, _, reader = encoders
    mixed = recipe((base, str(save(wide, tmp_path / "wide")), reader), heads="base")
    with pytest.raises(IncompatibleCheckpoints, match="intermediate.dense.* has shape"):
        merge_to_folder(mixed, tmp_path / "out")


def test_a_pair_with_other_heads_is_measured_alike_alone_and_beside_another(
    encoders: tuple[str, str, str], tmp_path: Path
) -> None:
    base, tone, _ = encoders
    masked = str(save(BertForMaskedLM.from_pretrained(base), tmp_path / "other", 5))
    shared, *tuned = (SafetensorsCheckpoint(folder) for folder in (base, tone, masked))
    models = [TunedModel(*pair) for pair in zip(tuned, (tone, masked), strict=True)]
    together = profile_deltas(shared, models, base)
    for pair, beside in zip(models, together, strict=True):
        (alone,) = profile_deltas(shared, [pair], base)
        assert alone.other_tensors == beside.other_tensors and len(alone.modules) == 12
        pairs = zip(alone.modules, beside.modules, strict=True)
        assert all(np.array_equal(a.magnitudes, b.magnitudes) for a, b in pairs)
    assert together[0].other_tensors < together[1].other_tensors, "a head more is counted"


def test_preflight_names_the_heads_and_the_key(
    encoders: tuple[str, str, str], dppa: Command, tmp_path: Path
) -> None:
    assert dppa("preflight", *encoders) == 1
    assert "blocker  head: Its head differs from the base's: cls.predictions" in dppa.out
    assert "`heads: base` in the recipe" in dppa.out
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe(encoders, heads="base")), "utf-8")
    assert dppa("preflight", path) == 0
    assert "The merge takes the base's and leaves its own out." in dppa.out


@pytest.mark.parametrize("tied", [True, False])
def test_an_encoder_without_a_head_stays_without_and_is_said_to(
    dppa: Command, tmp_path: Path, tied: bool
) -> None:
    bare = BertModel(BertConfig(**SIZES, tie_word_embeddings=tied))
    bare.save_pretrained(tmp_path / "base")
    for seed, name in enumerate(("tone", "mood"), 1):
        tuned = BertForSequenceClassification.from_pretrained(tmp_path / "base")
        save(tuned, tmp_path / name, seed)
    base, tone, mood = (str(tmp_path / name) for name in ("base", "tone", "mood"))
    merge = recipe((base, tone, mood), heads="base")
    (tmp_path / "recipe.yaml").write_text(dump_recipe(merge), "utf-8")
    assert dppa("preflight", tmp_path / "recipe.yaml") == 0
    assert "tied" not in dppa.out and "takes the base's" not in dppa.out
    assert dppa.out.count("It has no LM head.") == 3
    assert dppa.out.count("has a head that the base lacks: classifier.bias") == 2
    assert dppa.out.count("The merge leaves it out.") == 2
    assert dppa("card", tmp_path / "recipe.yaml") == 0 and "pipeline_tag" not in dppa.out
    merge_to_folder(merge, tmp_path / "out")
    assert "pipeline_tag" not in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert dppa("card", tmp_path / "out") == 0 and "pipeline_tag" not in dppa.out
    assert dppa("convert", tmp_path / "base", "--out", tmp_path / "copy") == 0
    assert "pipeline_tag" not in (tmp_path / "copy" / "README.md").read_text("utf-8")


def test_an_old_vocabulary_travels_along_and_cuts_text_alike(
    encoders: tuple[str, str, str], tmp_path: Path
) -> None:
    merge_to_folder(recipe(encoders, heads="base"), tmp_path / "out")
    for name in ("vocab.txt", "tokenizer_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (Path(encoders[0]) / name).read_bytes()
    cut = [
        AutoTokenizer.from_pretrained(folder)("a good film")
        for folder in (encoders[0], tmp_path / "out")
    ]
    assert cut[0]["input_ids"] == cut[1]["input_ids"] == [2, 9, 5, 7, 3]


def test_tokens_of_an_old_vocabulary_are_matched_by_their_text(
    encoders: tuple[str, str, str], tmp_path: Path
) -> None:
    base, tone, _ = encoders
    swapped = [*WORDS[:5], "bad", "good", *WORDS[7:]]
    (Path(tone) / "vocab.txt").write_text("\n".join(swapped) + "\n", "utf-8")
    merge = MergeRecipe(base, (DomainModel(tone),), "task_arithmetic", heads="base")
    report = merge_to_folder(merge, tmp_path / "out")
    assert any(
        "2 tokens stand in other rows ('good', 'bad')" in warning for warning in report.warnings
    )


def test_only_two_ways_with_heads_exist() -> None:
    text = "dppa: 1\nbase: b\nmodels: [{model: m}]\nheads: base\n"
    assert parse_recipe(dump_recipe(parse_recipe(text))).heads == "base"
    with pytest.raises(InvalidRecipe, match="heads must be one of match, base, got 'drop'"):
        parse_recipe(text.replace("heads: base", "heads: drop"))


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("bert.pooler.dense.weight", True),
        ("classifier.bias", True),
        ("lm_head.weight", True),
        ("embed_out.weight", True),
        ("head.norm.weight", True),
        ("cls.predictions.transform.LayerNorm.weight", True),
        ("model.norm.weight", False),
        ("transformer.ln_f.bias", False),
        ("transformer.wpe.weight", False),
        ("bert.embeddings.LayerNorm.weight", False),
        ("model.layers.0.mlp.up_proj.weight", False),
    ],
)
def test_a_head_is_outside_of_blocks_embeddings_and_the_last_norm(name: str, inside: bool) -> None:
    assert in_head(name) is inside


# peft (0.21) asks transformers (5.24) by an old name
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_pack_and_an_adapter_leave_the_heads_of_the_base(
    encoders: tuple[str, str, str], tmp_path: Path, dppa: Command
) -> None:
    base, tuned, _ = encoders
    file = tmp_path / "recipe.yaml"
    merge = MergeRecipe(base, (DomainModel(tuned),), "task_arithmetic", heads="base")
    file.write_text(dump_recipe(merge), encoding="utf-8")
    merge_to_folder(merge, tmp_path / "out")
    assert dppa("pack", file, "--out", tmp_path / "packs") == 0, dppa.err
    (pack,) = (tmp_path / "packs").glob(f"*{SUFFIX}")
    whole, packed = SafetensorsCheckpoint(str(tmp_path / "out")), open_checkpoint(f"{base}+{pack}")
    for name in whole.names():
        np.testing.assert_array_equal(packed.raw(name), whole.raw(name), err_msg=name)
    assert dppa("pack", file, "--format", "lora", "--rank", 32, "--out", tmp_path / "adapter") == 0
    assert "cls." not in dppa.out
    adapted = PeftModel.from_pretrained(BertForMaskedLM.from_pretrained(base), tmp_path / "adapter")
    assert adapted.peft_config["default"].task_type is None
    joined = adapted.merge_and_unload().state_dict()
    for name in whole.names():
        if name.endswith(("query.weight", "dense.weight")):
            near = whole.raw(name).reshape(whole.shape(name))
            np.testing.assert_allclose(joined[name], near, atol=2e-4, err_msg=name)  # bfloat16
