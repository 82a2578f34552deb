"""The compiled loops are those that were committed with their hash."""

import hashlib
from pathlib import Path

BINARY = Path(__file__).resolve().parents[2] / "assets" / "tab" / "tab.wasm"


def test_the_binary_has_the_hash_that_was_committed_with_it() -> None:
    digest, name = BINARY.with_suffix(".wasm.sha256").read_text("utf-8").split()
    assert name == BINARY.name and hashlib.sha256(BINARY.read_bytes()).hexdigest() == digest
