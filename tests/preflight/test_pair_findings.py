"""Findings about a base and a domain model, from facts made by hand; and the merge agrees."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.matching import match_tensors
from dppa_core.checkpoints.vocabulary.alignment import align
from dppa_core.checkpoints.vocabulary.tokens import Vocabulary
from dppa_core.errors import CheckpointError
from dppa_core.preflight_checks.facts import (
    AdapterFacts,
    Finding,
    ModelFacts,
    Severity,
    TokenizerFacts,
)
from dppa_core.preflight_checks.local_facts import look_at_folder
from dppa_core.preflight_checks.model_findings import about_model
from dppa_core.preflight_checks.pair_findings import about_pair
from tests.helpers.preflight_facts import SHAPE, base, model, of_severity, tensors
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama

DOWN = "model.layers.0.mlp.down_proj.weight"


def findings_of(base_facts: ModelFacts, model_facts: ModelFacts) -> list[Finding]:
    return list(about_pair(base_facts, model_facts))


def test_a_model_of_this_base_has_nothing_but_ok() -> None:
    every = findings_of(base(), model(stated_bases=("acme/base",)))
    assert {f.severity for f in every} == {Severity.OK}
    assert {f.topic for f in every} == {"base", "tensors", "tokenizer"}


def test_a_card_that_names_another_base_is_warned_of() -> None:
    (finding,) = of_severity(
        Severity.WARNING, findings_of(base(), model(stated_bases=("other/base",)))
    )
    assert finding.topic == "base" and "other/base" in finding.what + finding.remedy
    assert not of_severity(
        Severity.WARNING, findings_of(base(), model(stated_bases=("acme/math",)))
    )


@pytest.mark.parametrize(
    ("key", "value", "topic"),
    [
        ("model_type", "mistral", "architecture"),
        ("num_attention_heads", 8, "size"),
        ("rope_theta", 1e6, "positions"),
    ],
)
def test_a_configuration_that_differs_is_warned_of(key: str, value: object, topic: str) -> None:
    base_facts = base(config={**SHAPE.config("BF16"), "rope_theta": 1e4})
    model_facts = model(config={**base_facts.config, key: value})
    (finding,) = of_severity(Severity.WARNING, findings_of(base_facts, model_facts))
    assert finding.topic == topic and str(value) in finding.what


@pytest.mark.parametrize(("lacking", "owner"), [("base", "its"), ("model", "the base's")])
def test_a_model_type_that_only_one_configuration_names_is_noted(lacking: str, owner: str) -> None:
    config = SHAPE.config("BF16")
    unnamed = {key: value for key, value in config.items() if key != "model_type"}
    base_facts = base(config=unnamed if lacking == "base" else config)
    model_facts = model(config=unnamed if lacking == "model" else config)
    (finding,) = (f for f in findings_of(base_facts, model_facts) if f.topic == "architecture")
    assert finding.severity is Severity.NOTE
    assert f"is llama in {owner} configuration" in finding.what


@pytest.mark.parametrize(
    ("heads", "severity"),
    [("match", Severity.BLOCKER), ("ask", Severity.NOTE), ("base", Severity.NOTE)],
)
def test_heads_that_differ_stop_a_merge_that_wants_them_to_match(
    heads: str, severity: Severity
) -> None:
    theirs = model(tensors=tensors() | tensors({"classifier.weight": (2, 32)}))
    (finding,) = (f for f in about_pair(base(), theirs, heads=heads) if f.topic == "head")
    assert finding.severity is severity and "classifier.weight" in finding.what
    assert ("heads: base" in finding.remedy) == (heads != "base")


def test_what_only_one_configuration_says_is_no_difference() -> None:
    theirs = {k: v for k, v in SHAPE.config("BF16").items() if k != "head_dim"}
    assert not of_severity(Severity.WARNING, findings_of(base(), model(config=theirs)))


def test_unmatched_names_are_counted_and_named() -> None:
    theirs = tensors()
    del theirs[DOWN]
    theirs |= tensors({"model.layers.9.mlp.down_proj.weight": (2, 2)})
    blockers = of_severity(Severity.BLOCKER, findings_of(base(), model(tensors=theirs)))
    assert [f.what for f in blockers] == [
        f"1 tensor of the base is not in it: {DOWN}.",
        "It has 1 tensor the base lacks: model.layers.9.mlp.down_proj.weight.",
    ]


def test_another_shape_names_both() -> None:
    theirs = tensors() | tensors({DOWN: (32, 50)})
    (finding,) = of_severity(Severity.BLOCKER, findings_of(base(), model(tensors=theirs)))
    assert f"{DOWN} is 32 × 50, in the base 32 × 48" in finding.what


def test_other_rows_for_the_same_tokens_are_padding() -> None:
    wider = tensors(Shape(vocab=260).tensors())
    every = findings_of(base(), model(tensors=wider))
    (finding,) = of_severity(Severity.NOTE, every)
    assert finding.topic == "vocabulary" and "260 rows for the same tokens" in finding.what
    assert not of_severity(Severity.BLOCKER, every)


def test_other_rows_without_a_tokenizer_are_a_blocker() -> None:
    wider = model(tensors=tensors(Shape(vocab=260).tensors()), tokenizer=TokenizerFacts())
    (finding,) = of_severity(Severity.BLOCKER, findings_of(base(), wider))
    assert finding.topic == "vocabulary" and "260 rows of tokens, the base 259" in finding.what


def test_an_embedding_of_another_width_is_another_shape() -> None:
    narrow = tensors() | tensors({"model.embed_tokens.weight": (260, 31)})
    (finding,) = of_severity(Severity.BLOCKER, findings_of(base(), model(tensors=narrow)))
    assert finding.topic == "tensors" and "260 × 31" in finding.what


def test_a_wider_embedding_is_another_size_of_model() -> None:
    wide = tensors(Shape(hidden=64).tensors())
    blockers = of_severity(Severity.BLOCKER, findings_of(base(), model(tensors=wide)))
    assert "tensors" in {f.topic for f in blockers}
    assert "vocabulary" not in {f.topic for f in blockers}


def test_another_float_is_noted() -> None:
    (finding,) = of_severity(
        Severity.NOTE, findings_of(base(), model(tensors=tensors(dtype="F32")))
    )
    assert finding.topic == "dtype" and "F32, the base's BF16" in finding.what


def tokenizer(tokens: Mapping[str, int] | None, name: str) -> TokenizerFacts:
    words = None if tokens is None else Vocabulary(tokens)
    return TokenizerFacts("Fast", ("tokenizer.json",), frozenset({name}), words)


@pytest.mark.parametrize(
    ("theirs", "severity", "words"),
    [
        ({"a": 0, "b": 1}, Severity.OK, "2 tokens are the base's"),
        ({"a": 0, "b": 1, "<pad>": 2}, Severity.NOTE, "1 more ('<pad>'); 2 are shared"),
        ({"a": 0}, Severity.NOTE, "1 fewer ('b')"),
        ({"a": 1, "b": 0}, Severity.NOTE, "2 in other rows"),
        ({"x": 0, "y": 1, "a": 2}, Severity.WARNING, "2 more"),
        (None, Severity.WARNING, "could not be compared"),
    ],
)
def test_tokenizers_are_compared_token_by_token(
    theirs: Mapping[str, int] | None, severity: Severity, words: str
) -> None:
    base_facts = base(tokenizer=tokenizer({"a": 0, "b": 1}, "git:1"))
    every = findings_of(base_facts, model(tokenizer=tokenizer(theirs, "git:2")))
    (finding,) = [f for f in every if f.topic == "tokenizer"]
    assert finding.severity is severity and words in finding.what


def test_a_union_with_tokens_of_another_table_cuts_text_otherwise() -> None:
    base_facts = base(tokenizer=tokenizer({"a": 0, "b": 1}, "git:1"))
    plain = tokenizer({"a": 0, "b": 1, "c": 2}, "git:2")
    (finding,) = of_severity(
        Severity.WARNING, list(about_pair(base_facts, model(tokenizer=plain), "union"))
    )
    assert "decide how its text is cut" in finding.what
    added = TokenizerFacts(
        "Fast", ("tokenizer.json",), frozenset({"git:2"}),
        Vocabulary({"a": 0, "b": 1, "c": 2}, frozenset({"c"})),
    )  # fmt: skip
    assert not of_severity(
        Severity.WARNING, list(about_pair(base_facts, model(tokenizer=added), "union"))
    )
    (note,) = of_severity(Severity.NOTE, findings_of(base_facts, model(tokenizer=added)))
    assert "`vocabulary: union` keeps them" in note.remedy


def test_a_template_the_base_lacks_is_noted() -> None:
    chatty = TokenizerFacts("Fast", ("tokenizer.json",), frozenset({"git:1"}), template="{{x}}")
    (finding,) = of_severity(Severity.NOTE, findings_of(base(), model(tokenizer=chatty)))
    assert finding.topic == "template" and "the base has none" in finding.what
    assert not of_severity(Severity.NOTE, findings_of(base(tokenizer=chatty), model()))
    (differing,) = of_severity(
        Severity.NOTE,
        findings_of(base(tokenizer=replace(chatty, template="{{y}}")), model(tokenizer=chatty)),
    )
    assert "`chat_template: acme/math`" in differing.remedy


def test_a_head_beside_a_tied_base_is_a_warning_as_headers_do_not_tell() -> None:
    untied = model(tensors=tensors(Shape(tied=False).tensors()))
    (finding,) = of_severity(Severity.WARNING, findings_of(base(), untied))
    assert finding.topic == "head" and "lm_head.weight" in finding.what


Change = Callable[[dict[str, np.ndarray]], None]


def without(name: str) -> Change:
    def change(arrays: dict[str, np.ndarray]) -> None:
        del arrays[name]

    return change


def put(name: str, *shape: int) -> Change:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = np.ones(shape, np.float32)

    return change


def renamed(arrays: dict[str, np.ndarray]) -> None:
    for name in list(arrays):
        arrays[name.removeprefix("model.")] = arrays.pop(name)


CHANGES: dict[str, tuple[Shape, Change]] = {
    "the same": (Shape(), lambda arrays: None),
    "without prefix": (Shape(), renamed),
    "one missing": (Shape(), without(DOWN)),
    "one more": (Shape(), put("model.layers.5.mlp.down_proj.weight", 32, 48)),
    "another shape": (Shape(), put(DOWN, 32, 49)),
    "more rows": (Shape(), put("model.embed_tokens.weight", 260, 32)),
    "a buffer more": (Shape(), put("model.layers.0.self_attn.rotary_emb.inv_freq", 8)),
    "three layers": (Shape(layers=3), lambda arrays: None),
    "an untied base": (Shape(tied=False), without("lm_head.weight")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_preflight_blocks_exactly_what_the_merge_refuses(change: str, tmp_path: Path) -> None:
    shape, edit = CHANGES[change]
    base_model = random_llama(0, Shape() if change == "three layers" else shape)
    arrays = dict(random_llama(1, shape).arrays)
    edit(arrays)
    base_model.save(tmp_path / "base")
    TinyLlama(shape, arrays).save(tmp_path / "tuned")
    sides = [tmp_path / "base", tmp_path / "tuned"]
    looked = [look_at_folder(str(folder), folder).facts for folder in sides]
    assert looked[0] and looked[1]
    findings = [*about_model(looked[1]), *findings_of(looked[0], looked[1])]
    opened = [SafetensorsCheckpoint(folder) for folder in sides]
    try:
        put = align(opened[0], opened[1:], ["tuned"])
        match_tensors(put.base, put.tuned[0])
        refused = False
    except CheckpointError:
        refused = True
    assert bool(of_severity(Severity.BLOCKER, findings)) == refused, [f.what for f in findings]


def test_counters_on_one_side_and_weights_on_the_other_are_a_blocker() -> None:
    strange = tensors() | tensors({"model.norm.weight": (32,)}, "I64")
    (finding,) = of_severity(Severity.BLOCKER, findings_of(base(), model(tensors=strange)))
    assert finding.topic == "dtype" and "model.norm.weight is I64, in the base BF16" in finding.what


@pytest.mark.parametrize(
    ("trained_on", "noted"),
    [
        ("meta-llama/Llama-2-7b", True),
        ("acme/My_Base", False),
        ("/tmp/run-7/checkpoint", False),
        ("", False),
    ],
)
def test_an_adapter_of_another_model_is_noted(trained_on: str, noted: bool) -> None:
    """Names are compared loosely; the trainer's local folder says nothing."""
    local = model("models/my-base", source="local")
    adapters = (AdapterFacts("./lora", trained_on),)
    tuned = model("models/my-base+./lora", source="local", adapters=adapters)
    notes = [
        f for f in of_severity(Severity.NOTE, list(about_pair(local, tuned))) if f.topic == "base"
    ]
    assert len(notes) == noted
    assert all(trained_on in note.what and "models/my-base" in note.what for note in notes)
