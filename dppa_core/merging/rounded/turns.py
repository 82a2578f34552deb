"""Ways from one model to others, with every operation rounded."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from dppa_core.merging.rounded.tensors import RoundedTensors
from dppa_core.methods import model_stock as stock
from dppa_core.methods import nearswap as near
from dppa_core.methods import nuslerp as two_vectors
from dppa_core.methods.slerp import PARALLEL, TINY


def passthrough(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """The model, scaled."""
    return tensors.models[0] * tensors.coefficients[0]


def slerp(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """The arc in float32, rounded once."""
    first, second, coefficient = tensors.ends()
    t = torch.tensor(parameters.position * coefficient, dtype=torch.float32)
    a, b = (end.float() for end in (first, second))
    norms = [torch.linalg.vector_norm(end) for end in (a, b)]
    units = [end / n if n > TINY else end for end, n in zip((a, b), norms, strict=True)]
    cosine = (units[0] * units[1]).sum().clamp(-1, 1)
    if abs(cosine) > PARALLEL:
        return (1 - t) * a + t * b
    angle = torch.acos(cosine)
    shares = [torch.sin(part * angle) / torch.sin(angle) for part in (1 - t, t)]
    return shares[0] * a + shares[1] * b


def nearswap(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """From the first model towards the second, as far as t."""
    first, second, coefficient = tensors.ends()
    distance = (first - second).abs().clamp(min=float(near.SMALLEST))
    share: Tensor = (parameters.t * coefficient / distance).clamp(min=0, max=1)
    return share * second + (1 - share) * first


def arcee_fusion(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """The second model's elements whose importance stands out."""
    first, second, _ = tensors.ends()
    p, q = (end.softmax(dim=-1) + 1e-8 for end in (second, first))
    divergence = (p * torch.log(p / q)).sum(dim=-1)
    importance = (second - first).abs() * divergence.unsqueeze(-1)
    ordered = torch.sort(importance.view(-1)).values
    low, median, high = (ordered[int(share * (ordered.numel() - 1))] for share in (0.25, 0.5, 0.75))
    changed = (importance >= median + 1.5 * (high - low)).float()
    return (first + (second - first) * changed).to(first.dtype)


def model_stock(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """From the base towards the mean of the models, by their mean cosine."""
    if len(tensors.models) == 1:
        return tensors.models[0]
    base, *models = (_vectors(tensor, parameters) for tensor in (tensors.base, *tensors.models))
    cosines = []
    for a, b in combinations([model - base for model in models], 2):
        norms = torch.norm(a, dim=-1) * torch.norm(b, dim=-1)
        cosine = (a * b).sum(dim=-1) / norms.clamp(min=stock.SMALLEST_NORMS)
        cosines.append(cosine.clamp(-1, 1))
    cosine, count = torch.stack(cosines).mean(dim=0).unsqueeze(-1), len(models)
    share = (count * cosine) / (1 + (count - 1) * cosine)
    mean = sum(models[1:], start=models[0]) / count
    return (share * mean + (1 - share) * base).reshape(tensors.base.shape)


def _vectors(tensor: Tensor, parameters: Any) -> Tensor:
    if parameters.angles_of == "tensor":
        return tensor.view(-1)
    return tensor if tensor.dim() > 1 else tensor.unsqueeze(0)


def nuslerp(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """The arc between two models, or between their deltas."""
    if len(tensors.models) == 1:
        return tensors.models[0]
    of_deltas = parameters.turned == "deltas"
    first, second = tensors.deltas() if of_deltas else tensors.models
    total = sum(tensors.coefficients)
    t = tensors.coefficients[1] / total if abs(total) >= two_vectors.NO_SUM else 0.5
    merged = _turned(first, second, t, parameters.vectors)
    return tensors.base + merged if of_deltas else merged


def _turned(first: Tensor, second: Tensor, t: float, vectors: str) -> Tensor:
    a, b = first, second
    if vectors == "tensor":
        a, b = a.view(-1), b.view(-1)
    elif vectors == "column":
        a, b = a.transpose(0, -1), b.transpose(0, -1)
    smallest = two_vectors.SMALLEST_NORM
    units = [v / torch.norm(v, dim=-1, keepdim=True).clamp(min=smallest) for v in (a, b)]
    cosine = (units[0] * units[1]).sum(dim=-1, keepdim=True).clamp(-1, 1)
    straight = 1 - cosine.square() <= two_vectors.COLINEAR**2
    angle = torch.acos(torch.where(straight, 0, cosine))
    merged = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    merged = torch.where(straight, (1 - t) * a + t * b, merged)
    merged = merged.transpose(0, -1) if vectors == "column" else merged
    return merged.reshape(first.shape)


def multislerp(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """The mean of directions on the sphere, with the mean of norms."""
    if len(tensors.models) == 1:
        return tensors.models[0]
    of_deltas = parameters.turned == "deltas"
    vectors = torch.stack(tensors.deltas() if of_deltas else tensors.models).flatten(1)
    weights = torch.tensor(tensors.coefficients, dtype=vectors.dtype)
    if parameters.divide == "coefficients":
        weights = weights / weights.sum()
    merged = _on_sphere(vectors, weights, parameters.eps).view(tensors.base.shape)
    return merged + tensors.base if of_deltas else merged


def _on_sphere(vectors: Tensor, weights: Tensor, eps: float) -> Tensor:
    norms = torch.norm(vectors, dim=-1, keepdim=True)
    units, column = vectors / (norms + eps), weights.view(-1, 1)
    mean = (units * column).sum(0)
    length = torch.norm(mean)
    if length < eps:
        return (vectors * column).sum(0)
    mean = mean / length
    tangents = units - (units * mean).sum(-1, keepdim=True) * mean
    way = (tangents * column).sum(0)
    angle = torch.norm(way) + eps
    point: Tensor = mean * torch.cos(angle) + way * (torch.sin(angle) / angle)
    size: Tensor = (norms.squeeze(-1) * weights).sum()
    return size * point


def karcher(tensors: RoundedTensors, parameters: Any) -> Tensor:
    """The middle of the models' directions, with the mean of their norms."""
    if len(tensors.models) == 1:
        return tensors.models[0]
    total = sum(tensors.coefficients)
    shares = [coefficient / total for coefficient in tensors.coefficients]
    norms = [_norm(model) for model in tensors.models]
    valid = [index for index, norm in enumerate(norms) if float(norm) > parameters.tol]
    if not valid:
        return torch.zeros_like(tensors.base)
    every = sum(shares[index] for index in valid)
    alphas = [shares[index] / every for index in valid]
    units = [_unit(tensors.models[index]) for index in valid]
    parts = [share * norm for share, norm in zip(shares, norms, strict=True)]
    return sum(parts[1:], start=parts[0]) * _middle(units, alphas, parameters)


def _norm(vector: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(vector.float())
    return norm


def _unit(vector: Tensor) -> Tensor:
    return (vector / _norm(vector)).to(vector.dtype)


def _middle(units: list[Tensor], alphas: list[float], parameters: Any) -> Tensor:
    middle = torch.zeros_like(units[0])
    for alpha, unit in zip(alphas, units, strict=True):
        middle += alpha * unit
    middle = units[0] if float(_norm(middle)) < parameters.tol else _unit(middle)
    for _ in range(int(parameters.max_iter)):
        step = torch.zeros_like(middle)
        for alpha, unit in zip(alphas, units, strict=True):
            cosine = torch.clamp(torch.dot(middle.flatten(), unit.flatten()), -1.0, 1.0)
            angle = torch.arccos(cosine)
            if float(angle) >= parameters.tol:
                step += alpha * (angle / torch.sin(angle)) * (unit - cosine * middle)
        norm = _norm(step)
        if float(norm) < parameters.tol:
            break
        middle = (torch.cos(norm) * middle + torch.sin(norm) * (step / norm)).to(middle.dtype)
        if float(_norm(middle)) > parameters.tol:
            middle = _unit(middle)
    return middle
