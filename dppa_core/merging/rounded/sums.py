"""Sums of deltas or models, with every operation rounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dppa_core.merging.rounded.tensors import RoundedTensors
from dppa_core.methods.breadcrumbs import crumb_counts
from dppa_core.methods.linear import NO_MEAN
from dppa_core.methods.sce import MERGEKIT_FLOOR
from dppa_core.methods.shared.rescaling import SMALLEST_SUM
from dppa_core.methods.ties import at_least_one


def linear(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """The weighted sum of the models, over the sum of weights if it is a mean; float32, rounded
    once."""
    total = torch.zeros_like(tensors.base, dtype=torch.float32)
    weights = torch.tensor(tensors.coefficients, dtype=torch.float32)
    for model, weight in zip(tensors.models, weights, strict=True):
        total.addcmul_(model, weight)
    if parameters.divide == "coefficients":
        total /= weights.sum()
    return total


def task_arithmetic(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """The base and the weighted sum of the deltas."""
    deltas = torch.stack(tensors.deltas())
    return tensors.base + (deltas * tensors.weights(deltas)).sum(dim=0)


def ties(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """Trim, elect, and add or average what agrees."""
    pruned = [
        _masked(delta, _largest(delta, at_least_one(own.density * delta.numel())), own)
        if own.density < 1
        else delta
        for delta, own in zip(tensors.deltas(), tensors.settings, strict=True)
    ]
    return _elected(tensors, pruned, parameters)


def dare_ties(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """Drop at random, elect, and add or average what agrees."""
    return _elected(tensors, _drop(tensors, _even_chances), parameters)


def della(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """Drop small elements more often, elect, and add or average what agrees."""
    return _elected(tensors, _drop(tensors, _chances_by_rank), parameters)


def della_linear(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """Drop small elements more often, or all alike, and add."""
    return _added(tensors, _drop(tensors, _chances_by_rank), parameters)


def breadcrumbs(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """Drop the smallest and the largest elements, and add, or elect first."""
    pruned = []
    for delta, own in zip(tensors.deltas(), tensors.settings, strict=True):
        kept, large = crumb_counts(delta.numel(), own)
        order = torch.sort(delta.abs().view(-1).float()).indices
        chosen = order[delta.numel() - kept : delta.numel() - large]
        pruned.append(
            _masked(delta, _at(delta, chosen), own) if kept - large < delta.numel() else delta
        )
    add = _elected if parameters.signs == "elected" else _added
    return add(tensors, pruned, parameters)


def sce(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """Select by variance, weigh by mean squares, and average what agrees."""
    deltas = torch.stack(tensors.deltas())
    deltas = deltas * tensors.weights(deltas)
    if parameters.density < 1:
        variance = deltas.var(dim=0, unbiased=False)
        count = int(torch.count_nonzero(variance) * parameters.density)
        highest = torch.topk(variance.abs().view(-1), k=count).indices
        deltas = deltas * _at(variance, highest)
    squares = (deltas**2).mean(dim=list(range(1, deltas.dim())))
    total = float(squares.sum())
    even = torch.ones_like(squares) / len(squares)
    shares = even if abs(total) < MERGEKIT_FLOOR else squares / total
    weights = shares.reshape(-1, *(1,) * (deltas.dim() - 1)) * _agreeing(deltas)
    merged = (deltas * weights).sum(dim=0)
    return tensors.base + merged / weights.sum(dim=0).clamp(min=MERGEKIT_FLOOR)


def _elected(tensors: RoundedTensors, pruned: Sequence[Tensor], parameters: Any) -> Tensor:
    """The sum of deltas whose sign is that of the weighted sum."""
    deltas = torch.stack(list(pruned))
    weights = tensors.weights(deltas)
    weighted = deltas * weights
    agreeing = _agreeing(weighted)
    divisor = (weights * agreeing).sum(dim=0)
    divisor[divisor == 0] = 1
    return _scaled(tensors, (weighted * agreeing).sum(dim=0), divisor, parameters)


def _added(tensors: RoundedTensors, pruned: Sequence[Tensor], parameters: Any) -> Tensor:
    """The sum of all deltas."""
    deltas = torch.stack(list(pruned))
    weights = tensors.weights(deltas)
    divisor = weights.sum(dim=0)
    divisor[divisor.abs() < NO_MEAN] = 1
    return _scaled(tensors, (deltas * weights).sum(dim=0), divisor, parameters)


def _scaled(tensors: RoundedTensors, total: Tensor, divisor: Tensor, parameters: Any) -> Tensor:
    if parameters.divide == "coefficients":
        total = total / divisor
    if parameters.scale != 1:
        total = total * parameters.scale
    return tensors.base + total


def _agreeing(deltas: Tensor) -> Tensor:
    """1 where a delta has the sign of the sum, else 0; an undecided sign is plus."""
    majority = torch.where(deltas.sum(dim=0) >= 0, 1, -1).to(deltas.dtype)
    return deltas.sign() == majority


def _largest(delta: Tensor, count: int) -> Tensor:
    order = torch.argsort(delta.abs().view(-1).float(), descending=True)
    return _at(delta, order[:count])


def _at(like: Tensor, places: Tensor) -> Tensor:
    mask = torch.zeros_like(like)
    mask.view(-1)[places] = 1
    return mask


def _masked(delta: Tensor, mask: Tensor, parameters: Any) -> Tensor:
    """The elements of a mask, multiplied to the delta's sum of |d| if it is to be kept."""
    left = delta * mask
    if parameters.rescale == "no":
        return left
    before, after = delta.abs().sum(), left.abs().sum()
    return left if min(before, after) < SMALLEST_SUM else left * (before / after)


Chances = Callable[[Tensor, Any], Tensor]
"""A delta and its model's parameters -> the chance of each element to stay."""


def _drop(tensors: RoundedTensors, chances: Chances) -> list[Tensor]:
    """Every delta with elements dropped by its draws; float16 is widened meanwhile."""
    pruned = []
    for index, (delta, own) in enumerate(zip(tensors.deltas(), tensors.settings, strict=True)):
        if own.drop <= 0:
            pruned.append(delta)
            continue
        wide = delta if delta.dtype == torch.bfloat16 else delta.float()
        mask = (tensors.uniform(index) < chances(delta, own).double()).to(wide.dtype)
        pruned.append(_masked(wide, mask, own).to(delta.dtype))
    return pruned


def _density(parameters: Any) -> float:
    return round(1 - float(parameters.drop), 12)


def _even_chances(delta: Tensor, parameters: Any) -> Tensor:
    wide = torch.bfloat16 if delta.dtype == torch.bfloat16 else torch.float32
    return torch.full_like(delta, _density(parameters), dtype=wide)


def _chances_by_rank(delta: Tensor, parameters: Any) -> Tensor:
    if not parameters.window:
        return _even_chances(delta, parameters)
    wide = torch.bfloat16 if delta.dtype == torch.bfloat16 else torch.float32
    rows = delta.abs() if delta.dim() > 1 else delta.abs().unsqueeze(0)
    ranks = torch.argsort(torch.argsort(rows, dim=1), dim=1).to(wide) + 1
    first, last = ranks.amin(dim=1, keepdim=True), ranks.amax(dim=1, keepdim=True)
    place = ((ranks - first) / (last - first)).clamp(0, 1)
    epsilon = float(parameters.window) / 2
    chances: Tensor = (_density(parameters) - epsilon) + place * 2 * epsilon
    return chances.reshape(delta.shape)
