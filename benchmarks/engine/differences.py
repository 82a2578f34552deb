"""How far two merges of the same models differ, weight by weight.

Run as a separate process: `python -m benchmarks.engine.differences OURS THEIRS BASE OUT`.
"""

import json
import sys
from pathlib import Path

import numpy as np

from dppa_core.checkpoints.chunks import slices
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.pruning.floats import to_float32


def count(ours: Path, theirs: Path, base: Path) -> dict[str, float]:
    """Number of weights, of those that differ, and the difference relative to the change.

    Args:
        ours: A merged folder.
        theirs: Another one, of the same tensors.
        base: Base of both merges; gives the size of a change.
    """
    our_merge, their_merge, origin = (
        open_checkpoint(str(folder)) for folder in (ours, theirs, base)
    )
    if set(our_merge.names()) != set(their_merge.names()):
        odd = sorted(set(our_merge.names()) ^ set(their_merge.names()))
        raise SystemExit(f"{ours} and {theirs} hold different tensors: {', '.join(odd[:3])}.")
    counts = {"weights": 0, "differing": 0, "by more than a step": 0}
    apart, change = 0.0, 0.0
    for name in our_merge.names():
        raw = our_merge.raw(name), their_merge.raw(name), origin.raw(name)
        for start, stop in slices(raw[0].size):
            left, right, old = (part[start:stop] for part in raw)
            steps = np.abs(_ordered(left) - _ordered(right))
            counts["weights"] += steps.size
            counts["differing"] += int(np.count_nonzero(steps))
            counts["by more than a step"] += int(np.count_nonzero(steps > 1))
            wide = [to_float32(part, "BF16").astype(np.float64) for part in (left, right, old)]
            apart += float(np.abs(wide[0] - wide[1]).sum())
            change += float(np.abs(wide[1] - wide[2]).sum())
    return {**counts, "share of the change": apart / change if change else 0.0}


def _ordered(raw: np.ndarray) -> np.ndarray:
    """bfloat16 as whole numbers that follow each other as the values do; -0 is 0."""
    bits = raw.astype(np.int32)
    return np.where(bits & 0x8000, 0x8000 - bits, bits)


def main() -> None:
    """Count, and write one JSON object."""
    ours, theirs, base, out = map(Path, sys.argv[1:5])
    out.write_text(json.dumps(count(ours, theirs, base)), "utf-8")


if __name__ == "__main__":
    main()
