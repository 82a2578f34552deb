"""Exams of a search on a cluster."""

from __future__ import annotations

import os
from functools import cache

from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.merging.cluster.ray import Cluster
from dppa_core.tuning.search.scoring import Ask


def exams_on_cluster(cluster: Cluster) -> Ask:
    """A function that holds exams on one core of any node; processes keep models."""
    return cluster.caller(answer, os.getcwd())


def answer(folder: str, exam: Exam) -> DomainScore:
    """Hold an exam here, in the driver's folder, to which paths are relative, in one thread."""
    import torch  # noqa: PLC0415  (seconds; the driver does not need it)

    os.chdir(folder)
    torch.set_num_threads(1)
    return _examiner().score(exam)


@cache
def _examiner() -> Examiner:
    """This process's examiner, which keeps its models."""
    return Examiner(keep=False, workers=1)
