"""How close a joint search comes to the lowest loss within its budget, on sets of trained models.

python -m lab.scripts.search_losses out/zoos/small-settled-1 …     (also `zoo`, the embedded models)

Prints the lowest loss of DPPA's merge (two factors, strength; all entries pruned)
after 12, 24, 48 and 96 settings, on 200 search items of each domain.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dppa_core.tuning.search.axes import Point
from dppa_core.tuning.search.joint import JOINT_ITEMS
from dppa_lab.zoo.joint_search import Budget, joint_search
from dppa_lab.zoo.results.choosing import loss_of
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.study.merges import key_of, merges
from dppa_lab.zoo.trained_set import trained_set

AFTER = (12, 24, 48, 96)
RATES = (0.9, 0.95)


def lowest(folder: str, rate: float) -> list[float]:
    """The lowest losses found, in nats per token, by number of settings."""
    (merge,) = (merge for merge in merges() if merge.key == key_of("dppa", rate, "all"))
    entry = merge.entry
    if folder != "zoo":
        entry = replace(entry, references=trained_set(Path(folder)).references)
    examiner, so_far = MergeExaminer(None, JOINT_ITEMS), list[float]()

    def losses(points: Sequence[Point]) -> list[float]:
        batch = [loss_of(entry, examiner, point) for point in points]
        so_far.extend(batch)
        return batch

    budget = Budget(AFTER[-1], 1)
    joint_search(entry.axes(), losses, lambda points: [0.0] * len(points), budget=budget)
    return [min(so_far[:count]) for count in AFTER]


def main() -> None:
    """Print a line for each set and rate."""
    _write("set", "pruned", *(f"after {count}" for count in AFTER))
    for folder in sys.argv[1:]:
        for rate in RATES:
            losses = (f"{loss:.4f}" for loss in lowest(folder, rate))
            _write(Path(folder).name, f"{100 * rate:g} %", *losses)


def _write(*cells: str) -> None:
    sys.stdout.write("\t".join(cells) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
