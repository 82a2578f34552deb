"""Exams of a search on a cluster."""

from __future__ import annotations

import os
from functools import cache

from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.merging.cluster.ray import Cluster
from dppa_core.progress import Stop
from dppa_core.tuning.search.trial import Ask


def exams_on_cluster(cluster: Cluster, *, threads: int = 1, stop: Stop | None = None) -> Ask:
    """A function that holds exams on any node, on `threads` cores; processes keep models."""
    return cluster.caller(answer, (os.getcwd(), threads), threads=threads, stop=stop)


def answer(here: tuple[str, int], exam: Exam) -> DomainScore:
    """Hold an exam here, in the driver's folder, to which paths are relative, on its threads."""
    import torch  # noqa: PLC0415  (seconds; the driver does not need it)

    os.chdir(here[0])
    torch.set_num_threads(here[1])
    return _examiner().score(exam)


@cache
def _examiner() -> Examiner:
    """This process's examiner, which keeps its models."""
    return Examiner(keep=False)
