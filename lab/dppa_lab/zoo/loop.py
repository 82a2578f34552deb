"""The loop of training: a rate for each step, reports, and a state that survives interruptions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dppa_lab.zoo.spec import Stage, fingerprint

REPORT_EVERY = 50


@dataclass(frozen=True, slots=True)
class Losses:
    """Mean losses of one step."""

    answer: float
    """Cross-entropy at the learned positions, nats."""
    pull: float
    """Unweighted distance to the base on the replay; 0 without replay."""


Report = Callable[[int, Losses, float, float], None]
"""Called with (step, losses, tokens per second, seconds left)."""


def run_steps(
    stage: Stage,
    weights: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    take_step: Callable[[int], tuple[Losses, int]],
    resume_file: Path,
    report: Report,
    *,
    save_every: int,
) -> None:
    """Do the steps of a stage that are left, and keep what is trained between interruptions.

    Args:
        weights: What is trained, and all that is kept.
        take_step: Computes the gradients of a step; returns its losses and the number of tokens.
        resume_file: Keeps the state between interruptions; who saves the result removes it.
        report: Called every `REPORT_EVERY` steps.
        save_every: Steps after which the state is saved.
    """
    start = _resume(resume_file, stage, weights, optimiser)
    began, tokens = time.monotonic(), 0
    for step in range(start, stage.steps):
        _set_rate(optimiser, stage, step)
        losses, step_tokens = take_step(step)
        torch.nn.utils.clip_grad_norm_(weights.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        tokens += step_tokens
        if (step + 1) % REPORT_EVERY == 0:
            spent = time.monotonic() - began
            left = spent / (step + 1 - start) * (stage.steps - step - 1)
            report(step + 1, losses, tokens / spent, left)
        if (step + 1) % save_every == 0 or step + 1 == stage.steps:
            _save(resume_file, stage, step + 1, weights, optimiser)


def _set_rate(optimiser: torch.optim.Optimizer, stage: Stage, step: int) -> None:
    """Linear warm-up, then a cosine to a fiftieth of the peak."""
    if step < stage.warmup:
        share = (step + 1) / stage.warmup
    else:
        progress = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
        share = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
    for group in optimiser.param_groups:
        group["lr"] = stage.learning_rate * share * group.get("factor", 1.0)


def _save(file: Path, stage: Stage, step: int, model: Any, optimiser: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    states = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
    torch.save({"fingerprint": fingerprint(stage), "step": step, **states}, partial)
    partial.replace(file)


def _resume(file: Path, stage: Stage, model: Any, optimiser: Any) -> int:
    """The step to resume from; 0 if no file fits this stage."""
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True)
    if state["fingerprint"] != fingerprint(stage):
        return 0
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
