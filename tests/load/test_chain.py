"""Every command on one set of models, from preflight to the card: tiny ones, and 135 million."""

import os
from pathlib import Path

import pytest

from benchmarks import synthetic
from benchmarks.chain import STEPS, commands, measured, prepared
from benchmarks.engine.process import Usage
from dppa_core.system.byte_sizes import parse_size
from tests.helpers.command import Command

TINY = synthetic.Size(2, 64, 128, 32, 4, 1024)  # all tokens of the embedded tokenizer
OVERHEAD = 10**9
"""Bytes of a process beside its models."""


@pytest.mark.usefixtures("one_torch_thread")
def test_every_command_goes_through_one_after_the_other(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(synthetic.SIZES, "S", TINY)
    models = prepared("S", tmp_path)
    for step, arguments in commands(models, "1GB").items():
        assert dppa(*arguments) == 0, f"{step}: {dppa.err}"
    assert list(commands(models, "1GB")) == list(STEPS)


@pytest.mark.long
def test_a_set_of_real_shapes_goes_through_in_its_budget(tmp_path: Path) -> None:
    """Of 135 million parameters; DPPA_CHAIN=B takes 1.1 billion, and over half an hour."""
    budget = "6GB"
    models = prepared(os.environ.get("DPPA_CHAIN", "S"), tmp_path)
    for step, cost in measured(models, budget, STEPS, print):
        assert isinstance(cost, Usage), f"{step}: {cost}"
        assert cost.peak <= parse_size(budget) + OVERHEAD, step
