"""Exams of a search on a cluster.

The search itself is that of `search_study.py`, with several trials at a time. Only the driver
knows the study.
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
    """Working folder and threads of the driver."""

    folder: str
    """Paths in recipes are relative to it."""
    threads: int


def exams_on_cluster(cluster: Cluster, *, threads: int = 1, stop: Stop | None = None) -> Ask:
    """A function that holds exams on any node; each process keeps base and domain models.

    Args:
        threads: Cores per exam.
    """
    return cluster.caller(answer, DriverNode(os.getcwd(), threads), threads=threads, stop=stop)


def answer(here: DriverNode, exam: Exam) -> DomainScore:
    """Hold an exam in this process."""
    import torch  # noqa: PLC0415  (seconds; the driver does not need it)

    os.chdir(here.folder)
    torch.set_num_threads(here.threads)
    return _examiner().score(exam)


@cache
def _examiner() -> Examiner:
    """This process's examiner, which keeps its models."""
    return Examiner(keep=False)
