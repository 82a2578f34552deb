"""One reply, streamed: settings, sampling, and text as it grows.

Runs in the caller's thread, so closing the generator is all it takes to end the work.
Knows no recipe and no page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.models.decode import decoded, end_ids, prompt_ids, room, token_steps
from dppa_core.models.resident import Resident
from dppa_core.models.sampling import Chooser, TokenNumbers, sampler
from dppa_core.progress import Stop

Steps = Callable[
    [Any, Sequence[int], Chooser, int, Stop | None], Iterator[tuple[int, TokenNumbers]]
]
"""Model, prompt, choice of a token, most tokens, stop -> tokens as they come; see `token_steps`."""
MOST_TOKENS = 256
LONGEST_PROMPT = 2000
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How a reply is drawn."""

    max_new_tokens: int = 96
    """Most tokens in a reply, 1 to 256."""
    temperature: float = 0.0
    """0 takes the likeliest token; 1 samples from the model's own distribution; up to 2."""
    top_p: float = 1.0
    """Sample from the likeliest tokens that together hold this share, in (0, 1]."""
    seed: int = 0
    """Same seed, prompt and model: same reply. 0 to 2**63 - 1."""

    def __post_init__(self) -> None:
        _check_whole("max_new_tokens", self.max_new_tokens, 1, MOST_TOKENS)
        _check_whole("seed", self.seed, 0, LARGEST_SEED)
        if not 0 <= self.temperature <= 2:
            raise InvalidValue(
                f"temperature must lie in [0, 2], got {self.temperature}. 0 is deterministic."
            )
        if not 0 < self.top_p <= 1:
            raise InvalidValue(f"top_p must lie in (0, 1], got {self.top_p}. 1 keeps every token.")


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidValue(
            f"{name} must be a whole number from {low} to {high}, got {shown(value)}."
        )


@dataclass(frozen=True, slots=True)
class ReplyToken:
    """A reply after one more token, and what the model thought of that token."""

    id: int
    text: str
    """The reply so far; a last character that lacks bytes is left out."""
    end: int
    """Where this token ends in the reply, in characters; white space at its end may lie beyond."""
    loss: float
    """-ln of the probability the model gave this token, in nats."""
    entropy: float
    """Entropy of the model's next-token distribution, in bits."""
    last: bool
    """Whether it is the token that ends replies, which has no text."""


def stream_tokens(
    resident: Resident,
    prompt: str,
    settings: GenerationSettings = GenerationSettings(),  # noqa: B008  (frozen)
    stop: Stop | None = None,
    steps: Steps = token_steps,
) -> Iterator[ReplyToken]:
    """Yield the reply after every token, the one that ends it included.

    Loss and entropy are of the model's own distribution: temperature and top-p change what is
    drawn, not them.

    Args:
        prompt: What the user says: 1 to 2000 characters, rendered with the chat template.
        stop: Looked at before each token; raises Cancelled once set.
        steps: Computes the tokens: alone in this thread, or `Engine.steps`.
    """
    model, tokenizer = resident.model, resident.tokenizer
    check_text("prompt", prompt, "Type a question first.")
    ids = prompt_ids(resident, prompt)
    ends, written = end_ids(model, tokenizer), list[int]()
    limit = min(settings.max_new_tokens, room(model, len(ids)))
    draw = sampler(settings.temperature, settings.top_p, settings.seed)
    for token, seen in steps(model, ids, draw, limit, stop):
        last = token in ends
        if not last:
            written.append(token)
        raw = decoded(tokenizer, written).lstrip()
        yield ReplyToken(token, raw.rstrip(), len(raw), seen.loss, seen.entropy, last)
        if last:
            return


def stream_reply(
    resident: Resident,
    prompt: str,
    settings: GenerationSettings = GenerationSettings(),  # noqa: B008  (frozen)
    stop: Stop | None = None,
) -> Iterator[str]:
    """Yield the reply so far after every token; ends at the end token or the length limit.

    Args:
        prompt: What the user says: 1 to 2000 characters, rendered with the chat template.
        stop: Looked at before each token; raises Cancelled once set.
    """
    for token in stream_tokens(resident, prompt, settings, stop):
        if not token.last:
            yield token.text


def check_text(name: str, text: str, remedy: str = "") -> None:
    """Refuse a text that is empty or too long to be read.

    Args:
        name: What it is, as "prompt".
        text: Of 1 to 2000 characters.
        remedy: What to do about an empty one.

    Raises:
        InvalidValue: it is neither.
    """
    if not text.strip():
        raise InvalidValue(f"The {name} is empty. {remedy}".strip())
    if len(text) > LONGEST_PROMPT:
        raise InvalidValue(
            f"The {name} has {len(text)} characters; at most {LONGEST_PROMPT} are read. Shorten it."
        )
