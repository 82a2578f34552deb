"""Small files that claim to be large are refused before memory is used; measured."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bombs import BOMBS

ROOT = Path(__file__).resolve().parents[2]
MIB, TIMES = 48, 3
"""Memory that a refusal may take: so much, or so many times the file."""
SECONDS = 5.0
SAYS = {
    "claimed_length": "does not begin with",
    "overlapping": "inside the tensor before it",
    "absurd_shape": "needs 850705917302346158658",
    "zip_bomb": r"bytes that unpack to 2684",
    "legacy_claim": "memory",
    "link_bomb": "cannot be read",
    "counts_in_counts": "9003001 parts",
    "counts_of_branches": "parts; at most 10,000",
    "counts_of_looks": "parts; at most 10,000",
    "largest_counts": "parts; at most 10,000",
    "many_patterns": "^$",
    "laughing_recipe": "an alias",
    "crowded_recipe": "must be a mapping",
    "rank_of_many_digits": "r must be 1 to",
    "json_bomb": "16000002 values",
    "crowded_header": "20000002 values",
}


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("bombs")
    command = [sys.executable, "-m", "tests.faults.bombs", str(folder)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    return {trial["name"]: trial for trial in map(json.loads, process.stdout.splitlines())}


@pytest.mark.parametrize("name", [bomb.__name__ for bomb in BOMBS])
def test_a_bomb_is_refused_before_memory_is_taken(
    tried: dict[str, dict[str, Any]], name: str
) -> None:
    trial = tried[name]
    assert re.search(SAYS[name], trial["refusal"]), trial
    assert trial["mib"] <= max(MIB, TIMES * trial["size"]) and trial["seconds"] < SECONDS, trial
