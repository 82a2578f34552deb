"""Run the merges of tests/reference/mergekit_cases.py through mergekit, and keep what it wrote.

    .venv/bin/python scripts/record_mergekit.py PYTHON

PYTHON is an interpreter that has mergekit, in an environment of its own: its requirements are not
ours. mergekit reads the recipes with its own configuration class and merges; recipes, merged
tensors and its version go to tests/reference/mergekit.npz. The embedding is left out, for size.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from safetensors.numpy import load_file  # noqa: E402

from dppa_core.mergekit_export import export_mergekit  # noqa: E402
from tests.reference.mergekit_cases import RECORDED, SHAPE, recipes, save_models  # noqa: E402

RUN = """
import importlib.metadata, sys, yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
config = MergeConfiguration.model_validate(yaml.safe_load(open(sys.argv[1])))
options = MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False)
run_merge(config, sys.argv[2], options)
print(importlib.metadata.version("mergekit"))
"""


def main() -> None:
    """Write tests/reference/mergekit.npz."""
    python, kept = sys.argv[1], {}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        save_models(root)
        for number, (name, recipe) in enumerate(recipes(root).items()):
            exported = export_mergekit(
                recipe, shapes=SHAPE.tensors(), place=lambda ref: Path(ref).name
            )
            (root / "config.yaml").write_text(exported.text, "utf-8")
            command = [python, "-c", RUN, "config.yaml", f"out{number}"]
            done = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
            kept["version"] = np.array(done.stdout.split()[-1])
            kept[f"{name}/recipe"] = np.array(exported.text)
            for file in sorted((root / f"out{number}").glob("*.safetensors")):
                for tensor, values in load_file(file).items():
                    if "embed" not in tensor:
                        kept[f"{name}/{tensor}"] = values
            sys.stdout.write(f"{name}: {len(exported.notes)} notes\n")
    np.savez_compressed(RECORDED, **kept)


if __name__ == "__main__":
    main()
