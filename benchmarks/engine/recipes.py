"""Recipes of the measured merges, for DPPA and for mergekit."""

from pathlib import Path

from benchmarks.synthetic import BASE, DOMAINS, SIZES
from dppa_core.recipes.mergekit.exporting.export import export_mergekit
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe

DENSITY = 0.2
COEFFICIENT = 0.3
OURS = ("dppa", "ties", "task_arithmetic")
THEIRS = ("ties", "task_arithmetic")


def recipe(method: str, models: Path) -> MergeRecipe:
    """All three domain models of one size.

    dppa: two levels for modules, the whole delta for embeddings and norms. ties: as in
    mergekit, each tensor is trimmed by itself, and coefficients apply before the election.

    Args:
        method: One of `OURS`.
        models: The folder made by `benchmarks.synthetic.make`.
    """
    levels, factors = ((0.9, 1 - DENSITY), (1.6, 1.0)) if method == "dppa" else ((0.0,), (1.0,))
    tuned = tuple(DomainModel(str(models / name), levels, factors, COEFFICIENT) for name in DOMAINS)
    settings = {"density": DENSITY, "semantics": "mergekit"} if method == "ties" else {}
    base = str(models / BASE)
    return MergeRecipe(base, tuned, method, dtype="bfloat16", parameters=settings)


def write_recipes(size: str, models: Path, folder: Path) -> None:
    """Write `METHOD.yaml` for us, and `mergekit-METHOD.yaml` with the same meaning.

    mergekit computes in bfloat16 by default, which is its fastest;
    `mergekit-METHOD-float32.yaml` computes in float32 and rounds once, as ours do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {spec.name: spec.shape for spec in SIZES[size].tensors()}
    for method in OURS:
        merge_recipe = recipe(method, models)
        (folder / f"{method}.yaml").write_text(dump_recipe(merge_recipe), "utf-8")
        if method in THEIRS:
            text = export_mergekit(merge_recipe, shapes=shapes).text
            (folder / f"mergekit-{method}-float32.yaml").write_text(text, "utf-8")
            fast = text.replace("dtype: float32\nout_dtype: bfloat16\n", "dtype: bfloat16\n")
            (folder / f"mergekit-{method}.yaml").write_text(fast, "utf-8")
