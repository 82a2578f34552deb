"""The option `--ray`, and the place where models answer, for commands that can use a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dppa_core.recipes.yaml_text import MergeRecipe
    from dppa_core.tuning.search.scoring import Ask

RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Work on a Ray cluster: auto, local, HOST:PORT or ray://… (docs/guides/cluster.md).",
    ),
]


@dataclass(frozen=True, slots=True)
class ExamPlace:
    """Where models answer questions."""

    ask: Ask
    beside: int = 1
    """Exams at a time."""


@contextmanager
def exam_place(ray: str | None, recipe: MergeRecipe) -> Iterator[ExamPlace]:
    """Merges like a recipe in this process if unset, or on the cluster of an address while the
    block runs."""
    if ray is None:
        from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

        examiner = Examiner(keep=False)
        yield ExamPlace(examiner.score, examiner.parallel_exams(recipe))
        return
    from dppa_core.merging.cluster.ray import joined  # noqa: PLC0415  (what no other search needs)
    from dppa_core.tuning.search.cluster import exams_on_cluster  # noqa: PLC0415

    # Ray prints messages about lost nodes; stdout is for the result.
    with redirect_stdout(sys.stderr), joined(ray) as cluster:
        yield ExamPlace(exams_on_cluster(cluster), max(cluster.cores(), 1))
