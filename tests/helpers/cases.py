"""Selects the cases `make test` runs: one of each browser test, some of each other test.

Rules on files of the tree, the tests beside this folder, keep all their cases.
"""

import os
import zlib
from collections import defaultdict
from pathlib import Path

import pytest

FEW_CASES = os.environ.get("DPPA_CASES") == "one"
"""Whether some cases of a test are enough."""
MOST = 3
"""Cases of a test without a browser, unless its mark `cases` says another number."""
TESTS = Path(__file__).parents[1]


def examples(most: int) -> int:
    """How many examples hypothesis draws: a third of the most where some cases are enough."""
    return most // 3 if FEW_CASES else most


def thinned(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests to run: all, or with DPPA_CASES=one some cases of each, and none marked `long`.

    Cases are evenly spaced, and begin at another place for each test. `make test-all` runs all.
    """
    if not FEW_CASES:
        return items
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if not item.get_closest_marker("long"):
            tests[item.nodeid.partition("[")[0]].append(item)
    kept = {item for name, cases in tests.items() for item in _spread(name, cases)}
    return [item for item in items if item in kept]


def _spread(name: str, cases: list[pytest.Item]) -> list[pytest.Item]:
    marker = cases[0].get_closest_marker("cases")
    usual = len(cases) if cases[0].path.parent == TESTS else MOST
    most = 1 if "e2e" in cases[0].path.parts else marker.args[0] if marker else usual
    count, first = min(most, len(cases)), zlib.crc32(name.encode())
    return [cases[(first + number * len(cases) // count) % len(cases)] for number in range(count)]
