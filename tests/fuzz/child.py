"""One coverage-guided run of one target by atheris (libFuzzer), in its own process.

Started by tests/fuzz/__main__.py. Prints nothing: its results are a JSON file, rewritten
every few seconds, so that they survive an input that ends the run.
"""

import hashlib
import json
import resource
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import atheris

from tests.fuzz.mutate import mutated, stretched
from tests.fuzz.targets import Target, accepts, target_of

SLOW = 1.0
"""Seconds of processor time a small input may take; one blown up may take five times as long."""
LARGE = 128
"""MiB of memory that one input may take."""
STRETCHED = 10_000
"""One input in so many is blown up to the largest size that is read."""
_REPORTED = 5.0


@dataclass
class Run:
    """Results of a run so far."""

    target: Target
    folder: Path
    runs: int
    inputs: int = 0
    accepted: int = 0
    blown_up: int = 0
    slowest: float = 0.0
    slowest_blown_up: float = 0.0
    first: int = 0
    """KiB of memory at the start."""
    findings: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    reported: float = 0.0
    files: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="dppa-fuzz-")))

    def try_input(self, data: bytes) -> None:
        """Try an input, and sometimes a large one made of it."""
        self._try(data, SLOW)
        chance = Random(hashlib.sha256(data).digest())
        if chance.random() < 1 / STRETCHED:
            self.blown_up += 1
            self._try(stretched(data, self.target.largest, chance), 5 * SLOW)
        finished = self.inputs >= self.runs
        if finished or time.monotonic() - self.reported > _REPORTED:
            self.reported = time.monotonic()
            self.write(finished)

    def _try(self, data: bytes, most: float) -> None:
        self.inputs += 1
        before, began = _peak(), time.thread_time()
        if not self.first:
            self.first = before
        try:
            self.accepted += accepts(self.target, data, self.files)
        except (Exception, RecursionError) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._record(f"{type(error).__name__} in {place.name}", data, traceback.format_exc())
        spent, more = time.thread_time() - began, (_peak() - before) / 1024
        if most == SLOW:
            self.slowest = max(self.slowest, spent)
        else:
            self.slowest_blown_up = max(self.slowest_blown_up, spent)
        if spent > most:
            self._record("slow", data, f"{spent:.2f} s")
        if more > LARGE and self.inputs > 1:
            self._record("large", data, f"{more:.0f} MiB")

    def _record(self, kind: str, data: bytes, text: str) -> None:
        if kind in self.findings:
            return
        name = f"{kind.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:8]}"
        self.findings[kind] = name
        (self.folder / name).write_bytes(data)
        (self.folder / f"{name}.txt").write_text(text, "utf-8")

    def write(self, finished: bool) -> None:
        """Write the state."""
        state: dict[str, Any] = {key: getattr(self, key) for key in _STATE_KEYS}
        state |= {"target": self.target.name, "done": finished}
        state |= {"seconds": round(time.monotonic() - self.started, 1)}
        state |= {"memory": round((_peak() - self.first) / 1024, 1)}
        (self.folder / "run.json").write_text(json.dumps(state, indent=1) + "\n", "utf-8")


_STATE_KEYS = ("inputs", "accepted", "blown_up", "slowest", "slowest_blown_up", "findings")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(name: str, folder: str, runs: str, seed: str) -> None:
    """Try `runs` inputs; never returns, since libFuzzer ends the process."""
    target = target_of(name)
    run = Run(target, Path(folder), int(runs))
    with atheris.instrument_imports(include=list(target.guided)):
        accepts(target, b"{", run.files)  # imports what it needs

    def change(data: bytes, most: int, number: int) -> bytes:
        chance = Random(number)
        candidate = mutated(data, chance) if chance.random() < 0.7 else None
        return (
            atheris.Mutate(data, most) if candidate is None or len(candidate) > most else candidate
        )

    words = run.folder / "words"
    words.write_text("".join(f"{_quoted(word)}\n" for word in target.words), "utf-8")
    options = [
        *(f"-runs={runs}", f"-max_len={target.longest}", f"-seed={seed}", f"-dict={words}"),
        *("-timeout=60", "-rss_limit_mb=2048", "-verbosity=0", "-print_final_stats=0"),
        f"-artifact_prefix={folder}/",
    ]
    corpus = run.folder / "corpus"
    atheris.Setup([sys.argv[0], *options, str(corpus)], run.try_input, custom_mutator=change)
    atheris.Fuzz()


def _quoted(word: str) -> str:
    """A word in libFuzzer's dictionary format."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"'


if __name__ == "__main__":
    main(*sys.argv[1:])
