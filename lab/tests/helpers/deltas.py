"""Records of surveyed deltas, by hand."""

from collections.abc import Sequence
from typing import Any


def hits(share: float) -> str:
    """The first of twenty items right."""
    return "1" * round(20 * share) + "0" * (20 - round(20 * share))


def delta(seed: int, places: Sequence[Any], *, change: float = 0.2, **about: Any) -> dict[str, Any]:
    """A record of a small plain set, whose shrunk delta keeps its factor; `about` changes its set,
    or the domain."""
    domain = about.pop("domain", "law")
    plain = {"size": "small", "regime": "plain", "seed": seed, "base": f"base {seed}"}
    return {
        "set": {**plain, **about},
        "search_items": 9,
        "domain": domain,
        "change": change,
        "own": hits(1.0),
        "shrunk": {"0": hits(0), "0.5": hits(0.5)},
        "places": places,
    }
