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
from dppa_core.tuning.search.trial import geometric_mean
from lab.scripts.measured import DATA, ROOT, json_text

RECIPE, OUT = "lab/recipes/search.yaml", "out/searched.yaml"
BY_HAND = "lab/recipes/joint.yaml"


def dppa(*arguments: str) -> dict[str, Any]:
    """What a command gives as JSON."""
    command = [sys.executable, "-m", "dppa_core", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kept(found: dict[str, Any], by_hand: dict[str, Any]) -> dict[str, Any]:
    """The part that documents need: the factors of each model, and all scores.

    Args:
        found: What `dppa search` gives.
        by_hand: What `dppa evaluate` gives of the other merge.
    """
    models = [
        {
            **{name: one[name] for name in ("domain", "factors", "score")},
            "tried": len(one["trials"]),
        }
        for one in found["models"]
    ]
    own = {one["domain"]: one["own"]["accuracy"] for one in found["test"]}
    right = {name: by_hand["domains"][name]["accuracy"] for name in own}
    joint = {
        "factors": list(load_recipe(ROOT / BY_HAND).models[0].amplification),
        "accuracy": right,
        "geometric retention": geometric_mean([right[name] / own[name] for name in own]),
    }
    names = ("items", "test", "retention", "beside")
    return {"models": models, **{name: found[name] for name in names}, "chosen by hand": joint}


def main() -> None:
    """Run both, and write; a stopped search goes on."""
    (ROOT / "out").mkdir(exist_ok=True)
    found = dppa("search", RECIPE, "--out", OUT, "--overwrite")
    text = json_text(kept(found, dppa("evaluate", BY_HAND)))
    (DATA.folder / "search.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
