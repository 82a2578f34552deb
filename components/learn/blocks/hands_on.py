"""Interactive blocks: a small matrix through a whole merge, merges that fail, twenty tries."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.evaluation.scores import Exam
from dppa_core.progress import check
from dppa_core.tasks.intervals import wilson
from dppa_core.teaching.by_hand.grid import grid_address
from dppa_core.teaching.by_hand.walk import explain

from ...widgets.theme import KNOWN_MODELS
from ...work.studio import Studio
from .context import Arguments, BlockContext, choice
from .merged_answer import session_of

if TYPE_CHECKING:
    from dppa_core.evaluation.examiner import Examiner
    from dppa_core.teaching.failures.workshop import Workshop

ITEMS = {"search": 20, "test": 100}
"""Split -> its questions of each domain: few for a try, so that luck is felt, more for the end."""
MAX_TRIES = 20
GOALS = (
    {"name": "level", "title": "Beat magnitude at 90 %", "beats": 0.9, "lowest": 0.9},
    {"name": "half", "title": "Beat magnitude at 80 %, keeping half as much", "beats": 0.8}
    | {"lowest": 0.9},
    {"name": "whole", "title": "Beat the whole sum, with 80 % pruned", "beats": 0.0, "lowest": 0.8},
)
"""What a try has to beat, magnitude pruning at the rate `beats`, and the lowest rate of a try."""


def by_hand(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """A small matrix and every step of its merge, and where a tab finds those of other settings;
    `explain` lists the arguments."""
    walk = explain(arguments)
    return {**walk, "grid": grid_address(walk["start"])}


def break_it(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The list of failures; with {"case": name, "repaired": bool} the result of one."""
    from dppa_core.teaching.failures.cases import CASES, run_case  # noqa: PLC0415  (torch)

    if not arguments:
        return {"cases": [asdict(case) for case in CASES]}
    name, repaired = arguments.get("case"), arguments.get("repaired", False)
    if not isinstance(name, str) or not isinstance(repaired, bool):
        raise InvalidValue(f"A case is a name, and repaired is yes or no; got {shown(arguments)}.")
    context.wait_for_models()
    return run_case(name, repaired, _workshop(), context.progress, context.stop)


@cache
def _workshop() -> Workshop:
    """One workshop for all visitors."""
    from dppa_core.teaching.failures.workshop import Workshop  # noqa: PLC0415  (torch)

    return Workshop()


def playground(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The goals; with {"rate", "factors", "strength", "split"} the score of that merge of all
    models that come with the page."""
    if not arguments:
        return {"goals": GOALS, "tries": MAX_TRIES, "items": _sizes()}
    split = choice(arguments, "split", tuple(ITEMS))
    recipe = session_of(arguments).recipe()
    context.wait_for_models()
    examiner, right = _examiner(context.studio), 0
    for count, domain in enumerate(_domains()):
        check(context.stop)
        context.progress(count, len(KNOWN_MODELS), f"Asking of {domain}")
        exam = Exam(recipe, domain, split, ITEMS[split])
        right += sum(examiner.score(exam, stop=context.stop).hits)
    n = _sizes()[split]
    low, high = wilson(right, n)
    return {"right": right, "n": n, "low": low, "high": high}


def _domains() -> list[str]:
    return [name.removeprefix("zoo:") for name in KNOWN_MODELS]


def _sizes() -> dict[str, int]:
    """The questions of each split, of all domains."""
    return {split: count * len(KNOWN_MODELS) for split, count in ITEMS.items()}


@cache
def _examiner(studio: Studio) -> Examiner:
    """An examiner that writes no marks to the disk: `BlockQueue` keeps the newest results."""
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

    return Examiner(studio.pool(), public=studio.public, keep=False)
