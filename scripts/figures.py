"""Writes the tables of docs/*.json into their pages: `python -m scripts.figures`."""

import json
from collections.abc import Callable
from typing import Any

from benchmarks import chain, chat, cold, ui_report
from benchmarks.abuse import report as abuse
from benchmarks.browser import report as browser
from benchmarks.engine import report as engine
from benchmarks.engine.journal import ROOT
from benchmarks.engine.write import keep
from benchmarks.load import report as load
from scripts import defences
from tests.fuzz import report as fuzz

TEXTS: dict[tuple[str, str], Callable[[Any], str]] = {
    ("bench-load", "reliability"): load.text,
    ("bench-abuse", "reliability"): abuse.text,
    ("fuzz", "reliability"): fuzz.text,
    ("defences", "reliability"): defences.text,
    ("bench-chat", "benchmarks"): chat.text,
    ("bench-ui", "benchmarks"): ui_report.text,
    ("bench-browser", "benchmarks"): browser.text,
    ("bench-chain", "benchmarks"): chain.text,
    ("bench-cold", "benchmarks"): cold.text,
    ("bench-engine", "benchmarks"): engine.text,
}
"""Result and page -> what formats it."""


def main() -> None:
    """Write all of them."""
    for (name, page), text in TEXTS.items():
        results = json.loads((ROOT / "docs" / f"{name}.json").read_text("utf-8"))
        keep(name, results, text(results), page)


if __name__ == "__main__":
    main()
