"""Questions shared by several experiments: exams, chosen factors, the best coefficient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.scores import Marks, Target
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tuning.search.axes import Point, at_point, axes_of
from dppa_core.tuning.search.scoring import geometric_mean
from dppa_lab.experiments.questions import DocumentsQuestion, ExamQuestion, Question
from dppa_lab.experiments.score_table import ByDomain, loss, share
from dppa_lab.experiments.setting import HARNESS, Setting, Subject, Treatment, merged
from dppa_lab.experiments.steps import AskFunction, Steps, all_asked, one_by_one
from dppa_lab.zoo.joint_search import Budget, joint_search

COEFFICIENTS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.4)
"""Coefficients tried for every merge; further ones by this factor while the outermost is best."""
FURTHER, LEAST, LARGEST = 1.2, 0.1, 4.0
Factors = tuple[float, ...]
"""One for each band, the strongest band first."""
BANDS = 2
"""Number of amplified partitions, as in the paper."""
FACTOR_BUDGET = Budget(12, 6)
"""Settings by loss and by accuracy for two factors; half of the losses of a whole merge's search,
which has twice as many numbers to choose."""


def exam(setting: Setting, target: Target, domain: str, split: str = "test") -> Question[Marks]:
    """The items of a domain, or the documents of a task of the harness."""
    if domain.startswith(HARNESS):
        task, folder = domain.removeprefix(HARNESS), setting.lm_eval_tasks
        return DocumentsQuestion(target, task, split, setting.search, setting.test, folder)
    return ExamQuestion(target, domain, split, setting.items_of(split))


def own_marks(setting: Setting, split: str = "test") -> Steps[dict[str, Marks]]:
    """Marks of every domain model on its own domain; raises InvalidValue if it has none right."""
    marks = yield from all_asked(
        {
            subject.domain: exam(setting, subject.model, subject.domain, split)
            for subject in setting.subjects
        }
    )
    for subject in setting.subjects:
        if not any(marks[subject.domain].hits):
            raise InvalidValue(
                f"{subject.model} itself answers none of the {len(marks[subject.domain].hits)} "
                f"{split} items of {subject.name}, so the retention of a merge is undefined. A "
                "model of another domain, or too few items (--limit, --search-limit), is the usual "
                "cause."
            )
    return marks


def alone(
    setting: Setting,
    subject: Subject,
    treatment: Treatment,
    factors: Sequence[float] | None = None,
    split: str = "test",
    scale: float = 1.0,
) -> tuple[MergeRecipe, Question[Marks]]:
    """One model's treated delta on the base, scored on its own domain.

    Args:
        factors: One per band, for even bands; plain pruning if None.
        scale: Scale of the delta: the domain model is base + scale · delta.
    """
    levels = [even_levels(treatment.rate, len(factors))] if factors else None
    recipe = merged(
        setting,
        [subject],
        treatment,
        coefficients=scale,
        levels=levels,
        factors=[factors] if factors else None,
    )
    return recipe, exam(setting, recipe, subject.domain, split)


def whole(setting: Setting, subject: Subject, scale: float) -> Target:
    """base + scale · delta, unpruned; at scale 1 the domain model itself."""
    if scale == 1:
        return subject.model
    return merged(setting, [subject], Treatment("task_arithmetic"), coefficients=scale)


def chosen_factors(
    setting: Setting,
    subject: Subject,
    treatment: Treatment,
    scale: float = 1.0,
    bands: int = BANDS,
) -> Steps[Factors]:
    """A factor for each band, chosen together on search items by a joint search.

    Args:
        treatment: A method with partitions; the levels split the kept entries evenly.
        bands: Number of levels.
    """
    plain, _ = alone(setting, subject, treatment, (1.0,) * bands, "search", scale)
    axes = [axis for axis in axes_of(plain) if axis.name.startswith("factor")]

    def code(ask: AskFunction) -> Factors:
        def marks(point: Point) -> Marks:
            target = at_point(plain, axes, point)
            return ask(exam(setting, target, subject.domain, "search"))

        def lost(point: Point) -> float:
            answer = marks(point)
            return loss({"": answer}) if answer.losses else 1 - share(answer)

        return joint_search(
            axes,
            lambda points: list(map(lost, points)),
            lambda points: [share(marks(point)) for point in points],
            budget=FACTOR_BUDGET,
        ).best.values

    return one_by_one(code)


def best_coefficient(
    setting: Setting,
    domains: Sequence[str],
    recipe: Callable[[float], MergeRecipe],
    unpruned: ByDomain,
    tried: Sequence[float] = COEFFICIENTS,
) -> Steps[float]:
    """The coefficient with the best retention on the search items; of equals the smaller loss.

    Args:
        unpruned: Marks of each domain model on the search items of its domain.
        tried: All of them are scored; then further ones while the outermost is best.
    """
    scores: dict[float, ByDomain] = {}

    def rank(coefficient: float) -> tuple[float, float]:
        return retention(scores[coefficient], unpruned), -loss(scores[coefficient])

    waiting = list(tried)
    while waiting:
        questions = {
            (coefficient, domain): exam(setting, recipe(coefficient), domain, "search")
            for coefficient in waiting
            for domain in domains
        }
        marks = yield from all_asked(questions)
        for coefficient in waiting:
            scores[coefficient] = {domain: marks[coefficient, domain] for domain in domains}
        best = max(scores, key=rank)
        waiting = _further(best, tuple(scores))
    return best


def _further(best: float, tried: Sequence[float]) -> list[float]:
    """The next coefficient beyond the best if that is the outermost, in a list; else none."""
    step = FURTHER if best == max(tried) else 1 / FURTHER if best == min(tried) else None
    following = round(best * step, 2) if step else 0.0
    return [following] if LEAST <= following <= LARGEST else []


def retention(marks: ByDomain, unpruned: ByDomain) -> float:
    """Geometric mean over the domains of accuracy ÷ the domain model's own; 0 without any own."""
    if not all(any(unpruned[domain].hits) for domain in marks):
        return 0.0
    return geometric_mean([share(marks[domain]) / share(unpruned[domain]) for domain in marks])
