"""Model statistics on calibration text: against slow references, by hand, from the cache."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import (
    Cancelled,
    IncompatibleCheckpoints,
    InvalidValue,
    NonFiniteWeights,
    NotAllowed,
)
from dppa_core.kernels import get_backend
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.methods.dppa import pruning
from dppa_core.models.loading import load_tokenizer
from dppa_core.profiling.calibration import collectors
from dppa_core.profiling.calibration.collectors import (
    CalibratedModel,
    collect_inputs,
    input_shapes,
)
from dppa_core.profiling.calibration.statistics import Kind, Statistics, ranked_profile, statistics
from dppa_core.profiling.calibration.texts import Sample, read_source, samples
from dppa_core.pruning.plan import plan_pruning
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from dppa_core.system.folder_cache import cache_folder
from tests.helpers.command import Command
from tests.helpers.tiny_models import Shape, random_llama, save_tokenizer, tuned_llama
from tests.reference import slow

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
TEXT = Calibration(("math",), tokens=700)  # one byte, one token: a handful of questions


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))


def measured(kind: Kind, model: str = "zoo:math", text: Calibration = TEXT) -> Statistics:
    return statistics(kind, open_checkpoint("zoo:base"), open_checkpoint(model), text, label=model)


def texts() -> tuple[Sample, ...]:
    tokenizer = load_tokenizer(open_checkpoint("zoo:base"))
    return samples(read_source(TEXT), tokenizer, 256, 259)


def test_fisher_is_the_mean_of_squared_gradients(zoo_env: Path) -> None:
    """One sample after the other, one gradient after the other, nothing hooked."""
    model = transformers.AutoModelForCausalLM.from_pretrained(zoo_env / "math", dtype=torch.float32)
    names, weights = zip(*model.named_parameters(), strict=True)
    total = [torch.zeros(weight.shape, dtype=torch.float64) for weight in weights]
    for sample in texts():
        logits = model(torch.tensor([sample.ids])).logits[0].double()
        places = range(sample.learned, len(sample.ids))
        log_likelihood = sum(logits[at - 1].log_softmax(0)[sample.ids[at]] for at in places)
        for sums, gradient in zip(total, torch.autograd.grad(log_likelihood, weights), strict=True):
            sums += gradient.double() ** 2
    fisher = measured("fisher")
    square = 0.0
    for name, sums in zip(names, total, strict=True):
        expected = (sums / len(texts())).numpy().ravel()
        np.testing.assert_allclose(fisher.arrays[name], expected, rtol=2e-4, atol=1e-12)
        square += float((expected**2).sum())
    assert set(fisher.arrays) == set(names) and fisher.norm == pytest.approx(square**0.5, rel=1e-4)


def test_norms_and_grams_are_those_of_the_inputs(zoo_env: Path) -> None:
    """The first attention's, by hand: embedding rows, divided by their mean square."""
    arrays = slow.read(zoo_env / "math").arrays
    rows = np.concatenate(
        [arrays["model.embed_tokens.weight"][list(s.ids)].astype(np.float64) for s in texts()]
    )
    rows /= np.sqrt((rows**2).mean(axis=1, keepdims=True) + 1e-5)
    rows *= arrays["model.layers.0.input_layernorm.weight"]
    norms, grams = measured("norms"), measured("gram")
    for part in ("q_proj", "k_proj", "v_proj"):
        name = f"model.layers.0.self_attn.{part}.weight"
        np.testing.assert_allclose(norms.arrays[name], np.sqrt((rows**2).sum(0)), rtol=1e-5)
        np.testing.assert_allclose(grams.arrays[name], rows.T @ rows, rtol=1e-4, atol=2e-3)
    assert len(norms.arrays) == len(grams.arrays) == 14
    for name, gram in grams.arrays.items():
        np.testing.assert_allclose(np.sqrt(np.diag(gram)), norms.arrays[name], rtol=1e-4)
    assert norms.arrays["model.layers.1.mlp.down_proj.weight"].shape == (48,)


def test_the_inputs_of_a_transposed_weight_are_its_rows(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_embd=16, n_layer=1, n_head=4, vocab_size=40, n_positions=32, bos_token_id=0,
        eos_token_id=1,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path / "gpt2")
    subject = CalibratedModel(SafetensorsCheckpoint(tmp_path / "gpt2"), "gpt2")
    shapes = input_shapes(subject, gram=False)
    out = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    axes = collect_inputs(subject, (Sample((3, 4, 5), 1),), out, gram=False)
    assert set(axes.values()) == {0}
    block = model.transformer.h[0]
    with torch.no_grad():
        places = model.transformer.wte(torch.tensor([3, 4, 5])) + model.transformer.wpe.weight[:3]
        rows = block.ln_1(places).double().numpy()
    name = next(name for name in out if name.endswith("attn.c_attn.weight"))
    np.testing.assert_allclose(out[name], np.sqrt((rows**2).sum(0)), rtol=1e-5)
    score = Statistics("norms", "k", out, axes, 0.0).score(subject.shapes)
    scored = np.zeros(16 * 48, np.float32)
    scoring = score.scoring_of(name, name)
    assert scoring is not None
    delta = np.ones(16 * 48, np.float32)
    scoring.score(get_backend("numba"), np.zeros_like(delta), delta, 0, scored)
    np.testing.assert_array_equal(scored.reshape(16, 48), np.repeat(out[name][:, None], 48, 1))


def test_experts_that_are_fused_in_memory_are_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.MixtralConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=40, intermediate_size=24, num_local_experts=2, num_experts_per_tok=1,
    )  # fmt: skip
    transformers.MixtralForCausalLM(config).save_pretrained(tmp_path / "moe")
    subject = CalibratedModel(SafetensorsCheckpoint(tmp_path / "moe"), "moe")
    with pytest.raises(IncompatibleCheckpoints, match=r"moe: .*(another form|no linear layer)"):
        input_shapes(subject, gram=False)


@pytest.mark.parametrize("kind", ["fisher", "norms", "gram"])
def test_statistics_are_measured_once(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measured(kind)

    def never(*_: object) -> None:
        raise AssertionError("the model is run again")

    monkeypatch.setattr(collectors, "CalibratedModel", never)
    again = measured(kind)
    assert again.key == first.key and again.norm == first.norm and again.axes == first.axes
    for name, values in first.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], values)


def test_another_text_model_or_tokenizer_is_measured_anew(tmp_path: Path) -> None:
    keys = {measured("norms").key, measured("norms", "zoo:law").key}
    keys.add(measured("norms", text=Calibration(("math",), tokens=701)).key)
    keys.add(measured("norms", text=Calibration(("law",), tokens=700)).key)
    folder = random_llama(0).save(tmp_path / "base")
    base, tuned = SafetensorsCheckpoint(folder), open_checkpoint("zoo:math")
    same = statistics("norms", base, tuned, TEXT, label="m").key
    assert same in keys
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    keys.add(statistics("norms", base, tuned, TEXT, label="m").key)
    assert len(keys) == 5


def test_damaged_statistics_are_measured_anew() -> None:
    norms = measured("norms")
    before = {name: values.copy() for name, values in norms.arrays.items()}
    path = cache_folder("statistics") / f"{norms.key}.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    again = measured("norms")
    for name, values in before.items():
        np.testing.assert_array_equal(again.arrays[name], values)
    assert path.read_bytes() != bytes(data)


def test_the_number_of_threads_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {kind: measured(kind) for kind in ("fisher", "norms", "gram")}
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "other"))
    torch.set_num_threads(2)
    try:
        together = {kind: measured(kind) for kind in ("fisher", "norms", "gram")}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    for kind, statistic in alone.items():
        for name, values in statistic.arrays.items():
            np.testing.assert_array_equal(together[kind].arrays[name], values)


def test_a_stop_ends_it_and_leaves_nothing() -> None:
    class Later:
        """Set after a few samples."""

        checks = 0

        def is_set(self) -> bool:
            self.checks += 1
            return self.checks > 4

    pair = open_checkpoint("zoo:base"), open_checkpoint("zoo:math")
    with pytest.raises(Cancelled):
        statistics("fisher", *pair, TEXT, label="zoo:math", stop=Later())
    assert not list(cache_folder("statistics").iterdir())


def recipe_of(kind: str, text: Calibration | None = TEXT, **changes: object) -> MergeRecipe:
    models = tuple(DomainModel(f"zoo:{name}", (0.9, 0.8), (1.6, 1.0)) for name in ("math", "law"))
    fields = {"models": models, "parameters": {"significance": kind}, "calibration": text}
    return MergeRecipe("zoo:base", **(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["fisher", "activation", "random"])
def test_a_merge_is_the_same_on_any_backend_worker_and_shard(kind: str, tmp_path: Path) -> None:
    recipe = recipe_of(kind, None if kind == "random" else TEXT)
    first = merge_to_folder(recipe, tmp_path / "one", workers=1)
    second = merge_to_folder(recipe, tmp_path / "two", workers=3, backend="torch")
    many = merge_to_folder(recipe, tmp_path / "many", shard_size=20_000)
    assert first.sha256 == second.sha256 and len(many.files) > 1
    assert first.densities == pytest.approx((0.2, 0.2), abs=1e-3)
    expected = slow.read(tmp_path / "one").arrays
    for name, values in slow.read(tmp_path / "many").arrays.items():
        np.testing.assert_array_equal(values, expected[name])
    plain = merge_to_folder(recipe_of("magnitude", None), tmp_path / "plain")
    assert plain.sha256 != first.sha256


def test_other_tensors_are_ranked_by_fisher_too_where_they_are_pruned() -> None:
    settings = {"significance": "fisher", "other_tensors": "prune"}
    merger = open_merger(recipe_of("fisher", parameters=settings))
    stack = merger.stack("model.norm.weight", merger.loader())
    assert stack is not None and stack.kept == (6, 6)  # a fifth of 32


def test_a_text_of_its_own_for_each_model() -> None:
    """By default, an embedded model reads its domain's questions."""
    texts = tuple(Calibration((name,)) for name in ("math", "law"))
    explicit = tuple(
        DomainModel(f"zoo:{text.tasks[0]}", (0.9, 0.8), (1.6, 1.0), calibration=text)
        for text in texts
    )
    implicit = open_merger(recipe_of("activation", None)).plan.plans
    assert open_merger(recipe_of("activation", None, models=explicit)).plan.plans == implicit
    assert open_merger(recipe_of("activation", Calibration(("finance",)))).plan.plans != implicit


def test_a_profile_for_the_page_is_the_plan_of_a_merge() -> None:
    profile = ranked_profile("zoo:base", "zoo:math", "fisher", TEXT, public=True)
    recipe = recipe_of("fisher")
    plan = plan_pruning(profile, (0.9, 0.8), pruning(recipe.settings()))
    assert plan == open_merger(recipe, public=True).plan.plans[0]


def test_a_stranger_reads_no_file_of_this_computer(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Some notes of my own.")
    text = Calibration(text=str(path))
    with pytest.raises(NotAllowed, match="files of this computer"):
        open_merger(recipe_of("fisher", text), public=True)
    with pytest.raises(NotAllowed, match="files of this computer"):
        ranked_profile("zoo:base", "zoo:math", "activation", text, public=True)
    assert open_merger(recipe_of("fisher", text)).plan.plans


def test_a_merge_in_memory_is_made_anew_when_its_text_changes(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("All the world is a stage. " * 4)
    pool, recipe = ModelPool(), recipe_of("activation", Calibration(text=str(path)))
    first = pool.get(recipe)
    assert pool.get(recipe) is first
    path.write_text("12345 " * 20)
    os.utime(path, ns=(1, 1))
    assert pool.get(recipe) is not first


def test_on_the_command_line(dppa: Command, tmp_path: Path) -> None:
    options = ["--significance", "fisher", "--calibration", "math", "--tokens", 700]
    assert dppa("plan", "zoo:math", "--rate", 0.9, *options, "--json") == 0
    plan = dppa.json
    assert plan["parameters"]["significance"] == "fisher"
    assert plan["density"] == pytest.approx(0.1, abs=1e-3)
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe_of("fisher")))
    assert dppa("merge", tmp_path / "recipe.yaml", "--out", tmp_path / "out", "--json") == 0
    assert dppa.json["densities"] == pytest.approx([0.2, 0.2], abs=1e-3)
    assert "calibration: {tasks: [math], tokens: 700}" in (tmp_path / "out/recipe.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--significance", "fischer"], 1, "Did you mean 'fisher'"),
        (["--calibration", "math"], 2, "go with --significance fisher or activation"),
        (["--significance", "fisher", "--tokens", "9"], 2, "--tokens goes with --calibration"),
        (["--significance", "fisher", "--calibration", "no.txt"], 1, "'no.txt' cannot be read"),
        (["--base", "zoo:law", "--significance", "random", "--rate", "2"], 1, "got 2"),
    ],
)
def test_what_goes_wrong_is_one_line(
    dppa: Command, arguments: list[str], code: int, message: str
) -> None:
    assert dppa("plan", "zoo:math", *arguments) == code
    assert message in dppa.err


def test_a_model_that_is_not_embedded_needs_a_text(dppa: Command, zoo_env: Path) -> None:
    folder = zoo_env / "math"
    assert dppa("plan", folder, "--significance", "activation") == 1
    assert "needs calibration text" in dppa.err and dppa.err.count("\n") == 1


def test_numbers_beyond_float32_are_named(tmp_path: Path) -> None:
    base = random_llama(0, Shape(layers=1))
    base.save(tmp_path / "base", dtype="F32")
    wild = tuned_llama(base, 1)
    wild.arrays["model.layers.0.mlp.up_proj.weight"][:] = 3e38
    wild.arrays["model.layers.0.mlp.gate_proj.weight"][:] = 3e38
    wild.save(tmp_path / "wild", dtype="F32")
    save_tokenizer(tmp_path / "wild")
    pair = (SafetensorsCheckpoint(tmp_path / name) for name in ("base", "wild"))
    with pytest.raises(NonFiniteWeights, match="wild: reading the calibration text gives"):
        statistics("norms", *pair, TEXT, label="wild")


def test_a_text_too_short_is_refused_before_anything_is_kept() -> None:
    with pytest.raises(InvalidValue, match="2 tokens of this text hold nothing to predict"):
        measured("norms", text=Calibration(("math",), tokens=2))
