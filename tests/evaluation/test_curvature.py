"""Costs of pruning, foretold: against hand numbers, automatic differentiation and real merges."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.func import functional_call, jvp

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.curvature import Curvature, Quadratic, curvature
from dppa_core.evaluation.examiner import exchanges
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.answer_loss import reply_logits, surprise
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import items

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ITEMS = items("math", "search", 6)
FACTORS = (1.0, 1.5, 2.0)


@pytest.fixture(scope="module")
def recipe(tiny_zoo: Path) -> MergeRecipe:
    models = (DomainModel(str(tiny_zoo / "math"), (0.7,)),)
    return MergeRecipe(str(tiny_zoo / "base"), models, "magnitude", dtype="float32")


@pytest.fixture(scope="module")
def whole(recipe: MergeRecipe) -> MergeRecipe:
    models = (DomainModel(recipe.models[0].model),)
    return replace(recipe, models=models, method="task_arithmetic", parameters={})


@pytest.fixture(scope="module")
def measured(recipe: MergeRecipe) -> Curvature:
    return curvature(recipe, ITEMS, FACTORS)


def test_the_best_factor_wins_back_the_squared_cosine() -> None:
    by_hand = Quadratic(1.0, 0.0, 0.0, kept=4.0, crossed=2.0, removed=4.0)
    assert (by_hand.at(1.0), by_hand.best_factor, by_hand.at(1.5)) == (3.0, 1.5, 2.5)
    assert by_hand.alike == 0.25 == (3.0 - 2.5) / (3.0 - 1.0)


def test_slopes_move_the_best_factor() -> None:
    sloped = Quadratic(1.0, 0.8, 0.1, kept=4.0, crossed=2.0, removed=4.0)
    assert sloped.best_factor == pytest.approx(1.3)
    assert (sloped.at(1.0), sloped.at(2.0)) == pytest.approx((2.9, 3.7))


def test_of_nothing_kept_no_factor_is_better() -> None:
    nothing = Quadratic(1.0, 0.0, 0.0, 0.0, 0.0, 4.0)
    assert (nothing.best_factor, nothing.alike) == (1.0, 0.0)


def loss_of(recipe: MergeRecipe) -> float:
    resident = ModelPool().get(recipe)
    with torch.inference_mode():
        read = [surprise(*reply_logits(resident.model, [exchange])) for exchange in _read(resident)]
    return float(torch.cat(read).mean())


def _read(resident: Any) -> Any:
    return exchanges(resident, ITEMS)


def test_measured_losses_are_those_of_merges(
    recipe: MergeRecipe, whole: MergeRecipe, measured: Curvature
) -> None:
    amplified = [
        replace(recipe, models=(replace(recipe.models[0], amplification=(factor,)),))
        for factor in FACTORS
    ]
    assert measured.quadratic.loss == pytest.approx(loss_of(whole), rel=1e-5)
    assert measured.losses == pytest.approx(list(map(loss_of, amplified)), rel=1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_products_are_those_of_automatic_differentiation(
    recipe: MergeRecipe, whole: MergeRecipe, measured: Curvature
) -> None:
    resident = ModelPool().get(whole)
    resident.model.set_attn_implementation("eager")
    all_ = {name: value.detach() for name, value in resident.model.named_parameters()}
    pruned = dict(ModelPool().get(recipe).model.named_parameters())
    base = dict(ModelPool().get(recipe.base).model.named_parameters())
    modules = [name for name in all_ if "proj" in name]
    kept = {n: (pruned[n] - base[n].float()).detach() for n in modules}
    removed = {n: (all_[n] - pruned[n]).detach() for n in modules}
    pieces: dict[str, list[torch.Tensor]] = {"kk": [], "kr": [], "rr": [], "gk": [], "gr": []}
    for exchange in _read(resident):
        ids, first = torch.tensor([exchange.prompt + exchange.reply]), len(exchange.prompt)

        def logits(weights: dict[str, torch.Tensor], ids: Any = ids, first: int = first) -> Any:
            held = {**all_, **weights}
            out = functional_call(resident.model, held, kwargs={"input_ids": ids})
            return out.logits[0, first - 1 : -1]

        at = {n: all_[n] for n in modules}
        z, k = jvp(logits, (at,), (kept,))
        _, r = jvp(logits, (at,), (removed,))
        p = z.softmax(-1)
        for key, a, b in (("kk", k, k), ("kr", k, r), ("rr", r, r)):
            pieces[key].append((p * a * b).sum(-1) - (p * a).sum(-1) * (p * b).sum(-1))
        right = torch.tensor(exchange.reply).unsqueeze(-1)
        for key, a in (("gk", k), ("gr", r)):
            pieces[key].append((p * a).sum(-1) - a.gather(-1, right).squeeze(-1))
    means = {key: float(torch.cat(parts).mean()) for key, parts in pieces.items()}
    quadratic = measured.quadratic
    products = (quadratic.kept, quadratic.crossed, quadratic.removed)
    assert products == pytest.approx([means[key] for key in ("kk", "kr", "rr")], rel=0.01)
    slopes = (quadratic.slope_kept, quadratic.slope_removed)
    assert slopes == pytest.approx([means["gk"], means["gr"]], rel=0.01, abs=1e-4)


def test_the_kept_share_is_that_of_the_squares(
    recipe: MergeRecipe, whole: MergeRecipe, measured: Curvature
) -> None:
    pruned, all_, base = (
        dict(ModelPool().get(target).model.named_parameters())
        for target in (recipe, whole, recipe.base)
    )
    kept, delta = (
        sum(
            float((by[n].detach().double() - base[n].detach().double()).square().sum())
            for n in base
            if "proj" in n
        )
        for by in (pruned, all_)
    )
    assert measured.energy == pytest.approx(kept / delta, rel=1e-5)


def test_it_takes_one_model(recipe: MergeRecipe) -> None:
    two = replace(recipe, models=recipe.models * 2)
    with pytest.raises(InvalidValue, match="one domain model, got 2"):
        curvature(two, ITEMS, FACTORS)
