"""Run the paper's climb on the embedded models and keep what it found in lab/data/search.json.

python -m lab.scripts.search [--of FILE]

--of keeps what an earlier run found: one object as `dppa search --json` gives it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.scripts.measured import DATA, ROOT, json_text

RECIPE, OUT = "lab/recipes/search.yaml", "out/searched.yaml"


def run() -> dict[str, Any]:
    """The search; continues a stopped one."""
    (ROOT / "out").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "dppa_core", "search", RECIPE, "--out", OUT]
    done = subprocess.run(
        [*command, "--overwrite", "--json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kept(found: dict[str, Any]) -> dict[str, Any]:
    """The part that documents need: the factors of each model, and all scores."""
    models = [
        {
            **{name: one[name] for name in ("domain", "factors", "score")},
            "tried": len(one["trials"]),
        }
        for one in found["models"]
    ]
    names = ("items", "test", "retention", "beside")
    return {"models": models, **{name: found[name] for name in names}}


def main() -> None:
    """Run or read, and write."""
    earlier = sys.argv[1:2] == ["--of"]
    found = json.loads(Path(sys.argv[2]).read_text("utf-8")) if earlier else run()
    (DATA.folder / "search.json").write_text(json_text(kept(found)), "utf-8")


if __name__ == "__main__":
    main()
