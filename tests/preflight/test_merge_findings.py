"""Licences, downloads, disk, memory, time and distance: by hand."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dppa_core.methods.registry import METHODS, get_method
from dppa_core.methods.shared.singular import decompose_seconds
from dppa_core.preflight_checks.estimate import (
    COMBINE_RATE,
    DISK_RATE,
    LINE_RATE,
    MATRIX_MEMORY,
    MATRIX_WORK,
    MERGE_MEMORY,
    MODEL_MEMORY,
    MULTIPLY_RATES,
    PASS_RATE,
    RANKED_MEMORY,
    ROUNDED_MEMORY,
    START,
    THREAD_MEMORY,
    WEIGHT_RATE,
    Sizes,
    answer_seconds,
    estimate,
    in_time,
    matrix_seconds,
    memory_to_chat,
)
from dppa_core.preflight_checks.facts import AdapterFacts, Finding, Severity, TokenizerFacts
from dppa_core.preflight_checks.merge_findings import about_licences, about_resources, sizes_of
from dppa_core.preflight_checks.preflight_report import preflight_recipe
from dppa_core.preflight_checks.weight_findings import (
    BaseDistance,
    about_distance,
    measure_distance,
)
from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.module_groups import Module
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system import machine
from dppa_core.system.machine import Machine, available_memory, free_disk
from scripts.size_table import PAGE, table
from tests.helpers.preflight_facts import base, model, of_severity
from tests.helpers.tiny_models import random_llama, tuned_llama

SIZES = Sizes(parameters=1000, stored=(2000, 2000, 4000))


def test_the_formulas_by_hand() -> None:
    got = estimate(SIZES)
    assert (got.download, got.written) == (0, 2000)
    # hashes 2000 + 6000, profiles 2 · 2000 + 6000, merge 2000 + 6000 + 2000
    touched = 8000 + 10_000 + 10_000
    assert got.merge_seconds == pytest.approx(START + touched / PASS_RATE + 2000 / DISK_RATE)
    assert got.merge_memory == MERGE_MEMORY
    assert got.model_memory == MODEL_MEMORY + 1000 * 6


def test_a_combination_is_slower_and_takes_no_more_memory() -> None:
    got = estimate(Sizes(1000, (2000, 2000), combines=True, dtype="float32"))
    touched, merged = 4000 + 4000, 4000 + 4000
    expected = START + touched / PASS_RATE + merged / COMBINE_RATE + 4000 / DISK_RATE
    assert got.merge_seconds == pytest.approx(expected)
    assert got.merge_memory == MERGE_MEMORY, "a combination is streamed like a sum"
    both = estimate(Sizes(1000, (2000, 2000), combines=True, workers=3))
    assert both.merge_memory == MERGE_MEMORY + 2 * THREAD_MEMORY


def test_a_download_is_told_at_a_hundred_megabits() -> None:
    got = estimate(Sizes(1000, (2000, 2000), missing=int(60 * LINE_RATE)))
    assert got.download_seconds == 60


def test_large_models_answer_in_two_bytes_a_parameter() -> None:
    assert memory_to_chat(200_000_000) - MODEL_MEMORY == 200_000_000 * (4 + 2)
    assert memory_to_chat(7_000_000_000) - MODEL_MEMORY == 7_000_000_000 * (2 + 2)


def test_answers_take_the_products_of_a_prompt_and_a_pass_over_the_weights_for_each_token() -> None:
    single_question = answer_seconds(1000, questions=1, tokens=10, reply=5, together=64)
    assert single_question == pytest.approx(2000 / MULTIPLY_RATES[4] * 10 + 5 * 4000 / WEIGHT_RATE)
    # 128 questions in two passes: at 64 a pass the products of a step take longer than its reading
    many = answer_seconds(1000, questions=128, tokens=10, reply=5, together=64)
    work = 2000 / MULTIPLY_RATES[4]
    assert many == pytest.approx(work * 1280 + 2 * 5 * work * 64)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (42.4, "42 s"), (240, "4 min"), (9000, "2.5 h")]
)
def test_time_is_told_as_people_do(seconds: float, words: str) -> None:
    assert in_time(seconds) == words


def test_sizes_come_from_headers_and_missing_files() -> None:
    base_facts, model_facts = (
        base(missing={"model.safetensors": 5}),
        model(missing={"model.safetensors": 7}),
    )
    got = sizes_of(base_facts, [model_facts, model_facts], dtype="float32")
    assert (got.parameters, got.missing) == (23_808, 12)
    assert got.stored == (2 * 23_808,) * 3


def test_embeddings_of_other_tokens_are_put_in_order_in_memory() -> None:
    reordered = model(tokenizer=TokenizerFacts("Fast", ("tokenizer.json",), frozenset({"git:2"})))
    assert sizes_of(base(), [model(), reordered]).moved == 259 * 32 * 2
    moved = estimate(replace(SIZES, moved=1000)).merge_memory
    assert moved - estimate(SIZES).merge_memory == 1000


def test_a_merge_in_sixteen_bits_holds_the_largest_tensors_whole() -> None:
    sizes = partial(sizes_of, base(), [model(), model()], workers=2)
    numels = sorted((math.prod(t.shape) for t in base().tensors.values()), reverse=True)
    own, each = RANKED_MEMORY
    ties = sizes(method="ties", rounds=True).held
    assert ties == (own + 2 * each) * sum(numels[:2])
    assert sizes(method="linear", rounds=True).held < ties
    assert sizes(method="ties").held == sizes().held == 0
    held = estimate(replace(SIZES, held=1000)).merge_memory
    assert held - estimate(SIZES).merge_memory == 1000


@pytest.mark.parametrize("method", MATRIX_MEMORY)
def test_a_method_of_matrices_holds_the_largest_linear_modules_whole(method: str) -> None:
    sizes = sizes_of(base(), [model(), model()], method=method, workers=2)
    own, each = MATRIX_MEMORY[method]
    assert sizes.held == (own + 2 * each) * 2 * 48 * 32, "not the embedding, which is larger"
    combination = get_method(method).combination
    assert combination is not None and combination.matrices


def test_all_methods_of_matrices_have_their_memory_and_work() -> None:
    taking = {m.name for m in METHODS if m.combination is not None and m.combination.matrices}
    assert taking == set(MATRIX_MEMORY) == set(MATRIX_WORK)


def test_time_of_a_method_of_matrices_grows_with_models_and_falls_with_threads() -> None:
    shapes = {"model.layers.0.mlp.experts.gate_up_proj": (3, 40, 30)}
    alone = decompose_seconds([(40, 30)] * 3)
    assert matrix_seconds("tsv_m", 4, shapes) == pytest.approx(2.4 * alone)
    assert matrix_seconds("ties", 4, shapes) == 0
    spent = estimate(replace(SIZES, workers=2, matrix_seconds=10.0)).merge_seconds
    assert spent - estimate(replace(SIZES, workers=2)).merge_seconds == pytest.approx(5)
    assert sizes_of(base(), [model()], method="tsv_m").matrix_seconds > 0


def test_preflight_of_a_recipe_counts_its_arithmetic(tmp_path: Path) -> None:
    weights = random_llama(0)
    weights.save(tmp_path / "base")
    tuned_llama(weights, 1).save(tmp_path / "math")
    models = (DomainModel(str(tmp_path / "math")),)
    recipe = MergeRecipe(str(tmp_path / "base"), models, "task_arithmetic", arithmetic="bfloat16")
    plain, rounded = (
        preflight_recipe(each, workers=1).estimate
        for each in (replace(recipe, arithmetic="float32"), recipe)
    )
    assert plain and rounded
    own, each = ROUNDED_MEMORY["task_arithmetic"]
    largest = max(weight.size for weight in weights.arrays.values())
    assert rounded.merge_memory - plain.merge_memory == (own + each) * largest


def resources(sizes: Sizes, memory: int | None, disk: int) -> dict[str, Finding]:
    return {f.topic: f for f in about_resources(estimate(sizes), Machine(memory, disk))}


def test_a_disk_without_room_for_downloads_blocks() -> None:
    findings = resources(Sizes(1000, (2000, 2000), missing=3000), 10**12, 2999)
    assert (
        findings["download"].severity is Severity.BLOCKER
        and "HF_HOME" in findings["download"].remedy
    )
    findings = resources(Sizes(1000, (2000, 2000), missing=3000), 10**12, 4000)
    assert findings["download"].severity is Severity.NOTE
    assert (
        findings["disk"].severity is Severity.WARNING and "1 kB are left" in findings["disk"].what
    )


def test_room_on_the_disk_is_told_where_there_is_enough() -> None:
    finding = resources(Sizes(1000, (2000, 2000)), 10**12, 5000)["disk"]
    assert finding.severity is Severity.OK
    assert finding.what == (
        "The models are 4 kB in bfloat16, the merge 2 kB in bfloat16; 5 kB are left here."
    )


@pytest.mark.parametrize(
    ("memory", "severity"),
    [(10**10, Severity.OK), (MERGE_MEMORY + 1, Severity.WARNING), (100, Severity.WARNING),
     (None, Severity.NOTE)],
)  # fmt: skip
def test_memory_is_compared_with_what_is_left(memory: int | None, severity: Severity) -> None:
    assert resources(SIZES, memory, 10**12)["memory"].severity is severity


def test_licences_of_models_and_adapters_count() -> None:
    adapter = AdapterFacts("hub:acme/lora", licence="llama2")
    findings = list(about_licences([base(), model(adapters=(adapter,), licence="gpl-3.0")]))
    (conflict,) = of_severity(Severity.WARNING, findings)
    assert "llama2 of hub:acme/lora" in conflict.what and "gpl-3.0 of acme/math" in conflict.what
    (silent,) = of_severity(Severity.NOTE, list(about_licences([base(), model(licence=None)])))
    assert silent.model == "acme/math"
    (fine,) = about_licences([base(), model()])
    assert fine.severity is Severity.OK and "under mit" in fine.what


def profile(*layers: tuple[float, float]) -> DeltaProfile:
    """One module of one element a layer: (|d|, square of the weight)."""
    modules = tuple(
        ModuleProfile(
            Module(f"layers.{i}.q", f"layers.{i}.q.weight", i, "q", 1, (1, 1)),
            np.array([delta], np.float32),
            np.array([1]),
            np.zeros(1, np.float32),
            square,
        )
        for i, (delta, square) in enumerate(layers)
    )
    return DeltaProfile("base", "tuned", modules, 0)


def test_distance_by_hand() -> None:
    distance = measure_distance(profile((3.0, 100.0), (4.0, 25.0)))
    assert distance.layers == pytest.approx((0.3, 0.8))
    assert distance.ratio == pytest.approx(5 / math.sqrt(125))
    assert distance.least_cosine == pytest.approx(math.sqrt(1 - 25 / 125))
    assert measure_distance(profile((1.0, 0.0))).ratio == math.inf
    assert measure_distance(profile((1.0, 0.0))).to_json()["ratio"] is None
    assert measure_distance(profile((0.0, 0.0))).ratio == 0


def test_the_bound_of_the_cosine_holds_for_any_delta() -> None:
    rng = np.random.default_rng(0)
    for scale in (0.01, 0.3, 0.99):
        weight, delta = rng.normal(size=(2, 50))
        delta *= scale * np.linalg.norm(weight) / np.linalg.norm(delta)
        tuned = weight + delta
        cosine = tuned @ weight / np.linalg.norm(tuned) / np.linalg.norm(weight)
        assert cosine >= BaseDistance(scale, ()).least_cosine


@pytest.mark.parametrize(
    ("ratio", "severity", "words"),
    [
        (0.0, Severity.WARNING, "no delta to merge"),
        (0.03, Severity.OK, "0.03 times as large"),
        (0.5, Severity.OK, "at least 0.87"),
        (0.7, Severity.WARNING, "at least 0.71"),
        (0.89, Severity.WARNING, "at least 0.46"),
        (1.41, Severity.WARNING, "1.4 times as large"),
    ],
)
def test_a_delta_as_large_as_the_weights_is_another_base(
    ratio: float, severity: Severity, words: str
) -> None:
    finding = about_distance("acme/math", BaseDistance(ratio, (ratio,)))
    assert finding.severity is severity and words in finding.what


@pytest.mark.parametrize(("ratio", "another"), [(0.7, False), (0.96, True), (1.0, True)])
def test_weights_hardly_alike_are_another_base(ratio: float, another: bool) -> None:
    why = about_distance("acme/math", BaseDistance(ratio, (ratio,))).why
    assert why.startswith("Two unrelated models") == another


def test_what_is_left_here_is_a_number(tmp_path: Path) -> None:
    memory = available_memory()
    assert memory is None or memory > 10**6
    assert free_disk(tmp_path / "not" / "there") == pytest.approx(free_disk(tmp_path), rel=0.5)


def test_a_container_has_less_than_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 100\nfile 500\n")
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:       2 kB\n")
    monkeypatch.setattr(machine, "_GROUP", tmp_path)
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    assert available_memory() == 800  # 1000 - 700, and 500 of files that give way
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() == 2048


def test_the_table_by_size_holds_what_the_formulas_give() -> None:
    assert table() in PAGE.read_text("utf-8")
