"""What a process uses while it is under load: memory, its peak, and processor time.

Knows processes, not what they do; needs /proc (Linux).
"""

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import resident

EVERY = 1.0
"""Seconds between two looks."""


def peak(pid: int) -> int:
    """The largest resident memory that a process has ever had, in bytes."""
    return 1024 * _status(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Let `peak` begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


def threads(pid: int) -> int:
    """How many threads a process has now."""
    return _status(pid, "Threads")


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def children(pid: int) -> list[int]:
    """Processes that a process has started and that still run, such as the answering one."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(one) for path in listed for one in path.read_text("ascii").split()]


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Watch:
    """Looks at one process once a second, for as long as it is asked to."""

    pid: int
    sizes: list[tuple[float, int]] = field(default_factory=list)
    """(monotonic time, bytes), shared pages by their share."""

    async def look(self) -> None:
        """Go on looking until cancelled."""
        while True:
            self.sizes.append((time.monotonic(), resident(self.pid)))
            await asyncio.sleep(EVERY)

    def course(self, since: float, parts: int = 10) -> list[int]:
        """Bytes at the middle of equally long parts of what was seen since a time."""
        counted = [size for at, size in self.sizes if at >= since]
        places = [int((part + 0.5) * len(counted) / parts) for part in range(parts)]
        return [counted[place] for place in places] if counted else []

    def growth(self, since: float) -> tuple[float, float]:
        """Bytes at the median of the first and of the last third of what was seen since a time."""
        counted = [size for at, size in self.sizes if at >= since] or [resident(self.pid)]
        third = max(1, len(counted) // 3)
        first, last = (sorted(part)[len(part) // 2] for part in (counted[:third], counted[-third:]))
        return first, last
