"""Memory, peak memory and CPU time of a process under load; needs /proc (Linux)."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import resident

EVERY = 1.0
"""Seconds between two looks."""


def peak(pid: int) -> int:
    """The largest resident memory that a process has ever had, in bytes."""
    return 1024 * _status(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Reset `peak`."""
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
    return [int(pid) for path in listed for pid in path.read_text("ascii").split()]


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def worked(pid: int) -> float:
    """Processor time of a process and of those that it has started."""
    return cpu_seconds(pid) + sum(map(cpu_seconds, children(pid)))


def together(pid: int) -> tuple[int, int]:
    """Bytes of a process, and of those that it has started, by `resident`."""
    return resident(pid), sum(map(resident, children(pid)))


@dataclass
class Watch:
    """Samples the memory of a server, and of its answering process, once a second."""

    pid: int
    sizes: list[tuple[float, int, int]] = field(default_factory=list)
    """(monotonic time, bytes of the server, bytes of what it has started)."""

    async def look(self) -> None:
        """Sample until cancelled."""
        while True:
            self.sizes.append((time.monotonic(), *together(self.pid)))
            await asyncio.sleep(EVERY)

    def most(self) -> dict[str, int]:
        """The most bytes of the server, of what it has started, and of all together."""
        sizes = [(page, answering, page + answering) for _, page, answering in self.sizes]
        return dict(
            zip(("bytes", "answering", "together"), map(max, *sizes, (0, 0, 0)), strict=True)
        )

    def course(self, since: float, parts: int = 10) -> list[int]:
        """Bytes of the server at the middle of equal parts of the samples since a time."""
        counted = [size for at, size, _ in self.sizes if at >= since]
        places = [int((part + 0.5) * len(counted) / parts) for part in range(parts)]
        return [counted[place] for place in places] if counted else []

    def growth(self, since: float) -> tuple[float, float]:
        """Median bytes of the server in the first and the last third of the samples."""
        return thirds([size for at, size, _ in self.sizes if at >= since] or [resident(self.pid)])


def thirds(values: Sequence[int]) -> tuple[int, int]:
    """Medians of the first and of the last third of some values."""
    third = max(1, len(values) // 3)
    first, last = (sorted(part)[len(part) // 2] for part in (values[:third], values[-third:]))
    return first, last
