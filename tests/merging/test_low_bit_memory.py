"""A merge in FP8 of the shape of a model of 1.1 billion parameters takes less than 1 GB."""

import json
import os
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.shard_writer import WeightsWriter
from dppa_core.preflight_checks.estimate import held_memory, threads_within
from dppa_core.pruning.floats import from_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.tiny_models import Shape

LARGE = Shape(
    layers=22, hidden=2048, intermediate=5632, heads=32, kv_heads=4, vocab=32000, tied=False
)
MOST_MB = 1000
BLOCK = 128
WORK = """
import json, sys, time
from pathlib import Path
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import load_recipe
began = time.perf_counter()
report = merge_to_folder(
    load_recipe(sys.argv[1]), sys.argv[2], same_format=True, workers=2, sync=False
)
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
print(json.dumps([int(peak) / 1000, time.perf_counter() - began, report.requantised.error]))
"""


def save(folder: Path, shape: Shape, *, noise: float) -> None:
    """Normal weights in FP8, the same block in every matrix, moved by some noise."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=1 << 20)
    numbers += noise * np.random.default_rng(1).standard_t(4, 1 << 20)
    bits = numbers.astype(np.float32).clip(-4, 4) * 2.0**-120 * 100  # of 4 bits of exponent
    codes = ((bits.view(np.uint32) >> 24 & 128) | (bits.view(np.uint32) >> 20 & 127)).astype("u1")
    plain = from_float32((numbers / 50).astype(np.float32), "BF16")
    specs = []
    for name, size in shape.tensors().items():
        few = len(size) == 2 and "layers" in name
        specs.append(TensorSpec(name, "F8_E4M3" if few else "BF16", size))
        if few:
            blocks = (-(-size[0] // BLOCK), -(-size[1] // BLOCK))
            specs.append(TensorSpec(f"{name}_scale_inv", "F32", blocks))
    folder.mkdir(parents=True)
    quantisation = {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK]}
    config = {**shape.config("BF16"), "quantization_config": quantisation}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with closing(WeightsWriter(folder, specs)) as writer:
        for spec in specs:
            kinds = {"F8_E4M3": codes, "BF16": plain, "F32": np.full(1, 2e-4, np.float32)}
            writer.place(spec.name, np.resize(kinds[spec.dtype], spec.numel))
        writer.finish()


def merge(root: Path, shape: Shape) -> tuple[float, float, float]:
    """Megabytes at the peak, seconds, and the error of rounding, of a merge in a subprocess."""
    save(root / "base", shape, noise=0.0)
    save(root / "math", shape, noise=0.1)
    recipe = MergeRecipe(
        str(root / "base"), (DomainModel(str(root / "math"), (0.9, 0.8), (1.5, 1.0)),)
    )
    (root / "recipe.yaml").write_text(dump_recipe(recipe), "utf-8")
    arguments = [sys.executable, "-c", WORK, str(root / "recipe.yaml"), str(root / "out")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(root / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    megabytes, seconds, error = json.loads(done.stdout.splitlines()[-1])
    return megabytes, seconds, error


def test_memory_says_how_many_threads_may_round_matrices() -> None:
    shapes = LARGE.tensors()
    largest = LARGE.hidden * LARGE.intermediate
    plain, folded = (held_memory("dppa", 1, shapes, 2, folds=folds) for folds in (False, True))
    assert plain == 0 and folded == 2 * 64_000_000 + 3 * 8 * largest
    fits = [threads_within(m, 8, partial(held_memory, "dppa", 1, shapes, folds=True))
            for m in (700_000_000, 1_000_000_000, 8_000_000_000)]  # fmt: skip
    assert fits == [1, 2, 8]


@pytest.mark.long
def test_a_merge_of_a_billion_parameters_in_fp8_takes_less_than_1_gb(tmp_path: Path) -> None:
    megabytes, _, error = merge(tmp_path, LARGE)
    assert megabytes < MOST_MB and 0 < error < 0.05


def test_memory_does_not_grow_with_the_layers(tmp_path: Path) -> None:
    sizes = [
        merge(tmp_path / str(layers), Shape(layers=layers, hidden=512, intermediate=2048))[0]
        for layers in (2, 14)  # 8 and 50 million parameters, 32 and 200 MB in float32
    ]
    assert sizes[1] - sizes[0] < 60
