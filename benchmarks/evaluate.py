"""How long a side-by-side evaluation of the embedded models takes, from a cold cache.

    python -m benchmarks.evaluate [--items 200] [--json]

Base, three domain models, two plain merges and the recipe the page opens on answer the same test
items. Target: all of one model's 600 items, and the whole table, within 30 s on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported

from dppa_core.evaluation.entrant_measurements import measure  # noqa: E402
from dppa_core.evaluation.examiner import Examiner  # noqa: E402
from dppa_core.evaluation.side_by_side import entrants  # noqa: E402
from dppa_core.evaluation.side_by_side_values import side_by_side_json  # noqa: E402
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe  # noqa: E402
from dppa_core.tasks import DOMAINS  # noqa: E402

RECIPE = MergeRecipe(
    "zoo:base", tuple(DomainModel(f"zoo:{domain}", (0.9, 0.8), (1.0, 1.0)) for domain in DOMAINS)
)


def main() -> None:
    """Measure one model, the whole table, and the table again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=200, help="a domain")
    parser.add_argument("--json", action="store_true", help="write one JSON object")
    options = parser.parse_args()
    who = entrants(RECIPE)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DPPA_CACHE"] = folder
        measure(Examiner(fresh=True), who[-1:], DOMAINS, split="search", limit=8)  # done once
        times = {}
        for name, models, fresh in (
            ("one domain model", who[1:2], True),
            ("the base, which answers at length", who[:1], True),
            ("the recipe", who[-1:], True),
            (f"all {len(who)} side by side", who, False),
            ("the same again, from the cache", who, False),
        ):
            begun, worked = time.perf_counter(), time.process_time()
            table = measure(Examiner(fresh=fresh), models, DOMAINS, limit=options.items)
            seconds = time.perf_counter() - begun
            times[name] = {"seconds": seconds, "processor": time.process_time() - worked}
        begun = time.perf_counter()
        side_by_side_json(table)
        figures = time.perf_counter() - begun
        times["figures and intervals"] = {"seconds": figures, "processor": figures}
    if options.json:
        print(json.dumps({"items": options.items * len(DOMAINS), "measured": times}))
        return
    print(f"{options.items * len(DOMAINS)} items a model")
    for name, row in times.items():
        print(f"{name:36} {row['seconds']:7.1f} s {row['processor']:7.1f} s of processor")


if __name__ == "__main__":
    main()
