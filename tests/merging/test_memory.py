"""The memory of a merge, of a profile and of a pack does not grow with the models."""

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.shard_writer import WeightsWriter
from dppa_core.pruning.floats import from_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.tiny_models import Shape

MARGIN = 60
"""MiB by which the peak may differ; either larger model, and the merge, are 116 MiB larger.

Of mapped files what is read but not yet released counts too: on a busy machine up to 40.
"""

ROWS = {"small": 3_000, "large": 20_000}
METHODS = {
    "dppa": DomainModel("model", (0.9, 0.8), (1.5, 1.0)),
    "ties": DomainModel("model", coefficient=0.5),  # its trim needs a survey of the whole model
}
WORK = """
import sys
from pathlib import Path
from dppa_core.merging import tensor_tasks
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.recipes.yaml_text import load_recipe
tensor_tasks.WHOLE_MIN_NUMEL = 0  # small models in the same way as large ones
work = {"merge": merge_to_folder, "pack": pack_models}[sys.argv[4]]
work(load_recipe(sys.argv[1]), sys.argv[2], workers=int(sys.argv[3]), sync=False)
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def save(folder: Path, rows: int, noise: float) -> None:
    """One layer whose projections and embedding are large, and full of ties."""
    rng = np.random.default_rng(0)
    shape = Shape(layers=1, intermediate=rows, hidden=1024, vocab=rows // 2)
    block = rng.normal(size=1 << 18) + noise * rng.standard_t(4, 1 << 18)
    raw = from_float32(block.astype(np.float32), "BF16")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(shape.config("BF16")), "utf-8")
    specs = [TensorSpec(name, "BF16", size) for name, size in shape.tensors().items()]
    with closing(WeightsWriter(folder, specs)) as writer:
        for spec in specs:
            writer.place(spec.name, np.resize(raw, spec.numel))
        writer.finish()


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Recipes of one small and one large merge."""
    root, recipes_by_name = tmp_path_factory.mktemp("memory"), {}
    for name, rows in ROWS.items():
        save(root / name / "base", rows, 0.0)
        save(root / name / "math", rows, 0.05)
        model = DomainModel(str(root / name / "math"), (0.9, 0.8), (1.5, 1.0))
        recipe = MergeRecipe(str(root / name / "base"), (model,))
        recipes_by_name[name] = root / f"{name}.yaml"
        recipes_by_name[name].write_text(dump_recipe(recipe), "utf-8")
    for copy in ("law", "finance"):  # separate files when mapped
        (root / "large" / copy).mkdir()
        for file in (root / "large" / "math").iterdir():
            os.link(file, root / "large" / copy / file.name)
    for method, models in METHODS.items():
        for name, domains in (("small", ["math"]), ("large", ["math", "law", "finance"])):
            domain_models = tuple(
                replace(models, model=str(root / name / domain)) for domain in domains
            )
            recipe = MergeRecipe(str(root / name / "base"), domain_models, method)
            recipes_by_name[f"{method} {name}"] = root / f"{method} {name}.yaml"
            recipes_by_name[f"{method} {name}"].write_text(dump_recipe(recipe), "utf-8")
    return recipes_by_name


def peak(recipe: Path, out: Path, workers: int, work: str) -> int:
    """MiB of a merge or a pack in a subprocess, profiles included.

    As the kernel counts them for this program only: ru_maxrss would include the test's
    memory, which a new process shares until it runs its program.
    """
    arguments = [sys.executable, "-c", WORK, str(recipe), str(out), str(workers), work]
    process = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return int(process.stdout) // 1024


@pytest.mark.cases(1)
@pytest.mark.parametrize("workers, work", [(1, "merge"), (2, "merge"), (2, "pack")])
def test_peak_memory_stays_flat(
    recipes: dict[str, Path], tmp_path: Path, workers: int, work: str
) -> None:
    small, large = (peak(recipes[name], tmp_path / name, workers, work) for name in ROWS)
    assert large - small < MARGIN


@pytest.mark.long
@pytest.mark.cases(1)
@pytest.mark.parametrize("method", METHODS)
def test_more_models_and_larger_ones_take_no_more(
    recipes: dict[str, Path], tmp_path: Path, method: str
) -> None:
    """One small domain model, or three that are seven times as large."""
    small, large = (peak(recipes[f"{method} {size}"], tmp_path / size, 2, "merge") for size in ROWS)
    assert large - small < MARGIN
