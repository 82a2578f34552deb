"""The texts of all failures, and their runs: broken or repaired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from dppa_core.errors import UnknownName, did_you_mean
from dppa_core.progress import Progress, Stop
from dppa_core.tasks import answer_reader
from dppa_core.teaching.failures.case import (
    HOW_ANSWERED,
    HOW_MANY,
    HOW_TAKEN,
    Case,
    CaseTask,
    ShownCase,
)
from dppa_core.teaching.failures.of_merges import (
    opposite,
    tied_twice,
    too_few,
    too_large,
    wrong_base,
)
from dppa_core.teaching.failures.of_weights import overflow, vocabulary
from dppa_core.teaching.failures.workshop import LONGEST, Workshop, item_of

CASES = (
    Case(
        name="wrong-base",
        title="Wrong base",
        setting="The math model is merged onto a base it was not made from. Here that base has the "
        "true base's numbers in another order.",
        predict="Twelve questions: how many answers stay right?",
        options=HOW_MANY,
        question=1,
        fault="The delta is no delta",
        why="Math minus a stranger is mostly minus the stranger. The largest of these numbers are "
        "kept and added, and the result is neither of the two. A close relative taken for the base "
        "is harder to notice.",
        repair="Take the base it was trained from",
        repaired="Now d is what training changed, and nothing else.",
    ),
    Case(
        name="one-percent",
        title="Density 1 %",
        setting="Of all that math changed, only the largest 1 % stays.",
        predict="Twelve questions: how many answers stay right?",
        options=HOW_MANY,
        question=9,
        fault="The skill is pruned away",
        why="The largest 1 % hold a small part of the change. What the model learned lies in many "
        "weights. 1 % is a legal rate, so nothing refuses it.",
        repair="Keep 20 %",
        repaired="A fifth of the weights holds most of the squared change.",
    ),
    Case(
        name="factor-six",
        title="Factor 6",
        setting="The strongest half of what stays is multiplied by 6.",
        predict="Twelve questions: how many answers stay right?",
        options=HOW_MANY,
        question=7,
        fault="The change drowns the base",
        why="Layers pass on what layers before them made. A delta several times as long as the one "
        "that was trained drives them where no training was.",
        repair="Set the factor to 1",
        repaired="Amplification makes up for what pruning took. It is searched from 1 up, in steps "
        "of 0.1, and stops where the score falls.",
    ),
    Case(
        name="opposite-signs",
        title="Opposite signs",
        setting="A second model changed every weight the other way, 0.7 times as far. Both deltas "
        "are added. (It is made for this page: base minus 0.7 times the delta of math.)",
        predict="Twelve questions: how many answers stay right?",
        options=HOW_MANY,
        question=11,
        fault="Two deltas cancel out",
        why="A sum of +1 and −0.7 is 0.3. Where two models disagree, adding loses what both know.",
        repair="Let them vote (TIES)",
        repaired="For each weight the stronger sign wins, and only those who agree are averaged. "
        "What the other model learned is lost: a vote takes sides.",
    ),
    Case(
        name="float16",
        title="float16 overflow",
        setting="A weight of 60,000 and a delta of 4,000, times 2, stored as float16. The math "
        "model has no weight that large, so one is made: a matrix of its first layer is multiplied "
        "until its largest weight is 68,000. The next matrix is divided by the same factor. That "
        "alone changes no answer.",
        predict="How does the math model answer with this one weight?",
        options=HOW_ANSWERED,
        question=6,
        fault="The number does not fit",
        why="The largest float16 is 65,504; from 65,520 on, a number is rounded to infinity. "
        "Infinity minus infinity is no number.",
        repair="Store as bfloat16",
        repaired="bfloat16 reaches 3e38, as float32 does.",
    ),
    Case(
        name="tied-twice",
        title="Tied embedding merged twice",
        setting="Embedding and LM head are one matrix with two names. A program that goes through "
        "the names adds the delta once for each.",
        predict="Twelve questions: how many answers stay right?",
        options=HOW_MANY,
        question=3,
        fault="The delta counts twice",
        why="Both names point to the same memory, so the second addition comes on top of the "
        "first. This fault is quiet: twelve questions may not tell it from a sound merge, but the "
        "table does.",
        repair="Merge the two as one",
        repaired="This library looks whether the two are equal in every model, and merges them "
        "once.",
    ),
    Case(
        name="vocabulary",
        title="Mismatched vocabulary",
        setting="The domain model has one word more, in row 1. All rows behind it have moved. Its "
        "tokenizer's file is missing. The math model is asked with its own rows moved like that.",
        predict="What does this library do with such a merge?",
        options=HOW_TAKEN,
        question=8,
        fault="Rows of different words are subtracted",
        why="An embedding has a row for each word. Which row belongs to which word stands only in "
        "the tokenizer's file.",
        repair="Put the tokenizer's file back",
        repaired="Rows are matched by the text of their words; the added word is left out, unless "
        "one asks for the union.",
    ),
)

RUNS: Mapping[str, Callable[[CaseTask, bool], ShownCase]] = {
    "wrong-base": wrong_base,
    "one-percent": too_few,
    "factor-six": too_large,
    "opposite-signs": opposite,
    "float16": overflow,
    "tied-twice": tied_twice,
    "vocabulary": vocabulary,
}


def run_case(
    name: str,
    repaired: bool,
    workshop: Workshop,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Run one of `CASES`; raises UnknownName for another one."""
    if name not in RUNS:
        raise UnknownName(f"No case {name!r:.80}. {did_you_mean(name[:80], RUNS)}")
    (question,) = (case.question for case in CASES if case.name == name)
    task = CaseTask(workshop, question, progress, stop)
    item, shown = item_of(question), asdict(RUNS[name](task, repaired))
    mark = {"answer": item.answer, "read": answer_reader(item)}
    return {"repaired": repaired, "item": mark, "limit": LONGEST, **shown}
