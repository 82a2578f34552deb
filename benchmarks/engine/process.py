"""Run a command on chosen cores, and measure what it costs.

CPU time and peak memory come from the kernel, and include all children.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run cost."""

    wall: float
    """Seconds from start to end."""
    cpu: float
    """Seconds of all threads and children, in user and system mode."""
    peak: int
    """Largest resident memory, in bytes."""

    def to_json(self) -> dict[str, float]:
        return asdict(self)


class RunFailed(RuntimeError):
    """A command ended with an error; the message holds the end of its output."""


def cores() -> tuple[int, ...]:
    """The cores this process may use; empty if the system does not say."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


@contextmanager
def pinned(allowed: Sequence[int]) -> Iterator[None]:
    """Pin this process, and those it starts meanwhile, to these cores."""
    before = cores()
    if not before or not allowed:
        yield
        return
    os.sched_setaffinity(0, allowed)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run(
    command: Sequence[str],
    log: Path,
    *,
    on: Sequence[int] = (),
    env: Mapping[str, str | None] | None = None,
    folder: Path | None = None,
) -> Usage:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        log: Where its output goes.
        on: The cores it may use; all if empty.
        env: Changes to this process's environment; None removes a name.
        folder: Where it runs.

    Raises:
        RunFailed: it ended with an error.
    """
    merged_env = {**os.environ, **(env or {})}
    child_env = {name: value for name, value in merged_env.items() if value is not None}
    with log.open("wb") as output, pinned(on):
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=child_env,
            cwd=folder,
        )
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait once more
    if process.returncode:
        last_lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-12:]
        raise RunFailed(
            "\n".join([f"{' '.join(command)}: exit code {process.returncode}", *last_lines])
        )
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * _UNIT)


def own_peak() -> int:
    """Peak memory of this process: smaller peaks of runs cannot be measured."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
