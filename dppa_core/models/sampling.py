"""The choice of the next token from a model's logits, and that token's loss and entropy.

Temperature and top-p shape the choice; loss and entropy are of the model's own distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int

Logits = Float[torch.Tensor, "texts vocabulary"]
Chooser = Callable[[torch.Tensor], torch.Tensor]
"""Next-token logits (texts, vocabulary) -> token ids (texts,)."""

MIN_TEMPERATURE = 1e-6
"""Below this temperature the likeliest token is taken: logits divided by less may overflow."""


@dataclass(frozen=True, slots=True)
class TokenNumbers:
    """Loss and entropy at a chosen token."""

    loss: float
    """-ln of the probability of that token, in nats; at least 0."""
    entropy: float
    """Entropy of its distribution over all tokens, in bits; 0 to log2 of the vocabulary."""


def greedy(logits: torch.Tensor) -> torch.Tensor:
    """The most likely token of each row."""
    return logits.argmax(-1)


def sampler(temperature: float, top_p: float, seed: int) -> Chooser:
    """Draws tokens one after another; the same seed and logits give the same tokens.

    Args:
        temperature: Divides the logits, in [0, 2]; below `MIN_TEMPERATURE` the likeliest token is
            taken, whatever else is set.
        top_p: Only the likeliest tokens that together hold this share are drawn, in (0, 1].
    """
    if temperature < MIN_TEMPERATURE:
        return greedy
    random = torch.Generator().manual_seed(seed)

    def sample(logits: torch.Tensor) -> torch.Tensor:
        shares, order = (logits / temperature).softmax(-1).sort(-1, descending=True)
        ranks = torch.multinomial(within_top_p(shares, top_p), 1, generator=random)
        return order.gather(-1, ranks)[:, 0]

    return sample


def within_top_p(shares: Logits, top_p: float) -> Logits:
    """The fewest likeliest shares that together reach `top_p`, the others 0; not summing to 1.

    The likeliest one always stays (nucleus sampling, Holtzman et al., arXiv:1904.09751).

    Args:
        shares: Probabilities of each row, in falling order.
        top_p: In (0, 1]; 1 keeps all.
    """
    if top_p == 1:
        return shares
    before = shares.cumsum(-1) - shares  # the sum of the likelier ones
    return shares.masked_fill(before >= top_p, 0.0)


def token_numbers(logits: Logits, tokens: Int[torch.Tensor, " texts"]) -> list[TokenNumbers]:
    """Loss of the token of each text, and entropy of the distribution it was drawn from.

    Args:
        logits: Of one position of each text, as the model gave them; -inf for impossible tokens.
    """
    logs = logits.log_softmax(-1)
    nats = -(logs.exp() * logs.clamp(min=-1e4)).sum(-1)  # 0 ln 0 is 0
    losses = -logs.gather(-1, tokens[:, None])[:, 0]
    return [
        TokenNumbers(loss=max(0.0, loss), entropy=max(0.0, entropy / math.log(2)))
        for loss, entropy in zip(losses.tolist(), nats.tolist(), strict=True)
    ]
