"""A GPU that a Space assigns for each call (ZeroGPU); large models reply there.

Merges and the replies of small models are computed on the CPU: they finish before a GPU is
assigned.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dppa_core.errors import DppaError, InvalidValue, Unreachable
from dppa_core.models.resident import MIN_GPU_BYTES
from dppa_core.progress import Stop, check

if TYPE_CHECKING:
    from dppa_core.models.generate import Steps
    from dppa_core.models.reply import GenerationSettings, Prompt, ReplyToken
    from dppa_core.models.resident import Resident

_FIRST_SECONDS, _TOKENS_A_SECOND = 20, 8


class LentGpu:
    """Runs small models on the CPU, and large ones on a GPU requested for every reply. Raises
    InvalidValue if the package `spaces` is not installed."""

    def __init__(self, large: int = MIN_GPU_BYTES) -> None:
        try:
            import spaces  # noqa: PLC0415  (a Space's own; elsewhere it is not installed)
        except ImportError as error:
            raise InvalidValue(
                "SPACES_ZERO_GPU is set, and the package spaces cannot be imported. A Space has "
                "it; elsewhere unset the variable."
            ) from error
        self._large = large
        self._lent = spaces.GPU(_tokens_there, duration=_seconds)

    def replies(
        self,
        resident: Resident,
        prompt: Prompt,
        settings: GenerationSettings,
        stop: Stop | None,
        steps: Steps,
    ) -> Iterator[ReplyToken]:
        """The reply after every token (`generate.stream_tokens`); Unreachable if no GPU is
        assigned."""
        import gradio as gr  # noqa: PLC0415  (a second; whoever gets here has it)

        from dppa_core.answering.devices import handed_over  # noqa: PLC0415  (torch)
        from dppa_core.models.generate import stream_tokens  # noqa: PLC0415  (torch)

        if resident.nbytes < self._large:
            yield from stream_tokens(resident, prompt, settings, stop, steps)
            return
        with handed_over(resident) as path:
            tokens = self._lent(path, prompt, settings)
            try:
                for token in tokens:
                    if isinstance(token, DppaError):
                        raise token
                    check(stop)
                    yield token
            except gr.Error as error:
                raise Unreachable(
                    f"The Space lends no GPU for this model ({error.message}). A quota that is "
                    "used up is the usual cause: log in, wait, or use a smaller model."
                ) from error
            finally:
                tokens.close()


def _seconds(path: Path, prompt: Prompt, settings: GenerationSettings) -> int:
    """Seconds to request a GPU for; shorter requests are served sooner."""
    return _FIRST_SECONDS + settings.max_new_tokens // _TOKENS_A_SECOND


def _tokens_there(path: Path, prompt: Prompt, settings: GenerationSettings) -> Iterator[Any]:
    """The reply's tokens; runs in a process forked for the GPU."""
    from dppa_core.answering.devices import replies_from  # noqa: PLC0415

    yield from replies_from(path, prompt, settings)
