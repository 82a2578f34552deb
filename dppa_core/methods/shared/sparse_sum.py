"""mergekit's last steps for deltas whose elements were dropped: elect signs or not, add, divide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dppa_core.methods.shared.sign_election import ballot_of
from dppa_core.methods.shared.stack import Deltas, Rows, Stack

NO_MEAN = 1e-8
"""A smaller sum of coefficients does not divide."""


def add_agreeing(stack: Stack, deltas: Deltas, divide: str, scale: float) -> Rows:
    """The deltas that agree with the elected signs; coefficients count before the election."""
    ballot = ballot_of(stack.coefficients, weigh_first=True, undecided=1, divide=divide)
    return np.asarray(np.float32(scale) * replace(stack, deltas=deltas).agree((), ballot))


def add_all(stack: Stack, deltas: Deltas, divide: str, scale: float) -> Rows:
    """All deltas times their coefficients, over the sum of these if it is to divide."""
    total = sum(stack.coefficients)
    divisor = total if divide == "coefficients" and abs(total) >= NO_MEAN else 1.0
    weighted = replace(stack, deltas=deltas).weighted()
    return np.asarray(np.float32(scale / divisor) * weighted.sum(axis=0))
