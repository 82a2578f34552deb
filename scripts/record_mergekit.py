"""Run the merges of tests/reference/mergekit_cases.py through mergekit, and save the results.

    .venv/bin/python scripts/record_mergekit.py PYTHON

PYTHON is an interpreter of a separate environment with mergekit, whose requirements differ from
ours. mergekit reads the recipes with its own configuration class and merges; recipes, merged
tensors and its version go to tests/reference/mergekit.npz. The embedding is left out, for size.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from safetensors.numpy import load_file  # noqa: E402

from dppa_core.recipes.mergekit.exporting.export import export_mergekit  # noqa: E402
from tests.reference.mergekit_cases import (  # noqa: E402
    RECORDED,
    SHAPE,
    recipes,
    run_mergekit,
    save_models,
    texts,
)


def main() -> None:
    """Write tests/reference/mergekit.npz."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        save_models(root)
        recipes_by_name = exported(root) | texts()
        version = run_mergekit(Path(sys.argv[1]), root, list(recipes_by_name.values()))
        kept = {"version": np.array(version)}
        for number, (name, text) in enumerate(recipes_by_name.items()):
            kept[f"{name}/recipe"] = np.array(text)
            for file in sorted((root / f"out{number}").glob("*.safetensors")):
                tensors = load_file(file).items()
                kept |= {
                    f"{name}/{tensor}": value for tensor, value in tensors if "embed" not in tensor
                }
    np.savez_compressed(RECORDED, **kept)
    sys.stdout.write(f"{len(recipes_by_name)} merges\n")


def exported(root: Path) -> dict[str, str]:
    """Our recipes as mergekit's, by name."""
    return {
        name: export_mergekit(
            recipe, shapes=SHAPE.tensors(), place=lambda reference: Path(reference).name
        ).text
        for name, recipe in recipes(root).items()
    }


if __name__ == "__main__":
    main()
