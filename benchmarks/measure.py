"""A measurement: a name, a unit, and all measured values."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the report."""

    group: str
    name: str
    milliseconds: tuple[float, ...]
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p95(self) -> float:
        """The value that 95 % of the runs do not exceed (nearest rank)."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]

    def to_json(self) -> dict[str, object]:
        return {
            "group": self.group,
            "name": self.name,
            "median_ms": round(self.median, 3),
            "p95_ms": round(self.p95, 3),
            "runs": len(self.milliseconds),
            "note": self.note,
        }


def timed(action: Callable[[], object], runs: int, warm_up: int = 1) -> tuple[float, ...]:
    """Milliseconds of each of `runs` calls, after `warm_up` calls that do not count."""
    for _ in range(warm_up):
        action()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - start))
    return tuple(times)


def machine(load: bool = True) -> str:
    """One line: processor, cores, memory, load if wanted, Python."""
    processor = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        named = (x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
        processor = next(named, processor)
    parts = [processor, f"{os.cpu_count()} cores"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        parts.append(f"{memory:.0f} GiB")
    if load and hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[0]:.1f}")
    return ", ".join([*parts, f"{platform.system()}, Python {platform.python_version()}"])


def resident(pid: int) -> int:
    """Bytes of a process, shared pages pro rata; needs /proc (Linux)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:  # it has ended
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def hand_over(measured: Iterable[Measurement], as_json: bool) -> None:
    """Print each measurement to standard error when it is done, and all at the end."""
    rows = []
    for row in measured:
        sys.stderr.write(f"{row.name}: {row.median:.1f} ms\n")
        rows.append(row)
    if as_json:
        print(json.dumps({"machine": machine(), "rows": [r.to_json() for r in rows]}, indent=2))
    else:
        print(machine(), table(rows), sep="\n\n")


def table(rows: list[Measurement]) -> str:
    """The report as aligned text."""
    width = max(len(row.name) for row in rows)
    lines, group = [], ""
    for row in rows:
        if row.group != group:
            group = row.group
            head = f"{group:<{width}}  {'median':>10}  {'p95':>10}  {'runs':>5}"
            lines += ["", head, "-" * len(head)]
        times = (
            f"{_with_unit(row.median):>10}  {_with_unit(row.p95):>10}  {len(row.milliseconds):>5}"
        )
        lines.append(f"{row.name:<{width}}  {times}  {row.note}".rstrip())
    return "\n".join(lines[1:])


def _with_unit(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.3g} ms"
