"""Findings about one model, from facts made by hand."""

from dataclasses import replace

import pytest

from dppa_core.preflight_checks.facts import Finding, ModelFacts, Severity, counted, in_bytes
from dppa_core.preflight_checks.model_findings import about_model
from tests.helpers.preflight_facts import SHAPE, model, of_severity, tensors, topics
from tests.helpers.tiny_models import Shape

DOWN = "model.layers.0.mlp.down_proj.weight"


def findings_of(facts: ModelFacts) -> list[Finding]:
    return list(about_model(facts))


def test_a_sound_model_has_nothing_but_ok() -> None:
    every = findings_of(model())
    assert {finding.severity for finding in every} == {Severity.OK}
    assert {finding.topic for finding in every} == {"format", "architecture", "head"}
    # 259·32 embedding, 2 layers of (32² q, 2·16·32 kv, 32² o, 3·48·32 mlp), 5 norms of 32
    count = 259 * 32 + 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32) + 5 * 32
    assert model().parameters == count == 23_808
    assert f"BF16, {counted(count)} parameters, {in_bytes(2 * count)}" in every[0].what
    modules = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32)
    assert f"2 layers, 14 linear modules with {modules / count:.0%}" in every[1].what


@pytest.mark.parametrize(
    ("gated", "config", "severity"),
    [("manual", {"model_type": "llama"}, Severity.OK), ("manual", {}, Severity.BLOCKER),
     ("auto", {}, Severity.BLOCKER)],
)  # fmt: skip
def test_a_gated_model_blocks_only_without_access(
    gated: str, config: dict[str, object], severity: Severity
) -> None:
    closed = model("hub:meta/llama@main", gated=gated, config=config, tensors={})
    (finding,) = [f for f in findings_of(closed) if f.topic == "access"]
    assert finding.severity is severity
    if severity is Severity.BLOCKER:
        assert "https://huggingface.co/meta/llama," in finding.remedy
        assert bool(finding.why) == (gated == "manual")


def test_a_branch_is_noted_with_its_commit_and_a_commit_is_not() -> None:
    (finding,) = of_severity(Severity.NOTE, findings_of(model(revision="")))
    assert "main is commit aaaaaaaa now" in finding.what and "@" + "a" * 40 in finding.remedy
    assert not of_severity(Severity.NOTE, findings_of(model()))
    assert not of_severity(
        Severity.NOTE, findings_of(model(source="local", commit="", revision=""))
    )


def test_quantised_weights_are_refused_with_what_to_use_instead() -> None:
    config = {**model().config, "quantization_config": {"quant_method": "gptq"}}
    packed = model(config=config, stated_bases=("acme/whole",))
    (finding,) = of_severity(Severity.BLOCKER, findings_of(packed))
    assert "quantised (GPTQ)" in finding.what and "acme/whole" in finding.remedy


@pytest.mark.parametrize("dtype", ["F8_E4M3", "I32", "U8"])
def test_packed_matrices_count_as_quantised_without_a_word_in_the_configuration(dtype: str) -> None:
    packed = tensors() | tensors({DOWN: (32, 48)}, dtype)
    (finding,) = of_severity(Severity.BLOCKER, findings_of(model(tensors=packed)))
    assert finding.topic == "format" and DOWN in finding.what


def test_a_dtype_without_a_delta_is_a_blocker() -> None:
    strange = tensors() | tensors({"model.norm.weight": (32,)}, "F64")
    assert topics(Severity.BLOCKER, findings_of(model(tensors=strange))) == {"dtype"}


def test_counters_and_masks_are_not_quantised_weights() -> None:
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": (8,), "steps": (1,)}
    masks = tensors({"transformer.h.0.attn.bias": (1, 1, 8, 8)}, "U8")
    facts = model(tensors=tensors() | tensors(extra, "I64") | masks)
    assert not of_severity(Severity.BLOCKER, findings_of(facts))
    assert list(facts.dtypes) == ["BF16"]


def test_code_of_its_own_and_another_task_are_warned_of() -> None:
    config = {**model().config, "auto_map": {"AutoModel": "modeling_x.X"}}
    config["architectures"] = ["LlamaForQuestionAnswering"]
    noted = of_severity(Severity.WARNING, findings_of(model(config=config)))
    assert ["auto_map" in f.what or "QuestionAnswering" in f.what for f in noted] == [True] * 2


def test_an_encoder_is_named_as_one_and_not_warned_of() -> None:
    config = {"model_type": "bert", "architectures": ["BertForQuestionAnswering"]}
    findings = findings_of(model(config=config))
    assert not of_severity(Severity.WARNING, findings)
    (noted,) = (f for f in findings if "encoder" in f.what)
    assert noted.what == "It is a BertForQuestionAnswering, an encoder: it writes no replies."
    assert "--text" in noted.remedy


def test_a_classifier_is_named_with_its_labels_and_not_warned_of() -> None:
    config = {**model().config, "architectures": ["LlamaForSequenceClassification"]}
    findings = findings_of(model(config=config | {"id2label": {"0": "bad", "1": "good"}}))
    assert not of_severity(Severity.WARNING, findings)
    (noted,) = (f for f in findings if "tells bad, good apart" in f.what)
    assert "--items" in noted.remedy


def test_a_head_of_which_nothing_is_known_is_not_called_tied() -> None:
    (finding,) = (f for f in findings_of(model(config={"hidden_size": 32})) if f.topic == "head")
    assert finding.what == "It stores no LM head."


def test_no_module_among_the_names_is_a_blocker() -> None:
    strange = model(tensors=tensors({"encoder.weight": (4, 4)}))
    assert topics(Severity.BLOCKER, findings_of(strange)) == {"architecture"}


@pytest.mark.parametrize(
    ("tied", "stored", "severity", "words"),
    [
        (True, False, Severity.OK, "is the embedding"),
        (True, True, Severity.NOTE, "stored although it is tied"),
        (False, True, Severity.OK, "a head of its own"),
        (False, False, Severity.BLOCKER, "the files hold none"),
    ],
)
def test_the_head_is_what_configuration_and_files_say(
    tied: bool, stored: bool, severity: Severity, words: str
) -> None:
    shape = Shape(tied=not stored)
    config = {**shape.config("BF16"), "tie_word_embeddings": tied}
    facts = model(config=config, tensors=tensors(shape.tensors()))
    (finding,) = [f for f in findings_of(facts) if f.topic == "head"]
    assert finding.severity is severity and words in finding.what


def test_an_embedding_of_other_rows_than_stated_is_warned_of() -> None:
    facts = model(config={**SHAPE.config("BF16"), "vocab_size": 300})
    (finding,) = of_severity(Severity.WARNING, findings_of(facts))
    assert "300 tokens, its embedding 259 rows" in finding.what


def test_nothing_known_gives_nothing_said() -> None:
    assert not findings_of(replace(model(), config={}, tensors={}))


def test_sizes_are_told_in_three_digits() -> None:
    assert [in_bytes(n) for n in (12, 1_500, 988_097_824, 13_476_835_328, 2e12)] == [
        "12 bytes", "1.5 kB", "988 MB", "13.5 GB", "2 TB",
    ]  # fmt: skip
    counts = [counted(n) for n in (12, 23_808, 494_032_768, 6_738_415_616)]
    assert counts == ["12", "23.8 thousand", "494 million", "6.74 billion"]
