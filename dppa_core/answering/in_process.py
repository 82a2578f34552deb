"""Answers in this process: it prepares a model, then the engine or a GPU writes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial

from dppa_core.answering.answerer import Ready, ReplyEvent
from dppa_core.answering.devices import local_reply
from dppa_core.kernels.ready import usual_backend
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.decode import rendered_prompt
from dppa_core.models.devices import lend
from dppa_core.models.engine import Engine
from dppa_core.models.generate import Steps, read_text
from dppa_core.models.reply import GenerationSettings, Prompt, Reading, ReplyToken
from dppa_core.models.resident import Resident
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe

Compute = Callable[[Resident, Prompt, GenerationSettings, Stop | None, Steps], Iterator[ReplyToken]]
"""The reply of a model after every token; on the processor by `Steps`."""


class OwnAnswerer:
    """Answers in this process; has the loops compiled in the background, once a machine.

    Args:
        pool: Holds the models.
        workers: Models that compute at the same time, one thread each.
        compute: Computes replies; `local_reply` if None.
    """

    def __init__(
        self, pool: ModelPool, *, workers: int = 1, compute: Compute | None = None
    ) -> None:
        self._pool, self._engine = pool, Engine(workers)
        self._compute = compute or local_reply
        usual_backend(0)  # starts to compile what is not: the step of small models as well

    def replies(
        self,
        target: str | MergeRecipe,
        prompt: Prompt,
        settings: GenerationSettings,
        stop: Stop | None = None,
    ) -> Generator[ReplyEvent]:
        """See `Answerer`."""
        with self._pool.lend(target, stop=stop) as resident:
            yield Ready(resident.nbytes, rendered_prompt(resident, prompt))
            yield from self._compute(resident, prompt, settings, stop, self._engine.steps)

    def reading(
        self, target: str | MergeRecipe, prompt: Prompt, text: str, stop: Stop | None = None
    ) -> Reading:
        """See `Answerer`."""
        with self._pool.lend(target, stop=stop) as resident, lend(resident) as placed:
            return self._engine.once(partial(read_text, placed, prompt, text))

    def loaded(self) -> tuple[tuple[str, ...], int]:
        """See `Answerer`."""
        return self._pool.loaded(), self._pool.nbytes

    def close(self) -> None:
        """See `Answerer`."""
        self._engine.close()
