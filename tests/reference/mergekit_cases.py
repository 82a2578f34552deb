"""Merges that mergekit and this library must make alike, on tiny models.

`scripts/record_mergekit.py` runs them through mergekit and saves the results beside this file.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from dppa_core.pruning.coefficients import PartCoefficient
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

RECORDED = Path(__file__).with_name("mergekit.npz")
NAMES = ("base", "a", "b")
# Every tensor has a multiple of eight elements, so that shares of them are whole numbers.
LAYERS = 3
SHAPE = Shape(layers=LAYERS, hidden=8, intermediate=16, heads=2, kv_heads=1)


RUN = """
import importlib.metadata, sys, transformers, yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
# mergekit leaves lists by layer as they were, which transformers does not save at another depth
if len(sys.argv) < 3:
    transformers.PretrainedConfig.save_pretrained = lambda config, folder: None
tokenizer = len(sys.argv) > 2
options = MergeOptions(copy_tokenizer=tokenizer, quiet=True, write_model_card=False)
for number in range(int(sys.argv[1])):
    config = MergeConfiguration.model_validate(yaml.safe_load(open(f"{number}.yaml")))
    run_merge(config, f"out{number}", options)
print(importlib.metadata.version("mergekit"))
"""


def run_mergekit(
    python: Path, root: Path, texts: Sequence[str], before: str = "", *, tokenizer: bool = False
) -> str:
    """Merge each recipe of mergekit's into `root`/out0, out1, …; returns mergekit's version.

    Args:
        python: An interpreter of an environment with mergekit.
        root: The folder the recipes' model names are relative to.
        before: Python that runs first in mergekit's process.
        tokenizer: True to write the tokenizer too.
    """
    for number, text in enumerate(texts):
        (root / f"{number}.yaml").write_text(text, "utf-8")
    command = [
        str(python),
        "-c",
        before + RUN,
        str(len(texts)),
        *(["tokenizer"] if tokenizer else []),
    ]
    process = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    return process.stdout.split()[-1]


def save_models(root: Path) -> None:
    """Folders base, a and b below `root`, in float32."""
    base = random_llama(0, SHAPE)
    base.save(root / "base", dtype="F32")
    for seed, name in enumerate(NAMES[1:], start=1):
        tuned_llama(base, seed).save(root / name, dtype="F32")


def recipes(root: Path) -> dict[str, MergeRecipe]:
    """Every case by name."""

    def recipe(
        method: str,
        coefficients: tuple[object, ...] = (0.5, 0.25),
        levels: tuple[tuple[float, ...], ...] = ((0.0,), (0.0,)),
        prune: Pruning | None = None,
        own: tuple[dict[str, object], ...] = ({}, {}),
        **parameters: object,
    ) -> MergeRecipe:
        models = tuple(
            DomainModel(str(root / name), level, coefficient=coefficient, parameters=values)  # type: ignore[arg-type]
            for name, coefficient, level, values in zip(
                NAMES[1:], coefficients, levels, own, strict=False
            )
        )
        return MergeRecipe(
            str(root / "base"), models, method, parameters, dtype="float32", prune=prune
        )

    layered = ({0: 0.5, 1: 0.25, 2: 1.0}, {0: 0.0, 1: 0.75})
    by_part = (
        (
            PartCoefficient("mlp.down_proj", -0.5),
            PartCoefficient("self_attn", {0: 0.5, 1: 0.0, 2: 1.0}),
            PartCoefficient(None, 0.25),
        ),
        (
            PartCoefficient("input_layernorm", 1.0),
            PartCoefficient("norm", 2.0),
            PartCoefficient(None, {0: 0.0, 1: 0.75, 2: 0.5}),
        ),
    )
    slerp_parts = (
        PartCoefficient("self_attn", {0: 0.0, 1: 0.75, 2: 2.0}),
        PartCoefficient("mlp", {0: 2.0, 1: 1.25, 2: 0.0}),
        PartCoefficient(None, 1.0),
    )
    by_layer = ({"part": "layers", "value": {0: 0.21, 1: 0.5, 2: 0.13}}, {"value": 0.3})
    trimmed = {"density": 0.25, "ranked_in": "tensor", "scale": 1.5}
    by_magnitude = Pruning("magnitude", {"other_tensors": "prune"})
    return {
        "linear": recipe("linear", (0.25, 1.0)),
        "linear, plain sum": recipe("linear", (0.25, 1.0), divide="nothing"),
        "task arithmetic": recipe("task_arithmetic", (0.75, -0.5)),
        "task arithmetic by layer": recipe("task_arithmetic", layered),
        "task arithmetic by part": recipe("task_arithmetic", by_part),
        "linear by part": recipe("linear", by_part, divide="nothing"),
        "ties by part": recipe("ties", by_part, semantics="mergekit", divide="nothing", **trimmed),
        "breadcrumbs by part": recipe("breadcrumbs", by_part, drop_smallest=0.5, drop_largest=0.25),
        "slerp": recipe("slerp", (1.0, 1.0), position=0.25),
        "slerp from the base": recipe("slerp", (1.0,), position=0.75),
        "slerp by layer": recipe("slerp", (1.0, {0: 0.0, 1: 1.0, 2: 0.5}), position=0.75),
        "slerp by part": recipe("slerp", (slerp_parts,), position=0.5),
        "ties": recipe("ties", (1.0, 1.0), **trimmed),
        "ties, divided by number": recipe("ties", (0.5, 0.5), divide="number", **trimmed),
        "ties, weighed before": recipe("ties", (0.25, 1.0), semantics="mergekit", **trimmed),
        "ties, added up": recipe(
            "ties", (0.25, 1.0), semantics="mergekit", divide="nothing", **trimmed
        ),
        "ties with densities": recipe(
            "ties",
            (0.25, 1.0),
            ((0.75,), (0.5,)),
            by_magnitude,
            semantics="mergekit",
            ranked_in="tensor",
            density=1.0,
        ),
        "ties with densities of their own": recipe(
            "ties",
            (0.25, 1.0),
            own=({"density": 0.37}, {"density": by_layer}),
            semantics="mergekit",
            rescale="yes",
        ),
        "breadcrumbs": recipe("breadcrumbs", drop_smallest=0.5, drop_largest=0.25),
        "breadcrumbs, rounded down": recipe(
            "breadcrumbs",
            own=({"drop_smallest": 0.33}, {"drop_smallest": by_layer}),
            drop_largest=0.07,
            semantics="mergekit",
            divide="coefficients",
            rescale="yes",
        ),
        "breadcrumbs of elected signs": recipe(
            "breadcrumbs",
            (0.25, -1.0),
            drop_smallest=0.33,
            drop_largest=0.01,
            semantics="mergekit",
            signs="elected",
        ),
        "della that drops nothing": recipe(
            "della", drop=0.0, window=0.0, semantics="mergekit", divide="nothing"
        ),
        "linear drop of nothing": recipe(
            "della_linear",
            layered,
            drop=0.0,
            window=0.0,
            semantics="mergekit",
            divide="coefficients",
        ),
        "sce": recipe("sce", (1.0, 1.0), density=0.5, semantics="mergekit"),
        "sce, rounded down": recipe("sce", (1.0, 1.0), density=0.45, semantics="mergekit"),
        "sce of all": recipe("sce", (1.0, 1.0), density=1.0, semantics="mergekit"),
        "model stock": recipe("model_stock", (1.0, 1.0)),
        "model stock by row": recipe("model_stock", (1.0, 1.0), angles_of="row"),
        "nuslerp": recipe("nuslerp", (0.25, 1.0)),
        "nuslerp by part": recipe("nuslerp", by_part, turned="models", vectors="row"),
        "nuslerp by column": recipe("nuslerp", (0.75, 0.5), vectors="column"),
        "multislerp": recipe("multislerp", (0.25, 1.0)),
        "multislerp of models": recipe("multislerp", layered, turned="models", divide="nothing"),
        "karcher": recipe("karcher", (1.0, 1.0), max_iter=3),
        "nearswap": recipe("nearswap", (1.0,), t=0.05),
        "nearswap by layer": recipe("nearswap", (1.0, layered[0]), t=0.1),
        "arcee fusion": recipe("arcee_fusion", (1.0,)),
        "ram": recipe("ram", (1.0, 1.0), epsilon=0.1),
        "ram plus": recipe("ramplus_tl", (1.0, 1.0), r=0.5, alpha=0.75, epsilon=0.1),
    }


def drawn(root: Path) -> dict[str, MergeRecipe]:
    """Methods that drop at random, on one model; rescaled, it keeps each tensor's sum of |d|."""
    model = DomainModel(str(root / NAMES[1]))
    half = {"drop": 0.5, "semantics": "mergekit"}
    narrow, wide = {"window": 0.0, "scale": 1.0}, {"window": 0.3, "scale": 1.0}
    settings = {
        "dare_ties": ("dare_ties", half),
        "dare_linear": ("della_linear", half | narrow),
        "della_linear": ("della_linear", half | wide),
        "della": ("della", half | wide),
    }
    return {
        name: MergeRecipe(str(root / "base"), (model,), method, values, dtype="float32")
        for name, (method, values) in settings.items()
    }


GRADIENTS = """
merge_method: {method}
base_model: base
models:
  - model: a
    parameters:
      weight:
        - filter: self_attn
          value: [0.25, 0.75]
        - filter: mlp
          value: [1, 0, 0.5, 0.25]
        - filter: norm
          value: 0.75
        - value: 0.5
  - model: b
    parameters:
      weight: [-0.5, 1, 0.5, 0, 0.25]
parameters:
  lambda: 0.5
  normalize: false{more}
dtype: float32
"""
"""As people write them: gradients of other lengths than the model has layers."""


SLERP = """
slices:
  - sources:
      - model: base
        layer_range: [0, 3]
      - model: a
        layer_range: [0, 3]
merge_method: slerp
base_model: base
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5
dtype: float32
"""
"""The form of the commonest recipe."""


OTHERS = {
    "karcher, its base among the models": """
merge_method: karcher
base_model: base
models: [{model: a}, {model: b}]
dtype: float32
""",
    "nuslerp without a base": """
merge_method: nuslerp
models: [{model: a, parameters: {weight: 0.4}}, {model: b, parameters: {weight: [0.2, 1]}}]
parameters: {nuslerp_flatten: false, nuslerp_row_wise: true}
dtype: float32
""",
    "multislerp without a base": """
merge_method: multislerp
models: [{model: base, parameters: {weight: 1}}, {model: a, parameters: {weight: 0.5}},
  {model: b, parameters: {weight: -0.25}}]
dtype: float32
""",
    "breadcrumbs with ties": """
merge_method: breadcrumbs_ties
base_model: base
models:
- {model: a, parameters: {weight: 0.5, density: 0.9}}
- {model: b, parameters: {weight: 0.8, density: [0.31, 0.77], gamma: 0.05}}
parameters: {normalize: true, rescale: true, lambda: 1.5}
dtype: float32
""",
    "nearswap by filter": """
merge_method: nearswap
base_model: base
models: [{model: base}, {model: b}]
parameters: {t: [{filter: mlp, value: 0.02}, {filter: self_attn, value: [0, 0.1]}, {value: 0.01}]}
dtype: float32
""",
}
"""Keys and forms of their own."""


def texts() -> dict[str, str]:
    """mergekit's own recipes by name, with keys that no export has."""
    return OTHERS | {
        "slerp by gradients": SLERP,
        "task arithmetic by gradients": GRADIENTS.format(method="task_arithmetic", more=""),
        "ties by gradients": GRADIENTS.format(method="ties", more="\n  density: 0.5"),
        "breadcrumbs by gradients": GRADIENTS.format(
            method="breadcrumbs", more="\n  density: 0.5\n  gamma: 0.25"
        ),
    }
