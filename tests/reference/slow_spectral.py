"""Methods that merge matrices, as their authors' programs compute them: torch's SVD in float64.

Shares no code with dppa_core. Deltas are outputs x inputs, times their coefficients.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.linalg import svd

Deltas = Sequence[Tensor]


def iso_c(deltas: Deltas) -> Tensor:
    left, values, right = svd(sum(deltas, torch.zeros(())), full_matrices=False)
    return left @ torch.diag(values.mean().expand(len(values))) @ right


def iso_cts(deltas: Deltas, common: float = 0.8) -> Tensor:
    total, size, tasks = sum(deltas, torch.zeros(())), min(deltas[0].shape), len(deltas)
    each = min(round((size - int(size * common)) / tasks), size // tasks)
    shared = size - each * tasks
    left, values, right = svd(total, full_matrices=False)
    left, values, right = left[:, :shared], values[:shared], right[:shared]
    lefts, sizes, rights = [left], [values], [right]
    for delta in deltas:
        u, s, v = svd(delta - left @ left.T @ delta, full_matrices=False)
        lefts.append(u[:, :each])
        sizes.append(s[:each])
        rights.append(v[:each])
    return (
        orthogonal(torch.hstack(lefts)) * torch.cat(sizes).mean() @ orthogonal(torch.vstack(rights))
    )


def tsv_m(deltas: Deltas) -> Tensor:
    each = max(min(deltas[0].shape) // len(deltas), 1)
    parts = [svd(delta, full_matrices=False) for delta in deltas]
    left = torch.hstack([u[:, :each] for u, _, _ in parts])
    right = torch.vstack([v[:each] for _, _, v in parts])
    values = torch.cat([s[:each] for _, s, _ in parts])
    return orthogonal(left) @ torch.diag(values) @ orthogonal(right)


def subspace_boosting(deltas: Deltas, beta: float = 0.01) -> Tensor:
    left, values, right = svd(sum(deltas, torch.zeros(())), full_matrices=False)
    reached = (values.cumsum(0) / values.sum() >= beta - 1e-12).nonzero()[0].item()
    return left @ torch.diag(values.clamp(min=float(values[int(reached)]))) @ right


def wudi(deltas: Deltas) -> Tensor:
    """The normal equations of the loss, by a pseudoinverse."""
    grams = [delta.T @ delta / delta.square().sum() for delta in deltas]
    products = [delta @ gram for delta, gram in zip(deltas, grams, strict=True)]
    total = torch.stack(grams).sum(0)
    return torch.stack(products).sum(0) @ torch.linalg.pinv(total, rtol=1e-13, hermitian=True)


def wudi_adam(deltas: Deltas) -> Tensor:
    merged = torch.nn.Parameter(sum(deltas, torch.zeros(())))
    optimizer = torch.optim.Adam([merged], lr=1e-5)
    for _ in range(300):
        optimizer.zero_grad()
        losses = [
            ((merged - delta) @ delta.T).square().sum() / delta.square().sum() for delta in deltas
        ]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return merged.detach()


def outputs(matrix: Tensor) -> Tensor:
    """Those that it has, the strongest first."""
    rank = int(torch.linalg.matrix_rank(matrix, rtol=1e-6))
    return svd(matrix, full_matrices=False)[0][:, :rank]


def doge_ta(
    deltas: Deltas, coefficients: Sequence[float], lamda: float, density: float = 0.3
) -> Tensor:
    """The loss of the program by autograd; its mask keeps a share of the only module."""
    moved = [
        (delta, c * lamda / delta.norm())
        for delta, c in zip(deltas, coefficients, strict=True)
        if delta.any()
    ]
    if not moved:
        return torch.zeros_like(deltas[0])
    size = min(deltas[0].shape)
    each = size // len(moved)
    lefts = torch.hstack([outputs(delta)[:, :each] for delta, _ in moved])
    shared = outputs(lefts)[:, : size // 6]
    change = torch.nn.Parameter(torch.zeros_like(deltas[0]))
    optimizer = torch.optim.Adam([change], lr=1e-4)
    for _ in range(400):
        optimizer.zero_grad()
        merged = torch.stack([weight * (delta + change) for delta, weight in moved]).sum(0)
        loss = [(delta * (delta - merged)).sum(1).square().sum() for delta, _ in moved]
        torch.stack(loss).sum().backward()  # type: ignore[no-untyped-call]
        assert change.grad is not None
        change.grad -= shared @ (shared.T @ change.grad)
        optimizer.step()
    total = torch.zeros_like(deltas[0])
    for delta, weight in moved:
        order = delta.abs().flatten().argsort(descending=True, stable=True)
        kept = torch.zeros(delta.numel(), dtype=torch.bool)
        kept[order[: round(density * delta.numel())]] = True
        total += weight * (delta + change.detach()) * kept.reshape(delta.shape)
    return total


def ties(parts: Deltas, density: float) -> Tensor:
    """The largest elements of each, those of the sign of their sum averaged."""
    trimmed = []
    for part in parts:
        order = part.abs().flatten().argsort(descending=True, stable=True)
        kept = torch.zeros(part.numel(), dtype=torch.bool)
        kept[order[: round(density * part.numel())]] = True
        trimmed.append(part * kept.reshape(part.shape))
    stacked = torch.stack(trimmed)
    agreeing = stacked * (stacked.sign() == stacked.sum(0).sign())
    return agreeing.sum(0) / (agreeing != 0).sum(0).clamp(min=1)


def knots(deltas: Deltas, density: float = 0.2) -> Tensor:
    left, values, right = svd(torch.hstack(list(deltas)), full_matrices=False)
    width = deltas[0].shape[1]
    return left @ torch.diag(values) @ ties(right.split(width, dim=1), density)


def core_space(deltas: Deltas, density: float = 0.2) -> Tensor:
    parts = [svd(delta, full_matrices=False) for delta in deltas]
    lefts = [u @ torch.diag(s.sqrt()) for u, s, _ in parts]
    rights = [torch.diag(s.sqrt()) @ v for _, s, v in parts]
    left = svd(torch.hstack(lefts), full_matrices=False)[0]
    right = svd(torch.vstack(rights), full_matrices=False)[2]
    cores = [left.T @ b @ a @ right.T for b, a in zip(lefts, rights, strict=True)]
    return left @ ties(cores, density) @ right


def orthogonal(matrix: Tensor) -> Tensor:
    left, _, right = svd(matrix, full_matrices=False)
    return left @ right


METHODS: dict[str, Callable[..., Tensor]] = {
    "iso_c": iso_c,
    "iso_cts": iso_cts,
    "tsv_m": tsv_m,
    "subspace_boosting": subspace_boosting,
    "wudi": wudi,
    "knots": knots,
    "core_space": core_space,
}
