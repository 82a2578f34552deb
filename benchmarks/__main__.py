"""`python -m benchmarks [--json] [--only library|page|estimate]`: measure, and print a table."""

import argparse
import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported

from benchmarks import estimate, library, page
from benchmarks.measure import Measurement, hand_over


def run(only: str | None) -> Iterator[Measurement]:
    """Yield the requested measurements one by one."""
    if only in (None, "library"):
        yield from library.measurements()
    if only == "estimate":  # on request: half a gigabyte of models is made for it
        yield from estimate.measurements()
    if only in (None, "page"):
        yield from page.measurements()


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=("library", "page", "estimate"), help="one part of it")
    arguments = parser.parse_args()
    hand_over(run(arguments.only), arguments.json)


if __name__ == "__main__":
    main()
