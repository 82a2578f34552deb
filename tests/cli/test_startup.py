"""Commands without models or pages start without importing the packages for those."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe

HEAVY = {"torch", "transformers", "tokenizers", "accelerate", "peft", "safetensors"}
HEAVY |= {"gradio", "plotly", "pandas", "scipy", "optuna", "ray", "huggingface_hub"}
RUN = """
import sys
from dppa_core.cli.main import app
app(sys.argv[1:], standalone_mode=False)
print("loaded:", *{name.split(".")[0] for name in sys.modules})
"""


@pytest.mark.cases(2)
@pytest.mark.parametrize(
    "command",
    [
        ("profile", "zoo:math"),
        ("plan", "zoo:math"),
        ("plan", "--recipe", "recipe.yaml"),
        ("merge", "recipe.yaml", "--out", "out", "--no-sync"),
        ("preflight", "--recipe", "recipe.yaml", "--measure"),
    ],
    ids=" ".join,
)
def test_a_command_loads_nothing_heavy(
    zoo_env: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    models = tuple(DomainModel(f"zoo:{name}", (0.9, 0.8), (1.2, 1.0)) for name in ("math", "law"))
    (tmp_path / "recipe.yaml").write_text(dump_recipe(MergeRecipe("zoo:base", models)), "utf-8")
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.run(
        [sys.executable, "-c", RUN, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "DPPA_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(process.stdout.rpartition("loaded:")[2].split())
    assert "numpy" in loaded and not loaded & HEAVY
