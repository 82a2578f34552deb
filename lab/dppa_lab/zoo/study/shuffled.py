"""A set whose deltas keep their sizes and lose their places: the control of everything learned."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from dppa_core.tasks import DOMAINS

_WEIGHTS = "model.safetensors"


def shuffle_set(folder: Path, out: Path, seed: int = 0) -> Path:
    """Write the set with the entries of each matrix's delta in random order; returns `out`.

    Vectors and embeddings keep theirs: there, a place is a token or a channel with its own scale.

    Args:
        folder: Contains base, math, finance and law, each with one file of weights.
        out: New folder for the set; a set there is replaced.
    """
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder / "base", out / "base")
    base = load_file(folder / "base" / _WEIGHTS)
    for number, name in enumerate(DOMAINS):
        shutil.copytree(folder / name, out / name)
        order = torch.Generator().manual_seed(len(DOMAINS) * seed + number)
        tuned = load_file(folder / name / _WEIGHTS)
        for tensor, value in tuned.items():
            if value.ndim == 2 and ".layers." in tensor:
                delta = (value.float() - base[tensor].float()).flatten()
                mixed = delta[torch.randperm(delta.numel(), generator=order)].reshape(value.shape)
                tuned[tensor] = (base[tensor].float() + mixed).to(value.dtype)
        save_file(tuned, out / name / _WEIGHTS, metadata={"format": "pt"})
    return out
