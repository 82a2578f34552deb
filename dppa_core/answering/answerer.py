"""Answering of questions: `OwnAnswerer` in this process, `ProcessAnswerer` in another one."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dppa_core.models.reply import GenerationSettings, Prompt, Reading, ReplyToken
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is in memory and begins to write."""

    nbytes: int
    """Bytes of its weights."""
    prompt: str
    """The question in the model's own chat template."""


ReplyEvent = Ready | ReplyToken


@runtime_checkable
class Answerer(Protocol):
    """Answers questions for any number of threads."""

    def replies(
        self,
        target: str | MergeRecipe,
        prompt: Prompt,
        settings: GenerationSettings,
        stop: Stop | None = None,
    ) -> Generator[ReplyEvent]:
        """Yield `Ready`, then the reply after every token. Closing it ends the work.

        Args:
            target: A model's reference, or a recipe.
            prompt: A question of 1 to 2000 characters, or a conversation.
            stop: Raises Cancelled once set, within a token.
        """

    def reading(
        self, target: str | MergeRecipe, prompt: Prompt, text: str, stop: Stop | None = None
    ) -> Reading:
        """Read a text as the model's reply; see `generate.read_text`."""

    def loaded(self) -> tuple[tuple[str, ...], int]:
        """References of models and hashes of merges in memory, and their bytes; never waits."""

    def close(self) -> None:
        """End all replies."""
