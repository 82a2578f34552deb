"""AdaMerging: the gradient against plain autograd, one tensor at a time, and resumed runs."""

import json
import shutil
import threading
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.func import functional_call

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.chunks import CHUNK
from dppa_core.errors import (
    Cancelled,
    IncompatibleCheckpoints,
    InvalidRecipe,
    InvalidValue,
)
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import open_merger
from dppa_core.models.answer_loss import Exchange, entropy, own_replies, reply_logits
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.module_groups import layer_of
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.adamerging.adamerge import AdaMergeResult, adamerge
from dppa_core.tuning.adamerging.model import LEAST_VOTE, PreparedDeltas, TunableModel, find_spots
from dppa_core.tuning.adamerging.replies import encode, teach
from dppa_core.tuning.adamerging.settings import AdaMergeSettings, with_coefficients
from dppa_core.tuning.adamerging.texts import task_domains
from tests.helpers.tiny_models import Shape, random_llama, save_tokenizer, tuned_llama
from tests.helpers.vocabularies import shuffled

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

EXCHANGES = (Exchange((4, 5, 6, 7), (8, 9)), Exchange((10, 11), (12, 13, 14)))
SETTINGS = AdaMergeSettings(
    steps=4, lr=0.05, every=2, batch=2, together=1, prompts=3, held_out=2, longest=3
)


def recipe(method: str = "dppa", dtype: str = "bfloat16", base: str = "zoo:base") -> MergeRecipe:
    """All three domain models, pruned where the method prunes."""
    levels = (0.0,) if method == "task_arithmetic" else (0.5,)
    models = tuple(DomainModel(f"zoo:{domain}", levels, (1.25,)) for domain in DOMAINS)
    return MergeRecipe(base, models, method=method, dtype=dtype)


def random_model(family: str) -> Any:
    """GPT-2, with transposed matrices; or Mixtral, whose experts are one tensor in memory."""
    import transformers  # noqa: PLC0415  (heavy)

    torch.manual_seed(0)
    if family == "gpt2":
        config = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=4, vocab_size=40)
    else:
        config = transformers.MixtralConfig(
            hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=40, num_local_experts=2, pad_token_id=0,
        )  # fmt: skip
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def tunable(
    whole: MergeRecipe, per: str = "model", byte_budget: int = 1 << 30
) -> tuple[TunableModel, torch.nn.Module, PreparedDeltas]:
    """The recipe's deltas, and the base in a separate model."""
    deltas = PreparedDeltas(whole, byte_budget=byte_budget)
    model = ModelPool().get(whole.base).model
    return TunableModel(deltas, model, per_layer=per == "layer"), model, deltas


def plain(whole: MergeRecipe) -> tuple[dict[str, torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Base and treated deltas as whole tensors, by merges of one model at a time."""

    def merged(coefficients: list[float]) -> dict[str, torch.Tensor]:
        models = tuple(
            replace(model, coefficient=c)
            for model, c in zip(whole.models, coefficients, strict=True)
        )
        merger = open_merger(replace(whole, models=models, dtype="float32"))
        tensors = {name: merger.tensor(name) for name in merger.names()}
        return {
            name: torch.from_numpy(to_float32(raw, dtype).copy()).reshape(shape)
            for name, (dtype, shape, raw) in tensors.items()
        }

    base = merged([0.0, 0.0, 0.0])
    ones = [merged([float(k == index) for k in range(3)]) for index in range(3)]
    return base, [{name: merged[name] - base[name] for name in base} for merged in ones]


def slow_gradient(
    whole: MergeRecipe, model: torch.nn.Module, coefficients: np.ndarray
) -> tuple[float, np.ndarray]:
    """Entropy and its gradient by autograd through theta = theta_0 + sum of lambda x D'."""
    base, deltas = plain(whole)
    values = torch.tensor(coefficients, requires_grad=True)
    weights = {}
    for name, tensor in base.items():
        layer = layer_of(name)
        by_layer = layer is not None and values.shape[1] > 1
        row = values[:, layer] if by_layer else values.mean(1)
        weights[name] = tensor + sum(row[k].float() * deltas[k][name] for k in range(3))
    losses = []
    for exchange in EXCHANGES:
        ids = torch.tensor([exchange.prompt + exchange.reply])
        logits = functional_call(model, weights, (), {"input_ids": ids}).logits[0]
        losses.append(entropy(logits[len(exchange.prompt) - 1 : -1]))
    loss = torch.cat(losses).mean()
    loss.backward()
    assert values.grad is not None
    return loss.item(), values.grad.numpy()


def fast_gradient(
    weights: TunableModel, model: torch.nn.Module, coefficients: np.ndarray
) -> tuple[float, np.ndarray]:
    weights.write(coefficients)
    with weights.gradient() as gradient:
        logits, _ = reply_logits(model, EXCHANGES)
        loss = entropy(logits).mean()
        loss.backward()
    return loss.item(), gradient


def uneven(weights: TunableModel) -> np.ndarray:
    start = weights.start(0.3)
    return start + 0.1 * np.arange(start.size).reshape(start.shape) / start.size


def test_entropy_is_that_of_the_paper_in_nats() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [5.0, 5.0, 5.0], [0.0, 0.0, -torch.inf]])
    assert entropy(logits).tolist() == pytest.approx([0.66557, 1.09861, 0.69315], abs=1e-5)


def test_the_gradient_of_entropy_is_finite_where_a_token_never_comes() -> None:
    logits = torch.tensor([[0.5, 0.0, -torch.inf]], requires_grad=True)
    entropy(logits).sum().backward()
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all())


def test_padding_changes_no_position() -> None:
    model = ModelPool().get("zoo:base").model
    together, tokens = reply_logits(model, EXCHANGES)
    alone = [reply_logits(model, [exchange]) for exchange in EXCHANGES]
    assert tokens.tolist() == [8, 9, 12, 13, 14]
    torch.testing.assert_close(together, torch.cat([logits for logits, _ in alone]))


@pytest.mark.cases(2)
@pytest.mark.parametrize("per", ["model", "layer"])
@pytest.mark.parametrize("method", ["dppa", "magnitude", "dare", "task_arithmetic"])
def test_the_gradient_is_that_of_plain_autograd(method: str, per: str) -> None:
    whole = recipe(method)
    weights, model, _ = tunable(whole, per)
    at = uneven(weights)
    entropies, gradients = zip(
        slow_gradient(whole, model, at), fast_gradient(weights, model, at), strict=True
    )
    assert entropies[0] == pytest.approx(entropies[1], rel=1e-6)
    assert gradients[0].shape == (3, 2 if per == "layer" else 1)
    assert np.abs(gradients[0]).min() > 1e-4
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=2e-4, atol=1e-7)


def test_the_gradient_is_the_slope_of_the_entropy() -> None:
    weights, model, _ = tunable(recipe("task_arithmetic"), "layer")
    at, step = weights.start(0.4), 0.05
    _, gradient = fast_gradient(weights, model, at)
    for place in np.ndindex(*at.shape):
        beside = [at.copy(), at.copy()]
        beside[0][place] += step
        beside[1][place] -= step
        up, down = (fast_gradient(weights, model, near)[0] for near in beside)
        assert (up - down) / (2 * step) == pytest.approx(gradient[place], abs=3e-5)


def test_an_untied_head_is_tuned_as_well(tmp_path: Path) -> None:
    base = random_llama(0, Shape(tied=False))
    base.save(tmp_path / "base")
    for place, domain in enumerate(DOMAINS):
        tuned_llama(base, place + 1).save(tmp_path / domain)
    models = tuple(DomainModel(str(tmp_path / domain)) for domain in DOMAINS)
    whole = MergeRecipe(str(tmp_path / "base"), models, method="task_arithmetic")
    weights, model, deltas = tunable(whole)
    assert "lm_head.weight" in deltas.names
    fast = fast_gradient(weights, model, uneven(weights))[1]
    np.testing.assert_allclose(
        slow_gradient(whole, model, uneven(weights))[1], fast, rtol=2e-4, atol=1e-7
    )


@pytest.mark.parametrize("budget", [0, 40_000, 1 << 30])
def test_deltas_are_kept_within_their_budget_and_are_the_same(budget: int) -> None:
    weights, model, deltas = tunable(recipe(), byte_budget=budget)
    whole = tunable(recipe())
    first, again = (fast_gradient(weights, model, uneven(weights))[1] for _ in range(2))
    assert (first == again).all()
    assert (first == fast_gradient(*whole[:2], uneven(weights))[1]).all()
    kept = [kept.nbytes for kept in deltas._kept.values()]
    assert sum(kept) <= budget and bool(kept) == (budget > 0)


def test_a_tensor_is_worked_on_in_pieces(tmp_path: Path) -> None:
    base = random_llama(0, Shape(layers=1, vocab=3 * CHUNK // 32))
    base.save(tmp_path / "base")
    tuned_llama(base, 1).save(tmp_path / "math")
    pruned = MergeRecipe(str(tmp_path / "base"), (DomainModel(str(tmp_path / "math"), (0.8,)),))
    pieces = list(PreparedDeltas(pruned, byte_budget=0).pieces("model.embed_tokens.weight"))
    assert [(start, deltas.shape) for start, _, deltas in pieces] == [
        (0, (1, CHUNK)),
        (CHUNK, (1, CHUNK)),
        (2 * CHUNK, (1, CHUNK)),
    ]


def test_there_is_the_gradient_of_one_tensor_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, model, _ = tunable(recipe())
    alive, count = TunableModel._by_coefficients, []

    def counted(self: TunableModel, name: str, gradient: torch.Tensor) -> np.ndarray:
        count.append(sum(parameter.grad is not None for parameter in model.parameters()))
        return alive(self, name, gradient)

    monkeypatch.setattr(TunableModel, "_by_coefficients", counted)
    fast_gradient(weights, model, weights.start(0.3))
    assert len(count) == sum(1 for _ in model.parameters()) and set(count) == {1}
    assert all(
        parameter.grad is None and not parameter.requires_grad for parameter in model.parameters()
    )


@pytest.mark.parametrize("per", ["model", "layer"])
def test_the_weights_are_those_a_merge_would_have(per: str) -> None:
    whole = recipe()
    weights, model, _ = tunable(whole, per)
    at = uneven(weights)
    weights.write(at, torch.bfloat16)
    columns = [dict(enumerate(row)) if len(row) > 1 else row[0] for row in at.tolist()]
    models = tuple(
        replace(model, coefficient=c) for model, c in zip(whole.models, columns, strict=True)
    )
    merged = ModelPool().get(replace(whole, models=models)).model
    parameters = dict(merged.named_parameters())
    for name, parameter in model.named_parameters():
        # One is rounded after factor x coefficient, the other after factor, then coefficient.
        torch.testing.assert_close(parameter, parameters[name], rtol=2**-7, atol=1e-9)
        assert (parameter != parameters[name]).float().mean() < 0.01


def test_weights_that_are_not_those_on_disk_are_refused(zoo_env: Path) -> None:
    base = SafetensorsCheckpoint(zoo_env / "base")
    model = ModelPool().get("zoo:base").model
    names = [f"model.layers.1.self_attn.{letter}_proj.weight" for letter in "qkvo"]
    for name, spot in find_spots(model, base, names).items():  # q, k and v share a storage
        assert spot.parameter is model.get_parameter(name)
    name = "model.layers.0.mlp.up_proj.weight"
    with torch.no_grad():
        model.get_parameter(name)[0, 0] += 1
    with pytest.raises(IncompatibleCheckpoints, match=r"up_proj.*in another form than on disk"):
        find_spots(model, base, [name])


def run(settings: AdaMergeSettings = SETTINGS, **options: Any) -> AdaMergeResult:
    return adamerge(recipe(), task_domains(DOMAINS, settings), settings, **options)


@cache
def uninterrupted() -> AdaMergeResult:
    """The run of `SETTINGS`."""
    return run()


def test_a_run_is_the_same_every_time() -> None:
    first = uninterrupted().to_json()
    assert run().to_json() == first
    assert [snapshot["step"] for snapshot in first["snapshots"]] == [0, 2, 4]
    assert len(first["objectives"]) == 4 and first["snapshots"][0]["coefficients"][0][0] == 0.3
    assert run(replace(SETTINGS, seed=1)).objectives != uninterrupted().objectives


def test_the_merges_own_replies_are_written_by_the_merge_of_that_step() -> None:
    settings = replace(SETTINGS, positions="own", steps=1, every=1, prompts=2)
    weights, model, _ = tunable(recipe())
    weights.write(weights.start(0.3))
    resident = replace(ModelPool().get("zoo:base"), model=model)
    scripts = [encode(resident, domain) for domain in task_domains(DOMAINS, settings)]
    entropies = []
    for script in scripts:
        exchanges = own_replies(resident, script.prompts, longest=3, stop=None)
        entropies.append(entropy(reply_logits(model, exchanges)[0]).mean().item())
    assert run(settings).objectives == pytest.approx([np.mean(entropies)], rel=1e-5)


def test_the_domain_models_replies_are_those_of_the_domain_models() -> None:
    resident = ModelPool().get("zoo:base")
    scripts = [encode(resident, domain) for domain in task_domains(DOMAINS, SETTINGS)]
    taught = teach(resident, scripts, recipe(), SETTINGS)
    for domain, script in zip(DOMAINS, taught, strict=True):
        resident = ModelPool().get(f"zoo:{domain}")
        assert script.taught == own_replies(resident, script.prompts, longest=3, stop=None)


def test_the_recipe_has_the_coefficients_of_the_best_checkpoint() -> None:
    result = run(replace(SETTINGS, per="layer"))
    best = max(result.snapshots, key=lambda snapshot: snapshot.rank)
    assert result.best == best
    expected = [dict(enumerate(row)) for row in best.coefficients]
    assert [model.coefficient for model in result.recipe.models] == expected


def test_the_first_step_of_adam_is_the_learning_rate_against_the_gradient() -> None:
    result = run(replace(SETTINGS, steps=1, every=1))
    moved = np.array(result.snapshots[1].coefficients) - 0.3
    assert np.abs(moved) == pytest.approx(0.05, rel=1e-4)


def test_coefficients_stay_within_what_a_recipe_may_have() -> None:
    result = run(replace(SETTINGS, start=9.5, lr=1.0, steps=1, every=1, positions="own"))
    moved = [row[0] for row in result.snapshots[1].coefficients]
    assert set(moved) <= {8.5, 10.0} and len(result.recipe.models) == 3


def test_projection_keeps_coefficients_from_0_to_1() -> None:
    settings = replace(SETTINGS, lr=1.0, project=True)
    values = [
        c for snapshot in run(settings).snapshots for row in snapshot.coefficients for c in row
    ]
    assert min(values) == 0.0 or max(values) == 1.0
    assert 0 <= min(values) and max(values) <= 1
    with pytest.raises(InvalidValue, match=r"start must lie in \[0, 1\]"):
        AdaMergeSettings(start=1.5, project=True)


def test_entropy_falls() -> None:
    settings = replace(SETTINGS, steps=6, every=6, batch=3)
    entropies = run(settings).objectives
    assert entropies[-1] < entropies[0]


def test_a_stopped_run_goes_on_to_the_same_result(tmp_path: Path) -> None:
    at = 3
    state, stop = tmp_path / "state.json", threading.Event()

    def progress(step: int, total: int, text: str) -> None:
        if step == at and total == SETTINGS.steps:
            stop.set()

    with pytest.raises(Cancelled, match=rf"after step {at}.*state\.json is kept"):
        run(state=state, progress=progress, stop=stop)
    assert json.loads(state.read_text("utf-8"))["state"]["step"] == at
    assert run(state=state).to_json() == uninterrupted().to_json()


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    state, kept = tmp_path / "state.json", tmp_path / "kept.json"
    whole = run(state=state, watch=lambda snapshot: snapshot.step == 2 and shutil.copy(state, kept))
    steps: list[int] = []
    again = run(state=kept, progress=lambda step, *_: steps.append(step))
    assert again.to_json() == whole.to_json()
    assert {path.name for path in tmp_path.iterdir()} == {"state.json", "kept.json"}
    assert run(state=state).to_json() == whole.to_json()


@pytest.mark.long
def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    run(state=state)
    with pytest.raises(InvalidValue, match=r"another run \(lr 0.05, now 0.1\)"):
        run(replace(SETTINGS, lr=0.1), state=state)
    longer = run(replace(SETTINGS, steps=6), state=state)
    assert longer.snapshots[-1].step == 6
    for damage in ("", "{}", '{"adamerging": 1, "made_by": 3, "state": {}}', "[1]"):
        state.write_text(damage, "utf-8")
        with pytest.raises(InvalidValue, match="not a state of a run"):
            run(state=state)


def test_a_method_that_combines_deltas_is_refused() -> None:
    models = tuple(DomainModel(f"zoo:{domain}") for domain in DOMAINS)
    ties = MergeRecipe("zoo:base", models, method="ties")
    with pytest.raises(InvalidRecipe, match="ties combines deltas.*Allowed: dppa, magnitude"):
        adamerge(ties, task_domains(DOMAINS, SETTINGS), SETTINGS)


def summed() -> MergeRecipe:
    """TIES that adds up what agrees."""
    models = tuple(DomainModel(f"zoo:{domain}") for domain in DOMAINS)
    parameters = {"divide": "nothing", "density": 0.3, "scale": 0.5}
    return MergeRecipe("zoo:base", models, "ties", parameters, dtype="float32")


@pytest.mark.parametrize("budget", [0, 1 << 30])
def test_ties_that_adds_up_is_a_sum_of_what_agrees(budget: int) -> None:
    weights, model, _ = tunable(summed(), "layer", budget)
    coefficients = np.abs(uneven(weights)) + 0.1
    weights.write(coefficients)
    merger = open_merger(with_coefficients(summed(), coefficients.tolist()))
    written = model.state_dict()
    assert {name for name in merger.names() if name in written}
    for name in merger.names():
        dtype, shape, raw = merger.tensor(name)
        values = written[name].numpy()
        np.testing.assert_allclose(values, to_float32(raw, dtype).reshape(shape), atol=1e-6)


def test_a_model_of_an_election_never_loses_its_vote() -> None:
    """A step of 1 would make its coefficient negative, which reverses its vote."""
    result = adamerge(summed(), task_domains(DOMAINS, SETTINGS), replace(SETTINGS, lr=1.0))
    all_of_them = [snapshot.coefficients for snapshot in result.snapshots]
    assert np.min(all_of_them) == LEAST_VOTE


def test_there_is_one_domain_for_each_model() -> None:
    with pytest.raises(InvalidValue, match="3 domain models, .* 2 domains: math, law"):
        adamerge(recipe(), task_domains(("math", "law"), SETTINGS), SETTINGS)


def test_settings_are_checked_and_written_down() -> None:
    with pytest.raises(InvalidValue, match="batch must be at most prompts, 4, got 5"):
        AdaMergeSettings(batch=5, prompts=4)
    with pytest.raises(InvalidValue, match="positions must be one of teacher, own"):
        AdaMergeSettings(positions="teachers")
    assert asdict(AdaMergeSettings())["start"] == 0.3 and AdaMergeSettings().lr == 1e-3


@pytest.mark.parametrize("family", ["gpt2", "mixtral"])
def test_weights_in_another_form_in_memory_are_tuned_as_well(tmp_path: Path, family: str) -> None:
    model, tuned = (random_model(family) for _ in range(2))
    with torch.no_grad():
        for weight in tuned.parameters():
            weight += 0.02 * torch.randn_like(weight)
    model.save_pretrained(tmp_path / "base")
    tuned.save_pretrained(tmp_path / "math")
    save_tokenizer(tmp_path / "base")
    models = (DomainModel(str(tmp_path / "math")),)
    whole = MergeRecipe(str(tmp_path / "base"), models, method="task_arithmetic")
    weights, model, _ = tunable(whole)
    gradient = fast_gradient(weights, model, weights.start(0.4))[1].item()
    up, down = (fast_gradient(weights, model, weights.start(c))[0] for c in (0.5, 0.3))
    assert abs(gradient) > 1e-4
    assert (up - down) / 0.2 == pytest.approx(gradient, rel=0.03)


def test_models_of_another_tokenizer_are_tuned_in_the_base_s_vocabulary(tmp_path: Path) -> None:
    base = random_llama(0)
    base.save(tmp_path / "base")
    coefficients = []
    for kind in ("plain", "other"):
        names = [str(tmp_path / kind / domain) for domain in DOMAINS]
        for number, name in enumerate(names):
            tuned = tuned_llama(base, number + 1)
            shuffled(tuned, Path(name), number) if kind == "other" else tuned.save(Path(name))
        models = tuple(DomainModel(name, (0.5,)) for name in names)
        recipe = MergeRecipe(str(tmp_path / "base"), models)
        coefficients.append(
            adamerge(recipe, task_domains(DOMAINS, SETTINGS), SETTINGS).best.coefficients
        )
    np.testing.assert_array_equal(*coefficients)
    with pytest.raises(InvalidRecipe, match="vocabulary: union: coefficients are tuned in the vo"):
        union = replace(recipe, vocabulary="union")
        adamerge(union, task_domains(DOMAINS, SETTINGS), SETTINGS)
