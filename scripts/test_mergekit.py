"""Run every method that mergekit has too on tiny models of four families, and compare the weights.

    .venv/bin/python scripts/test_mergekit.py [FAMILY …]

mergekit runs in out/mergekit-venv, which `scripts/mergekit.sh` makes. `make test` compares with
recorded results of a Llama; this compares with the program itself, embeddings included. Methods
that drop at random draw otherwise than mergekit: compared is what is alike for any draw. Left out
are tensors that are 0 throughout at the start of a slerp: they have no angle to its end, so the way
is a straight line here, and as at a right angle in mergekit.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

import torch  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

from dppa_core.checkpoints.sources.open import open_checkpoint  # noqa: E402
from dppa_core.merging.inputs import renamed  # noqa: E402
from dppa_core.merging.merger import open_merger  # noqa: E402
from dppa_core.pruning.floats import to_float32  # noqa: E402
from dppa_core.recipes.mergekit.exporting.export import export_mergekit  # noqa: E402
from dppa_core.recipes.mergekit.import_recipe import import_mergekit  # noqa: E402
from dppa_core.recipes.yaml_text import MergeRecipe  # noqa: E402
from tests.helpers.families import random_model  # noqa: E402
from tests.reference.mergekit_cases import (  # noqa: E402
    LAYERS,
    NAMES,
    drawn,
    recipes,
    run_mergekit,
)
from tests.reference.mergekit_stacks import stacks  # noqa: E402

PYTHON = ROOT / "out" / "mergekit-venv" / "bin" / "python"
MANY_ELEMENTS = 64
FAMILIES = ("llama", "qwen2", "mistral", "gemma2")


def main(families: list[str]) -> int:
    """1 if a weight of a merge differs by more than rounding, else 0."""
    differing = 0
    for family in families or FAMILIES:
        with TemporaryDirectory() as place:
            root = Path(place)
            save_family(family, root)
            differing += compare(family, root)
    return int(differing > 0)


def save_family(family: str, root: Path) -> None:
    """Folders base, a and b of a family in float32; a and b differ from base everywhere."""
    model = random_model(family, num_hidden_layers=LAYERS)
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    for seed, name in enumerate(NAMES):
        draws = torch.Generator().manual_seed(seed)
        for key, weight in model.named_parameters():
            noise = 0.1 * seed * torch.randn(weight.shape, generator=draws)
            weight.data.copy_(start[key] + noise)
        model.save_pretrained(root / name)


def compare(family: str, root: Path) -> int:
    """The number of merges that differ; prints a line for each."""
    base = open_checkpoint(str(root / "base"))
    shapes = {name: base.shape(name) for name in base.names()}
    merges = [(name, recipe, written(recipe)) for name, recipe in recipes(root).items()]
    for name, text in stacks().items():
        folders = {model: str(root / model) for model in NAMES}
        recipe = renamed(import_mergekit(text, lambda model: tuple(shapes)).recipe, folders)
        merges += [(name, recipe, text), (f"{name}, exported", recipe, written(recipe))]
    random = [(name, recipe, written(recipe)) for name, recipe in drawn(root).items()]
    version = run_mergekit(PYTHON, root, [text for _, _, text in (*merges, *random)])
    differing = 0
    for number, (name, recipe, _) in enumerate(merges):
        worst, tensor = largest_difference(recipe, root / f"out{number}")
        differing += worst > 1e-5
        mark = "differs" if worst > 1e-5 else "equal"
        sys.stdout.write(f"{family}, {name}: {mark} ({worst:.1e}, {tensor}; mergekit {version})\n")
    for number, (name, recipe, _) in enumerate(random, len(merges)):
        worst, ours, theirs = drawn_difference(recipe, root / f"out{number}")
        unlike = worst > 1e-4 or abs(ours - theirs) > 0.03
        differing += unlike
        sys.stdout.write(
            f"{family}, {name}: {'differs' if unlike else 'alike'}, other draws (sums of |d| "
            f"{worst:.1e}, kept {ours:.1%} here, {theirs:.1%} there; mergekit {version})\n"
        )
    return differing


def drawn_difference(recipe: MergeRecipe, folder: Path) -> tuple[float, float, float]:
    """For tensors of many elements: the largest relative difference of a sum of |d|, and the shares
    kept here and there."""
    theirs, merger, sums, kept = read_folder(folder), open_merger(recipe), [0.0], []
    base = read_folder(Path(recipe.base))
    for name in merger.names():
        dtype, shape, raw = merger.tensor(name)
        if raw.size >= MANY_ELEMENTS:
            ours = to_float32(raw, dtype).reshape(shape)
            deltas = [(values - base[name]).astype(np.float64) for values in (ours, theirs[name])]
            here, there = (np.abs(delta).sum() for delta in deltas)
            sums.append(abs(here - there) / here)
            kept.append([np.count_nonzero(delta) for delta in deltas] + [raw.size])
    here, there, numel = np.sum(kept, axis=0)
    return max(sums), here / numel, there / numel


def read_folder(folder: Path) -> dict[str, np.ndarray]:
    """All tensors of a checkpoint."""
    return {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}


def written(recipe: MergeRecipe) -> str:
    """A recipe as mergekit's."""
    base = open_checkpoint(recipe.base)
    shapes = {name: base.shape(name) for name in base.names()}
    return export_mergekit(recipe, shapes=shapes, place=lambda model: Path(model).name).text


def largest_difference(recipe: MergeRecipe, folder: Path) -> tuple[float, str]:
    """The largest difference of a weight relative to the tensor's largest, and its tensor."""
    theirs, merger, worst = read_folder(folder), open_merger(recipe), (0.0, "all tensors")
    for name in merger.names():
        if recipe.method == "slerp" and not merger.base.raw(name).any():
            theirs.pop(name)
            continue
        dtype, shape, raw = merger.tensor(name)
        ours = to_float32(raw, dtype).reshape(shape)
        apart = float(np.abs(ours - theirs.pop(name)).max() / max(np.abs(ours).max(), 1e-9))
        worst = max(worst, (apart if np.isfinite(apart) else np.inf, name))
    return (float("inf"), next(iter(theirs))) if theirs else worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
