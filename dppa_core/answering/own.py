"""Answers in this process: a model is made ready, then the engine or a GPU writes."""

from __future__ import annotations

from collections.abc import Iterator

from dppa_core.answering.answerer import Ready, ReplyEvent
from dppa_core.merging.in_memory.gpu_replies import OwnDevices
from dppa_core.merging.in_memory.model_pool import BYTE_BUDGET, ModelPool
from dppa_core.models.decode import rendered_prompt
from dppa_core.models.engine import Engine
from dppa_core.models.reply import GenerationSettings
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe

LARGE = 256 << 20
"""Bytes of a model from which on a GPU computes its replies, where there is one."""


class OwnAnswerer:
    """Answers in this process.

    Args:
        byte_budget: Bytes of models in memory.
        public: Whether strangers ask: folders of this computer are refused.
        workers: Models that compute at the same time, one thread each.
        large: Bytes of a model from which on the GPU replies.
    """

    def __init__(
        self,
        byte_budget: int = BYTE_BUDGET,
        *,
        public: bool = False,
        workers: int = 1,
        large: int = LARGE,
        pool: ModelPool | None = None,
    ) -> None:
        self.pool = pool or ModelPool(byte_budget, public=public)
        self._engine, self._devices = Engine(workers), OwnDevices(large)

    def replies(
        self,
        target: str | MergeRecipe,
        prompt: str,
        settings: GenerationSettings,
        stop: Stop | None = None,
    ) -> Iterator[ReplyEvent]:
        """See `Answerer`."""
        with self.pool.lend(target, stop=stop) as resident:
            yield Ready(resident.nbytes, rendered_prompt(resident, prompt))
            yield from self._devices.replies(resident, prompt, settings, stop, self._engine.steps)

    def loaded(self) -> tuple[tuple[str, ...], int]:
        """See `Answerer`."""
        return self.pool.loaded(), self.pool.nbytes

    def close(self) -> None:
        """See `Answerer`."""
        self._engine.close()
