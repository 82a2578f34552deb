"""How answers are drawn, and how long questions and answers may be."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_PROMPT = 2000
"""Characters of a question."""
LONGEST_ANSWER = 256
"""Tokens of an answer."""
USUAL_ANSWER = 96
"""Tokens of an answer unless a visitor chooses another limit; enough for the examples."""
LEAST_TOP_P = 0.05
MOST_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """Sampling settings, the same for all answers to a question."""

    max_tokens: int = USUAL_ANSWER
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    conversation: bool = False
    """Whether earlier turns are read too."""
    system: str = ""
    """System prompt; empty for none."""
