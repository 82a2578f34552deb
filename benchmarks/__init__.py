"""How fast DPPA Studio is on this machine. Run `python -m benchmarks`."""

import os

os.environ.setdefault("DPPA_COMPILE", "0")  # measure only the compiled loops
