"""Entrants side by side, as a server judges them."""

from __future__ import annotations

from collections.abc import Sequence

from dppa_core.evaluation.scores import Evaluation, Exam, Marks, target_name
from dppa_core.evaluation.side_by_side import RECIPE, Entrant, SideBySide
from dppa_core.evaluation.vllm.judge import VllmJudge
from dppa_core.progress import Progress, report
from dppa_core.tasks import items


def measure_judged(
    judge: VllmJudge,
    entrants: Sequence[Entrant],
    domains: Sequence[str],
    *,
    split: str = "test",
    limit: int | None = None,
    behaviour: bool = False,
    progress: Progress | None = None,
) -> SideBySide:
    """Ask all entrants about all domains, one entrant at a time.

    Args:
        limit, behaviour: As of `Exam`; divergences are left out.
        progress: Called before each exam.

    Raises:
        InvalidValue: a merge on another base than the server's, before any is asked; or see
            `VllmJudge.marks`.
    """
    for entrant in entrants:
        judge.check_base(entrant.target)
    domain_items = {domain: items(domain, split, limit) for domain in domains}
    total, answered = len(entrants) * sum(map(len, domain_items.values())), 0
    marks: dict[tuple[str, str], Marks] = {}
    for entrant in sorted(entrants, key=lambda one: one.key != RECIPE):  # the server has it
        for domain in domains:
            report(progress, answered, total, f"{entrant.label}, {domain}")
            exam = Exam(entrant.target, domain, split, limit, behaviour)
            marks[entrant.key, domain] = judge.marks(exam)
            answered += len(domain_items[domain])
    return SideBySide(split, tuple(entrants), domain_items, marks)


def evaluation_of(side: SideBySide, entrant: Entrant) -> Evaluation:
    """The scores of one entrant."""
    scores = {domain: side.score(entrant.key, domain) for domain in side.items}
    known = {domain: score for domain, score in scores.items() if score is not None}
    return Evaluation(target_name(entrant.target), side.split, known)
