"""The workshop of failures: models derived from the embedded ones, and exams on them.

Visitors name nothing here; all folders lie in one temporary folder.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.shard_writer import WeightsWriter
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam, Target, target_name
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.generate import stream_reply
from dppa_core.models.reply import GenerationSettings
from dppa_core.progress import Stop
from dppa_core.pruning.floats import FLOATS, from_float32, to_float32
from dppa_core.system.temporary import TemporaryFolder
from dppa_core.tasks import items, score
from dppa_core.tasks.items import Item

BASE, MODEL, DOMAIN = "zoo:base", "zoo:math", "math"
QUESTIONS = 12
"""Items asked per merge, from the search split, so that the test split stays unseen."""
BYTES = 96 << 20
"""Memory for models, in bytes; derived folders take 8 MB of disk each."""
LONGEST = 40

Derive = Callable[[Float32[ndarray, " n"], Float32[ndarray, " n"]], Float32[ndarray, " n"]]
"""Weights of the base and of the domain model -> those of the derived model, flat."""


def item_of(question: int) -> Item:
    """The item with this index."""
    return items(DOMAIN, "search", question + 1)[question]


@dataclass(frozen=True, slots=True)
class CaseMarks:
    """A model's score on the questions, and one reply."""

    score: DomainScore
    prompt: str
    reply: str
    right: bool

    @property
    def hits(self) -> int:
        """Number of questions answered right."""
        return round(self.score.accuracy * self.score.n)


class Workshop:
    """Derives models, and asks them. Thread-safe; `close` removes its folder."""

    def __init__(self, questions: int = QUESTIONS) -> None:
        self._scratch = TemporaryFolder("breaks")
        self._home = self._scratch.path
        self._lock = threading.Lock()
        self._pool = ModelPool(BYTES)
        self._examiner, self._questions = Examiner(self._pool), questions
        self._marks: dict[tuple[str, int], CaseMarks] = {}

    def close(self) -> None:
        """Remove all written files; also happens at the end of the process."""
        self._scratch.close()

    def room(self, name: str) -> Path:
        """A writable folder with this name."""
        folder = self._home / name
        folder.mkdir(exist_ok=True)
        return folder

    def derived(self, name: str, derive: Derive) -> str:
        """Reference of a model derived from base and domain model; written once."""
        folder = self._home / name
        with self._lock:
            if not folder.is_dir():
                unfinished = self.room(f"{name}-unfinished")
                _write(unfinished, derive)
                unfinished.rename(folder)
        return str(folder)

    def ask(self, target: Target, shown: int, stop: Stop | None = None) -> CaseMarks:
        """A model's or merge's score on the questions, and its full reply to the item `shown`;
        asked once."""
        key = target_name(target), shown
        if key in self._marks:
            return self._marks[key]
        exam = Exam(target, DOMAIN, "search", self._questions)
        scored = self._examiner.score(exam, stop=stop)
        item = item_of(shown)
        settings = GenerationSettings(max_new_tokens=LONGEST)
        with self._pool.lend(target, stop=stop) as resident:
            replies = list(stream_reply(resident, item.prompt, settings, stop))
        reply = replies[-1] if replies else ""
        marks = CaseMarks(scored, item.prompt, reply, score(item, reply))
        self._marks[key] = marks
        return marks


def _write(folder: Path, derive: Derive) -> None:
    base, tuned = open_checkpoint(BASE), open_checkpoint(MODEL)
    for path in sorted(base.folder.iterdir()):
        if path.suffix in (".json", ".jinja"):
            shutil.copyfile(path, folder / path.name)
    specs = [TensorSpec(name, base.dtype(name), base.shape(name)) for name in base.names()]
    with closing(WeightsWriter(folder, specs)) as writer:
        for name in writer.names:
            writer.place(name, _derived(base, tuned, name, derive))
        writer.finish()


def _derived(base: Checkpoint, tuned: Checkpoint, name: str, derive: Derive) -> ndarray:
    if base.dtype(name) not in FLOATS:
        return base.raw(name)
    base_values, tuned_values = (
        to_float32(model.raw(name), model.dtype(name)) for model in (base, tuned)
    )
    return from_float32(derive(base_values, tuned_values).astype(np.float32), base.dtype(name))
