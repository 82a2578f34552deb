"""`python -m benchmarks.abuse`: one hostile client at the public page, beside an honest visitor.

The client runs in its own process and shares the cores with the server and the visitor. The server
is configured to be behind a proxy, so that each has its own address.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.abuse.answers import expected
from benchmarks.abuse.attacks import ATTACKS
from benchmarks.abuse.collisions import colliding
from benchmarks.abuse.report import text
from benchmarks.abuse.trial import Trial
from benchmarks.engine.write import keep
from benchmarks.load.__main__ import start, versions
from benchmarks.measure import machine

SECONDS = 33.0
"""Of each attack: five minutes in all."""


async def measure(trial: Trial, names: list[str], seconds: float) -> list[dict[str, Any]]:
    """Several attacks on one server, one after another."""
    await trial.warm_up()
    rows = []
    for name in names:
        rows.append(await trial.attack(name, seconds))
        sys.stderr.write(json.dumps(rows[-1]) + "\n")
    return rows


def main() -> None:
    """Read the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.abuse", description=__doc__)
    parser.add_argument("--attacks", nargs="*", choices=ATTACKS, default=[*ATTACKS])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each attack")
    parser.add_argument("--fresh", action="store_true", help="a server for each attack")
    parser.add_argument("--write", action="store_true", help="into docs/, too")
    options = parser.parse_args()
    right = expected(colliding()[0])  # before anything is measured
    results: dict[str, Any] = {"machine": machine(), "versions": versions(), "rows": []}
    for names in [[attack] for attack in options.attacks] if options.fresh else [options.attacks]:
        with TemporaryDirectory() as folder:
            server = start(Path(folder), DPPA_PROXIES="127.0.0.1")
            try:
                trial = Trial(server.url, server.process.pid, right)
                results["rows"] += asyncio.run(measure(trial, names, options.seconds))
            finally:
                server.stop()
    if options.write:
        keep("bench-abuse", results, text(results), "reliability")
    print(text(results))


if __name__ == "__main__":
    main()
