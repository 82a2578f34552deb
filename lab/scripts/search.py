"""Run the paper's climb on the embedded models, and keep what it found in lab/data/search.json
beside a merge whose factors were chosen by hand.

python -m lab.scripts.search
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from dppa_core.recipes.yaml_text import load_recipe
from lab.scripts.measured import DATA, ROOT, json_text

RECIPE, OUT = "lab/recipes/search.yaml", "out/searched.yaml"
BY_HAND = "lab/recipes/joint.yaml"


def dppa(*arguments: str) -> dict[str, Any]:
    """The JSON that a command writes."""
    command = [sys.executable, "-m", "dppa_core", *arguments, "--json"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    values: dict[str, Any] = json.loads(output)
    return values


def kept(search: dict[str, Any], by_hand: dict[str, Any]) -> dict[str, Any]:
    """The part that documents need: the factors of each model, and all scores.

    Args:
        search: What `dppa search` gives.
        by_hand: What `dppa evaluate` gives of the other merge.
    """
    models = [
        {
            **{name: model[name] for name in ("domain", "factors", "score")},
            "tried": len(model["trials"]),
        }
        for model in search["models"]
    ]
    (row,) = (row for row in by_hand["rows"] if row["key"] == "recipe")
    joint = {
        "factors": list(load_recipe(ROOT / BY_HAND).models[0].amplification),
        "accuracy": {name: score["accuracy"] for name, score in row["domains"].items()},
        "geometric retention": row["mean_retention"]["value"],
    }
    names = ("items", "test", "retention", "beside")
    return {"models": models, **{name: search[name] for name in names}, "chosen by hand": joint}


def main() -> None:
    """Run both, and write; a stopped search goes on."""
    (ROOT / "out").mkdir(exist_ok=True)
    search = dppa("search", RECIPE, "--out", OUT, "--overwrite")
    text = json_text(kept(search, dppa("evaluate", BY_HAND)))
    (DATA.folder / "search.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
