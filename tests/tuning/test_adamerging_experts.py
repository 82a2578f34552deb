"""The objective experts (arXiv:2509.25712): by hand, by a slow loop, by differences."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call

from dppa_core.errors import InvalidValue
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.answer_loss import ReplyStates, distance, divergence, own_replies
from dppa_core.pruning.module_groups import layer_of
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.adamerging.adam_steps import Run
from dppa_core.tuning.adamerging.adamerge import AdaMergeResult, adamerge
from dppa_core.tuning.adamerging.model import PreparedDeltas, TunableModel
from dppa_core.tuning.adamerging.replies import DomainTokens, domain_models, encode, teach
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.texts import task_domains
from tests.tuning.test_adamerging import plain, recipe

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

SETTINGS = AdaMergeSettings(
    objective="experts", per="layer", pull=0.5, start=0.3, lr=0.05, steps=4, every=2,
    batch=2, together=1, prompts=3, held_out=2, longest=3,
)  # fmt: skip


def test_divergence_and_distance_are_those_worked_out_by_hand() -> None:
    """KL((1/2, 1/2) || (1/4, 3/4)) = ln 2 / 2 + ln(2/3) / 2; a token that never comes adds 0."""
    merged = torch.log(torch.tensor([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]]))
    expert = torch.log(torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]))
    by_hand = [(math.log(2) + math.log(2 / 3)) / 2, math.log(2) / 2]
    assert divergence(merged, expert).tolist() == pytest.approx(by_hand, abs=1e-6)
    blocks = [torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0]])]
    given = [torch.tensor([[2.0, 2.0]]), torch.tensor([[0.0, 1.0]])]
    read = (ReplyStates(merged[:1], tuple(blocks)), ReplyStates(expert[:1], tuple(given)))
    assert distance(*read).tolist() == [(1 / 8 + 4 / 1) / 2]


def begun(whole: MergeRecipe, settings: AdaMergeSettings) -> tuple[Run, tuple[DomainTokens, ...]]:
    """A run before its first step."""
    deltas, resident = PreparedDeltas(whole), ModelPool().get(whole.base)
    scripts = tuple(encode(resident, domain) for domain in task_domains(DOMAINS, settings))
    weights = TunableModel(deltas, resident.model, per_layer=settings.per == "layer")
    experts = domain_models(resident, whole, None)
    scripts = teach(resident, scripts, whole, settings)
    return Run(weights, resident, scripts, settings, torch.float32, None, experts), scripts


def slow_objective(
    whole: MergeRecipe, scripts: tuple[DomainTokens, ...], coefficients: torch.Tensor
) -> torch.Tensor:
    """Text by text, position by position, with the domain models as they are loaded."""
    base, deltas = plain(whole)
    model, weights = ModelPool().get(whole.base).model, {}
    for name, tensor in base.items():
        layer = layer_of(name)
        row = coefficients.mean(1) if layer is None else coefficients[:, layer]
        weights[name] = tensor + sum(row[k].float() * deltas[k][name] for k in range(3))
    means = []
    for domain, script in zip(DOMAINS, scripts, strict=True):
        expert, losses = ModelPool().get(f"zoo:{domain}").model, []
        for prompt, reply in ((one.prompt, one.reply) for one in script.taught):
            ids = {"input_ids": torch.tensor([prompt + reply]), "output_hidden_states": True}
            merged, given = functional_call(model, weights, (), ids), expert(**ids)
            for place in range(len(prompt) - 1, len(prompt + reply) - 1):
                p = given.logits[0, place].detach().softmax(-1)
                q = merged.logits[0, place].softmax(-1)
                loss = sum(p * (p / q).log())
                for h, g in zip(merged.hidden_states[1:], given.hidden_states[1:], strict=True):
                    h, g = h[0, place], g[0, place].detach()
                    loss = loss + sum((h - g) ** 2) / sum(g**2) / (len(given.hidden_states) - 1)
                losses.append(loss)
        means.append(torch.stack(losses).mean())
    away = (coefficients - SETTINGS.start).abs().mean()
    return torch.stack(means).mean() + SETTINGS.pull * away


def test_value_and_gradient_are_those_of_a_slow_loop_and_of_differences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = replace(SETTINGS, prompts=2)  # every prompt in every step
    whole = recipe("task_arithmetic")
    at = 0.5 + 0.1 * np.arange(6).reshape(3, 2)

    def after_a_step(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        run, _ = begun(whole, settings)
        run._coefficients.data = torch.from_numpy(coefficients.copy())
        run.advance(None)
        assert run._coefficients.grad is not None
        return run.objectives[0], run._coefficients.grad.numpy()

    value, gradient = after_a_step(at)
    values = torch.tensor(at, requires_grad=True)
    slow = slow_objective(whole, begun(whole, settings)[1], values)
    slow.backward()
    assert value == pytest.approx(slow.item(), rel=1e-5)
    assert values.grad is not None
    np.testing.assert_allclose(gradient, values.grad.numpy(), rtol=1e-3, atol=1e-6)
    step = 0.02
    for place in ((0, 0), (1, 1), (2, 0)):
        beside = [at.copy(), at.copy()]
        beside[0][place] += step
        beside[1][place] -= step
        up, down = (after_a_step(near)[0] for near in beside)
        assert (up - down) / (2 * step) == pytest.approx(gradient[place], rel=0.02, abs=1e-5)


def run(settings: AdaMergeSettings = SETTINGS, state: Path | None = None) -> AdaMergeResult:
    return adamerge(recipe(), task_domains(DOMAINS, settings), settings, state=state)


def test_the_same_recipe_gives_the_same_bytes_and_a_resumed_run_too(tmp_path: Path) -> None:
    whole = run().to_json()
    state = tmp_path / "state.json"
    run(replace(SETTINGS, steps=2), state)
    assert run(SETTINGS, state).to_json() == run().to_json() == whole


def test_the_objective_falls_and_more_pull_stays_nearer_to_the_start() -> None:
    free, held = (run(replace(SETTINGS, steps=8, prompts=2, pull=pull)) for pull in (0.0, 10.0))
    assert free.objectives[-1] < free.objectives[0]
    away = [np.abs(np.array(r.snapshots[-1].coefficients) - 0.3).mean() for r in (free, held)]
    assert away[1] < away[0] / 2
    with pytest.raises(InvalidValue, match="pull must be a number from 0 to 10"):
        AdaMergeSettings(pull=-1.0)


def test_the_merges_own_replies_may_be_read_as_well() -> None:
    """They are written by the merge before the domain models are asked."""
    settings = replace(SETTINGS, positions="own", per="model", start=0.6)
    started, _ = begun(recipe(), settings)
    seen = []
    read = started._read_experts
    started._read_experts = lambda drawn, stop: seen.append(drawn) or read(drawn, stop)  # type: ignore[method-assign, func-returns-value]
    started._scripts = [replace(script, taught=()) for script in started._scripts]
    started.advance(None)
    resident = started._resident
    started._weights.write(started._weights.start(0.6))
    for groups in seen[0]:
        for exchange in (one for group in groups for one in group):
            again = own_replies(resident, [exchange.prompt], longest=3, stop=None)
            assert again[0].reply == exchange.reply
