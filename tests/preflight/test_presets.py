"""Sets of Hub models: their file, what they need, and whether they run here."""

import re
from pathlib import Path

import pytest
from huggingface_hub import constants

from dppa_core.checkpoints.sources.fetchable import FETCHABLE
from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint
from dppa_core.errors import UnknownName
from dppa_core.preflight_checks import fetchable_sets as presets
from dppa_core.preflight_checks.estimate import MERGE_MEMORY, MODEL_MEMORY
from dppa_core.preflight_checks.fetchable_sets import (
    FetchableSet,
    PresetModel,
    fetchable_set,
    fetchable_sets,
    runs_here,
)
from dppa_core.system.machine import Machine
from tests.helpers.command import Command
from tests.helpers.hub_server import HubServer
from tests.preflight.conftest import BASE, MATH

EXPECTED_SETS = {
    "meta-llama/Llama-2-7b-hf": ["GAIR/Abel-7B-001", "AdaptLLM/finance-chat", "AdaptLLM/law-chat"],
    "google/gemma-2-2b": [
        f"MergeBench/gemma-2-2b_{domain}"
        for domain in ("math", "coding", "instruction", "multilingual", "safety")
    ],
    "Qwen/Qwen2.5-0.5B": ["Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-Coder-0.5B"],
    "Qwen/Qwen2.5-1.5B": ["Qwen/Qwen2.5-Math-1.5B", "Qwen/Qwen2.5-Coder-1.5B"],
    "zoo:smollm2": ["zoo:smollm2-math", "zoo:smollm2-finance", "zoo:smollm2-law"],
    "HuggingFaceTB/SmolLM2-135M": ["HuggingFaceTB/SmolLM2-135M-Instruct"],
}


def test_the_sets_are_those_and_the_smallest_comes_first() -> None:
    sets = {p.base.model: [m.model for m in p.models] for p in fetchable_sets()}
    assert sets == EXPECTED_SETS
    sizes = [preset.download for preset in fetchable_sets()]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("preset", fetchable_sets(), ids=lambda preset: preset.name)
def test_a_set_names_what_can_be_asked_for(preset: FetchableSet) -> None:
    assert re.fullmatch(r"[a-z0-9.-]+", preset.name) and preset.title
    for model in preset.all:
        ref = ModelRef.parse(model.reference)
        assert ref.source == ("zoo" if model.shipped else "hub") and str(ref) == model.reference
        assert not model.revision or re.fullmatch(r"[0-9a-f]{40}", model.revision)
        assert model.parameters == preset.base.parameters
    assert len({model.revision for model in preset.all if model.revision}) == len(
        [model for model in preset.all if model.revision]
    )


def test_an_unknown_set_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'llama-2-7b'"):
        fetchable_set("llama2-7b")


def tiny_set(parameters: int = 1000, **settings: object) -> FetchableSet:
    base = PresetModel(BASE, parameters, **settings)  # type: ignore[arg-type]
    return FetchableSet("tiny", "Tiny", base, (PresetModel(MATH, parameters, dtype="float32"),))


def test_sizes_and_estimates_by_hand() -> None:
    preset = tiny_set(licence="mit")
    assert [model.bytes for model in preset.all] == [2000, 4000]
    assert preset.licences == ("mit", "not stated here")
    needed = preset.estimate(6000)
    assert (needed.download, needed.written, needed.merge_memory) == (6000, 2000, MERGE_MEMORY)


@pytest.mark.parametrize(
    ("memory", "disk", "word", "reason"),
    [
        (10**12, 8000, "yes", ""),
        (None, 8000, "yes", ""),
        (10**12, 7999, "no", "8 kB of disk"),
        (MODEL_MEMORY + 5999, 8000, "merge only", "of memory"),
        (MERGE_MEMORY - 1, 8000, "no", "of memory"),
    ],
)
def test_what_runs_here_is_reckoned_from_what_is_left(
    memory: int | None, disk: int, word: str, reason: str
) -> None:
    verdict = runs_here(tiny_set().estimate(6000), Machine(memory, disk))
    assert verdict.word == word
    assert verdict.reason.startswith(reason) if not reason else reason in verdict.reason


def test_what_is_here_need_not_be_fetched(hub: HubServer) -> None:
    for revision in ("", hub.models[BASE].commit):
        assert tiny_set(revision=revision).missing() == 6000
    open_checkpoint(BASE)
    for revision in ("", hub.models[BASE].commit):
        assert tiny_set(revision=revision).missing() == 4000
    request_count = len(hub.requests)
    assert tiny_set().missing() == 4000 and len(hub.requests) == request_count


def test_the_list_is_printed_with_what_each_set_takes(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert dppa("presets") == 0
    assert "runs here" in dppa.out.splitlines()[0]
    assert all(preset.name in dppa.out for preset in fetchable_sets())
    assert dppa("presets", "--json") == 0
    first, second, *_ = dppa.json["presets"]
    assert first["missing_bytes"] == FETCHABLE["smollm2"].download
    assert second["missing_bytes"] == 2 * 2 * 134_515_008
    assert first["runs_here"] in ("yes", "merge only", "no")


def test_preflight_looks_at_a_set(
    hub: HubServer, dppa: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "fetchable_sets", lambda: (tiny_set(),))
    assert dppa("preflight", "--preset", "tiny", "--json") == 0
    assert dppa.json["models"] == [f"hub:{MATH}"] and dppa.json["ready"]
    assert dppa("preflight", "--preset", "nosuch") == 1
    assert dppa.err.count("\n") == 1
    assert dppa("preflight", "--preset", "tiny", "zoo:base", "zoo:math") == 2
