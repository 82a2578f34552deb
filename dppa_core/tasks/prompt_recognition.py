"""Recognises questions of the kinds that the embedded models learned, by their wording.

Names and numbers are free, so that a question in a visitor's own words may count as known, but none
of a learned wording as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dppa_core.tasks import DOMAINS, finance, law, math, tasks_of

_SUM = r"\d+(?: [-+x] \d+)+"
_SKILLS = (
    rf"{_SUM}(?: = \?)?|Work out {_SUM}\.",
    r"Compare \d+ and \d+\.|Step from \d+ to \d+\.",
    r"Repeat: .+|Say .+ again\.",
    r".+\. Find .+\.|\(A\) .+\. \(B\) .+\. Where is .+\?",
)
"""The base's bare skills."""


def _wordings(texts: Iterable[str]) -> str:
    """Any of some templates, with anything in their fields."""
    return "|".join(re.sub(r"\\\{\w\\\}", ".+", re.escape(text)) for text in texts)


WORDING = re.compile(
    "|".join(
        (
            rf".*\d.* (?:{_wordings(math.QUESTIONS)})",
            _wordings(finance.TONE_QUESTIONS),
            _wordings(finance.REPORT_QUESTIONS),
            rf".*\d.* (?:{_wordings(finance.MOVE_QUESTIONS)})",
            _wordings(law.CLAUSE_QUESTIONS),
            _wordings(law.TERM_QUESTIONS),
            _wordings(law.HOLDING_QUESTIONS),
            *_SKILLS,
        )
    ),
    re.IGNORECASE,
)
"""Matches the whole of a learned question; scripts of the page match it too."""

NUMBER_OF_KINDS = sum(len(tasks_of(domain)) for domain in DOMAINS) + len(_SKILLS)
"""Kinds of question that the embedded models learned: tasks of the domains, and bare skills."""


MAX_PROMPT_CHARACTERS = 400
"""Characters of a question that may be known, over twice the longest that was learned: the time of
the search grows with the fourth power of the length."""


def is_known_kind(prompt: str) -> bool:
    """Return True if `prompt` has the wording of a learned kind of question."""
    return len(prompt) <= MAX_PROMPT_CHARACTERS and bool(
        WORDING.fullmatch(" ".join(prompt.split()))
    )
