"""Perplexity of a model on a running text, read in overlapping windows.

Every token but the first counts once, in the window that gives it the most context. Losses are
float32; their sums are float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from dppa_core.errors import DamagedCheckpoint, InvalidValue, shown
from dppa_core.models.devices import input_device
from dppa_core.models.resident import Resident
from dppa_core.models.texts import check_logits
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.regular_files import read_regular
from dppa_core.tasks.intervals import Interval, mean_interval

MAX_TEXT_BYTES = 16 << 20
WINDOW_TOKENS = 512
"""Length of a window; less if the model has fewer positions."""
USUAL_CAUSE = "A tokenizer of another model is the usual cause."


@dataclass(frozen=True, slots=True)
class Perplexity:
    """The loss of a model on a text."""

    loss: Interval
    """Nats per token; the bootstrap draws whole windows, since neighbouring tokens correlate."""
    tokens: int
    """Tokens predicted: all but the first."""
    bytes: int
    """Length of the text in UTF-8."""
    window: int
    stride: int
    windows: int
    """Number of windows; a single one gives no interval."""

    @property
    def perplexity(self) -> Interval:
        """exp(loss); compare models with different tokenizers by `bits_per_byte` instead."""
        return Interval(*(math.exp(x) for x in (self.loss.value, self.loss.low, self.loss.high)))

    @property
    def bits_per_byte(self) -> float:
        """The text's total loss in bits, divided by its bytes."""
        return self.loss.value * self.tokens / math.log(2) / self.bytes


def read_text(path: Path) -> str:
    """Read a plain text in UTF-8, without the space around it, as the page reads its field.

    Raises:
        InvalidValue: any other file, or an empty one.
    """
    place = shown(str(path))
    try:
        data = read_regular(path, MAX_TEXT_BYTES + 1, streams=True)
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InvalidValue(
            f"{place} is no plain text in UTF-8. Another kind of file is the usual cause."
        ) from error
    except OSError as error:
        raise InvalidValue(f"{place} cannot be read ({error.strerror}).") from error
    if len(data) > MAX_TEXT_BYTES:
        raise InvalidValue(
            f"{place} has more than {MAX_TEXT_BYTES >> 20} MB, the most that is read. Give a part."
        )
    if not text:
        raise InvalidValue(f"{place} holds no text.")
    return text


def perplexity(
    resident: Resident,
    text: str,
    *,
    window: int = WINDOW_TOKENS,
    stride: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Perplexity:
    """Read a text in windows that begin `stride` tokens apart.

    Args:
        window: Tokens per window, at least 2; at most the model's number of positions.
        stride: 1 to `window` - 1; half a window if None. A smaller stride is slower and gives
            each token more context.

    Raises:
        InvalidValue: a window or stride out of range, a text of less than two tokens.
        NonFiniteWeights: the model's outputs are not finite.
    """
    positions = getattr(resident.model.config, "max_position_embeddings", None) or window
    if window < 2:
        raise InvalidValue(f"window must be at least 2 tokens, got {window}.")
    window = min(window, positions)
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= stride < window:
        raise InvalidValue(
            f"stride must lie in 1 to {window - 1}, below the window of {window} tokens, got "
            f"{stride}."
        )
    ids = _token_ids(resident, text)
    sums, counts = list[float](), list[int]()
    spans = list(windows(len(ids), window, stride))
    for number, (start, first, end) in enumerate(spans):
        check(stop)
        report(progress, number, len(spans), "text")
        losses = _losses(resident.model, ids[start:end])
        sums.append(float(losses[first - start - 1 :].double().sum()))
        counts.append(end - first)
    loss, nbytes = mean_interval(sums, counts), len(text.encode())
    return Perplexity(loss, sum(counts), nbytes, window, stride, len(spans))


def windows(n: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(first token read, first token counted, end) of every window over `n` tokens."""
    counted = 1
    for start in range(0, n, stride):
        end = min(start + window, n)
        if end > counted:
            yield start, counted, end
        counted = max(counted, end)
        if end == n:
            return


def _token_ids(resident: Resident, text: str) -> Sequence[int]:
    tokenizer: Any = resident.tokenizer
    with ForeignCode(f"{resident.key}: its tokenizer fails", USUAL_CAUSE):
        ids = [int(i) for i in tokenizer(text)["input_ids"]]
    rows = resident.model.get_input_embeddings().num_embeddings
    if max(ids, default=0) >= rows:
        raise DamagedCheckpoint(
            f"{resident.key}: the text cannot be read: the tokenizer has a token {max(ids)}, its "
            f"model {rows} tokens. {USUAL_CAUSE}"
        )
    if len(ids) < 2:
        raise InvalidValue(f"The text has {len(ids)} tokens; 2 is the least. Give a longer one.")
    return ids


def _losses(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """Loss of every token but the first, in nats."""
    batch = torch.tensor([ids], device=input_device(model))
    with torch.inference_mode():
        logits = model(input_ids=batch, use_cache=False).logits[0, :-1].float()
        check_logits(logits)
        return functional.cross_entropy(logits, batch[0, 1:], reduction="none").cpu()
