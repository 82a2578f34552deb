"""Consensus: keep positions that several tasks want, by TALL masks (arXiv:2405.07813)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import Parameters, number, whole_number


@dataclass(frozen=True, slots=True)
class ConsensusParameters(Parameters):
    """Settings of Consensus task arithmetic; the paper chooses the threshold by validation."""

    threshold: float = number(
        0.4,
        title="Threshold",
        text="A task wants a position where its delta is at least this multiple of the sum of all "
        "others; the paper tries 0.2 to 0.6.",
        unit="x",
        span=(0.0, 10.0, 0.05),
    )
    agreement: int = whole_number(
        2,
        title="Agreement",
        text="How many tasks must want a position: 1 drops what none wants, 2 also what only one "
        "wants.",
        unit="models",
        span=(0, 100),
    )
    scale: float = scale(0.3)


def count_tasks(stack: Stack, threshold: float) -> Int64[ndarray, "rows columns"]:
    """Number of tasks that want each position; deltas include their coefficients."""
    deltas = stack.weighted()
    together = deltas.sum(axis=0, dtype=np.float64)  # float32 would depend on the models' order
    votes: Int64[ndarray, "rows columns"] = np.zeros(stack.base.shape, np.int64)
    for delta in deltas:
        votes += np.abs(delta) >= threshold * np.abs(together - delta)
    return votes


def consensus(stack: Stack, parameters: ConsensusParameters, statistic: None = None) -> Rows:
    """The scaled sum of all deltas at positions that enough tasks want."""
    together = stack.weighted().sum(axis=0, dtype=np.float64)
    kept = count_tasks(stack, parameters.threshold) >= parameters.agreement
    return np.where(kept, parameters.scale * together, 0).astype(np.float32)


METHOD = Method(
    name="consensus",
    title="Consensus",
    paper="arXiv:2405.07813",
    summary="Adds up the deltas at the positions that several tasks want.",
    group="sparse",
    home="Many tasks, with changes that serve one alone.",
    parameters=ConsensusParameters,
    combination=Combination(consensus),
)
