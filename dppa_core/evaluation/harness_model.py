"""A model in memory as lm-evaluation-harness asks it. Import it late: it imports the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lm_eval.models.huggingface import HFLM
from transformers import LogitsProcessor, LogitsProcessorList

from dppa_core.checkpoints.vocabulary.render import rendered_chat
from dppa_core.evaluation.harness_tasks import BATCH_REQUESTS
from dppa_core.models.devices import input_device
from dppa_core.models.resident import Resident, check_writes
from dppa_core.progress import Stop, check


class HarnessModel(HFLM):  # type: ignore[misc]
    """Renders chat templates within the bounds of `rendered_chat`, and can be stopped.

    Args:
        answered: Called with the number of requests answered so far.
        stop: Checked before every batch and every token; its Cancelled passes the harness.
    """

    def __init__(
        self,
        resident: Resident,
        answered: Callable[[int], None] | None = None,
        stop: Stop | None = None,
    ) -> None:
        check_writes(resident.model, resident.key)
        super().__init__(
            pretrained=resident.model,
            tokenizer=resident.tokenizer,
            batch_size=BATCH_REQUESTS,
            device=str(resident.model.device),
        )
        self._device = input_device(resident.model)  # the package takes "meta" of weights on disk
        self._key, self._stop = resident.key, stop
        self.cache_hook = _Counter(answered)

    def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
        """A conversation as text."""
        label = f"{self._key}: its chat template"
        return rendered_chat(self.tokenizer, chat_history, label, finish=not add_generation_prompt)

    def _model_call(self, *args: Any, **options: Any) -> Any:
        check(self._stop)
        return super()._model_call(*args, **options)

    def _model_generate(self, *args: Any, **options: Any) -> Any:
        checks = LogitsProcessorList([_Checks(self._stop)])
        return super()._model_generate(*args, logits_processor=checks, **options)


class _Counter:
    """Replaces the harness's cache, which is called with every answer."""

    def __init__(self, answered: Callable[[int], None] | None) -> None:
        self._answered, self._count = answered, 0

    def add_partial(self, *_answer: Any) -> None:
        self._count += 1
        if self._answered is not None:
            self._answered(self._count)


class _Checks(LogitsProcessor):  # type: ignore[misc]
    """Changes nothing; raises Cancelled once `stop` is set."""

    def __init__(self, stop: Stop | None) -> None:
        self._stop = stop

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        check(self._stop)
        return scores
