"""Settings of a reply, and its state after each token; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.errors import InvalidValue, shown

MAX_TOKENS = 256
"""Tokens of an answer."""
MAX_PROMPT_CHARS = 2000
"""Characters of a question."""
MAX_SEED = 2**63 - 1
LIKELIEST_TOKENS = 8
"""Number of next tokens in a `Reading`."""
TEMPERATURES = tuple(step / 10 for step in range(1, 21))
"""Temperatures for which a `Reading` has the sum of all tokens' weights."""


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
        _check_whole("max_new_tokens", self.max_new_tokens, 1, MAX_TOKENS)
        _check_whole("seed", self.seed, 0, MAX_SEED)
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
    """A reply after one more token, with that token's loss and entropy."""

    id: int
    text: str
    """The reply so far; an incomplete last character is left out."""
    end: int
    """Where this token ends in the reply, in characters; white space at its end may lie beyond."""
    loss: float
    """-ln of the probability the model gave this token, in nats."""
    entropy: float
    """Entropy of the model's next-token distribution, in bits."""
    last: bool
    """True for the end token, which has no text."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A question with what was said before it."""

    question: str
    earlier: tuple[tuple[str, str], ...] = ()
    """Earlier questions, each with the model's answer."""
    system: str = ""
    """System prompt; empty for none."""

    def messages(self) -> list[dict[str, str]]:
        """In the form of chat templates: system, then user and assistant by turns."""
        turns = [("system", self.system)] if self.system else []
        for question, answer in self.earlier:
            turns += [("user", question), ("assistant", answer)]
        turns.append(("user", self.question))
        return [{"role": role, "content": content} for role, content in turns]


Prompt = str | Conversation
"""A question that stands alone, or one in a conversation."""


@dataclass(frozen=True, slots=True)
class NextToken:
    """A token that may come next."""

    text: str
    """Empty for a token without text."""
    end: bool
    """True if it ends the reply."""
    logit: float


@dataclass(frozen=True, slots=True)
class Reading:
    """How a model reads a text after a prompt.

    The probability of a next token at temperature t is exp(logit / t - log_sum of t).
    """

    loss: float | None
    """Mean loss of the text's tokens and of the end token, in nats; None without such tokens."""
    next: tuple[NextToken, ...]
    """The `LIKELIEST_TOKENS` tokens after the text, the likeliest first."""
    log_sums: tuple[float, ...]
    """ln of the sum of exp(logit / t) over all tokens, at each t of `TEMPERATURES`."""


def check_prompt(prompt: Prompt) -> None:
    """Refuse a question that is empty, or any text of a conversation that is too long.

    Raises:
        InvalidValue: naming the text.
    """
    conversation = prompt if isinstance(prompt, Conversation) else Conversation(prompt)
    check_text("prompt", conversation.question, "Type a question first.")
    if conversation.system:
        check_text("system prompt", conversation.system)


def check_text(name: str, text: str, remedy: str = "") -> None:
    """Refuse a text that is empty or too long.

    Args:
        name: Its name, as "prompt".
        text: Of 1 to 2000 characters.
        remedy: Advice for an empty text.

    Raises:
        InvalidValue: it is empty or too long.
    """
    if not text.strip():
        raise InvalidValue(f"The {name} is empty. {remedy}".strip())
    if len(text) > MAX_PROMPT_CHARS:
        raise InvalidValue(
            f"The {name} has {len(text)} characters; at most {MAX_PROMPT_CHARS} are read. "
            "Shorten it."
        )
