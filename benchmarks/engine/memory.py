"""`python -m benchmarks.engine.memory`: cost of writing a file into memory long unused.

A virtual machine may give free memory back to its host; the next process that needs it pays for
that in system time. A merge does, for the pages of its result.
"""

import sys
import tempfile
import time

SIZE, PIECE = 1 << 30, bytes(1 << 20)
PAUSES = (0, 5, 0, 5, 0)
"""Seconds between giving back and writing again."""


def written() -> float:
    """CPU seconds to write a GiB to the system's cache; its memory is freed afterwards."""
    with tempfile.TemporaryFile(dir=".", buffering=0) as file:
        begin = time.process_time()
        for _ in range(SIZE // len(PIECE)):
            file.write(PIECE)
        return time.process_time() - begin


def main() -> None:
    """Measure, and print."""
    written()  # the first may reuse any memory
    for pause in PAUSES:
        time.sleep(pause)
        sys.stdout.write(f"a GiB, {pause} s after its memory was free: {written():.2f} s\n")


if __name__ == "__main__":
    main()
