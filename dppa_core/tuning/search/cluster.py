"""A search whose exams are held on a cluster.

Knows exams and the cluster; the search itself is the one of `search_study.py`, with several
trials at a time. The study is the driver's: nodes know nothing of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.merging.cluster.ray import Cluster
from dppa_core.progress import Stop
from dppa_core.tuning.search.trial import Ask


@dataclass(frozen=True, slots=True)
class DriverNode:
    """Where the driver is."""

    folder: str
    """What paths in recipes are relative to."""
    threads: int


def exams_on_cluster(cluster: Cluster, *, threads: int = 1, stop: Stop | None = None) -> Ask:
    """What asks models on any node; each process keeps base and domain models from then on.

    Args:
        cluster: Where.
        threads: Cores that an exam takes.
        stop: Ends the waiting for an answer.
    """
    return cluster.caller(answer, DriverNode(os.getcwd(), threads), threads=threads, stop=stop)


def answer(here: DriverNode, exam: Exam) -> DomainScore:
    """Merge in this process's memory, and score."""
    import torch  # noqa: PLC0415  (seconds, and for whoever answers only)

    os.chdir(here.folder)
    torch.set_num_threads(here.threads)
    return _examiner().score(exam)


@cache
def _examiner() -> Examiner:
    """With the models of this process."""
    return Examiner(keep=False)
