"""Asks everybody of a side-by-side evaluation, several at a time.

Knows an examiner and the table; no figures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import prod

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.examiner import SMALL, Examiner
from dppa_core.evaluation.scores import Evaluation, Marks, Target
from dppa_core.evaluation.side_by_side import Entrant, SideBySide
from dppa_core.progress import Progress, Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.threads import available_cores, side_by_side

Tell = Callable[[str, str, Marks], None]
"""Told (key, domain, marks) as they come."""


def measure(
    examiner: Examiner,
    who: Sequence[Entrant],
    domains: Sequence[str],
    *,
    tell: Tell | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> SideBySide:
    """Ask all entrants about all domains; small models side by side, one on every core.

    Args:
        tell: Told marks as they come, by any thread, one at a time.
        progress: Told item by item, likewise.
        stop: Raises Cancelled once set, within one token of each.
    """
    table = SideBySide(
        examiner.split, tuple(who), {domain: examiner.items(domain) for domain in domains}
    )
    teller = _Teller(table, tell, progress)
    small = all(4 * _numel(one.target, examiner.public) <= SMALL for one in who)
    workers = min(available_cores(), len(who)) if small else 1
    tasks = [partial(_ask, examiner, one, table, teller, stop) for one in who]
    marks: dict[tuple[str, str], Marks] = {}
    for found in side_by_side(tasks, workers):
        marks |= found
    check(stop)
    return replace(table, marks=marks)


def _numel(target: Target, public: bool) -> int:
    reference = target.base if isinstance(target, MergeRecipe) else target
    opened = open_checkpoint(reference, public=public)
    return sum(prod(opened.shape(name)) for name in opened.names())


def _ask(
    examiner: Examiner,
    who: Entrant,
    table: SideBySide,
    teller: _Teller,
    stop: Stop | None,
) -> dict[tuple[str, str], Marks]:
    found = {}
    for domain in table.items:
        check(stop)
        what = f"{who.label}, {domain}"
        found[who.key, domain] = examiner.marks(
            who.target, domain, progress=partial(teller.asked, who.key, domain, what), stop=stop
        )
        teller.marked(who.key, domain, found[who.key, domain])
    return found


class _Teller:
    """Adds up what several threads tell."""

    def __init__(self, table: SideBySide, tell: Tell | None, progress: Progress | None) -> None:
        self._tell, self._progress = tell, progress
        self._done: dict[tuple[str, str], int] = {}
        self._sizes = {domain: len(asked) for domain, asked in table.items.items()}
        self._total = len(table.entrants) * sum(self._sizes.values())
        self._lock = threading.Lock()

    def asked(self, key: str, domain: str, what: str, count: int) -> None:
        """Told by an examiner."""
        with self._lock:
            self._done[key, domain] = count
            if self._progress:
                self._progress(sum(self._done.values()), self._total, what)

    def marked(self, key: str, domain: str, marks: Marks) -> None:
        """A domain was finished, asked now or remembered."""
        self.asked(key, domain, f"{key}, {domain}", self._sizes[domain])
        with self._lock:
            if self._tell:
                self._tell(key, domain, marks)


def one_alone(
    examiner: Examiner,
    target: Target,
    domains: Sequence[str],
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Evaluation:
    """Scores of one model or merge, with nobody beside it."""
    name = recipe_hash(target) if isinstance(target, MergeRecipe) else target
    found = measure(examiner, [Entrant(name, name, target)], domains, progress=progress, stop=stop)
    scores = {domain: found.score(name, domain) for domain in domains}
    whole = {domain: score for domain, score in scores.items() if score is not None}
    return Evaluation(name, examiner.split, whole)
