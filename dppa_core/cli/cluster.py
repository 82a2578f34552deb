"""What commands have in common that can work on a Ray cluster: the option, and where models answer.

Knows the option and the place; Ray and PyTorch are imported inside functions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dppa_core.tuning.search.trial import Ask

RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Work on a Ray cluster: auto, local, HOST:PORT or ray://… (docs/guides/cluster.md).",
    ),
]


@dataclass(frozen=True, slots=True)
class ExamPlace:
    """Where exams are held."""

    ask: Ask
    beside: int = 1
    """How many exams at a time."""


@contextmanager
def exam_place(ray: str | None) -> Iterator[ExamPlace]:
    """Models in this process, or on a cluster for as long as the block runs.

    Args:
        ray: A cluster's address; this process if unset.
    """
    if ray is None:
        from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

        yield ExamPlace(Examiner(keep=False).score)
        return
    from dppa_core.merging.cluster.ray import joined  # noqa: PLC0415  (what no other search needs)
    from dppa_core.tuning.search.cluster import exams_on_cluster  # noqa: PLC0415

    with quiet_stdout(), joined(ray) as cluster:
        yield ExamPlace(exams_on_cluster(cluster), max(cluster.cores(), 1))


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """What Ray prints of lost nodes goes to where errors go: stdout is for the result."""
    with redirect_stdout(sys.stderr):
        yield
