"""The memory of deltas has a budget; that of a gradient does not grow with the number of models."""

import subprocess
import sys
from pathlib import Path

import pytest

from dppa_core.system.byte_sizes import MEMORY_VARIABLE
from dppa_core.tuning.adamerging.model import delta_budget
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

MARGIN = 100
"""MiB by which the peak may grow. Six more deltas are 200 MiB; mapped pages of each of the two
models go after 32 MiB, and that of one alone may be at its lowest when the first peak is seen."""

WORK = """
import sys
from pathlib import Path
import numpy as np
import torch
from dppa_core.tuning.adamerging.model import PreparedDeltas
from dppa_core.models.answer_loss import Exchange, entropy, reply_logits
from dppa_core.tuning.adamerging.model import TunableModel
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

torch.set_num_threads(1)
base, tuned = sys.argv[1:]

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

def gradient(count):
    models = tuple(DomainModel(tuned, (0.8,), coefficient=float(k)) for k in range(count))
    deltas = PreparedDeltas(MergeRecipe(base, models, method="magnitude"), byte_budget=0)
    weights.append(TunableModel(deltas, model, per_layer=False))
    start = weights[-1].start(0.3)
    weights[-1].write(start)
    with weights[-1].gradient() as slopes:
        entropy(reply_logits(model, [Exchange((1, 2, 3), (4, 5))])[0]).mean().backward()
    assert slopes.shape == (count, 1) and np.abs(slopes).min() > 0
    weights[-1].write(0 * start)
    return peak()

weights = []
model = ModelPool().get(base).model
single = gradient(1)
print(single, gradient(7))
"""


@pytest.mark.long
def test_the_peak_is_the_same_for_one_domain_model_and_for_seven(tmp_path: Path) -> None:
    base = random_llama(0, Shape(layers=1, hidden=256, intermediate=4096, vocab=20_000))
    base.save(tmp_path / "base")
    tuned_llama(base, 1).save(tmp_path / "math")
    arguments = [sys.executable, "-c", WORK, str(tmp_path / "base"), str(tmp_path / "math")]
    process = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    single, seven = map(int, process.stdout.split())
    assert seven - single < MARGIN


@pytest.mark.parametrize(("models", "deltas"), [("4GB", 2 * 10**9), ("10MB", 512 * 2**20)])
def test_deltas_take_half_of_what_models_may_and_at_least_512_mebibytes(
    monkeypatch: pytest.MonkeyPatch, models: str, deltas: int
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, models)
    assert delta_budget() == deltas
