"""The options `--ray` and `--judge`, and the place where models answer, for commands that can use
a cluster or a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dppa_core.errors import InvalidValue

if TYPE_CHECKING:
    from dppa_core.evaluation.vllm.judge import VllmJudge
    from dppa_core.recipes.yaml_text import MergeRecipe
    from dppa_core.tuning.search.scoring import Ask

RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Work on a Ray cluster: auto, local, HOST:PORT or ray://… (docs/guides/cluster.md).",
    ),
]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A vLLM server answers, as http://HOST:8000 (docs/guides/cluster.md).",
    ),
]
JudgeRankOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=512,
        help="Rank of the adapters sent to it; 16 if unset, of merged adapters all.",
    ),
]
JudgeFolderOption = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Where it sees what is sent, if shared."),
]


@dataclass(frozen=True, slots=True)
class ExamPlace:
    """Where models answer questions."""

    ask: Ask
    beside: int = 1
    """Exams at a time."""
    judge: VllmJudge | None = None


def check_judge(judge: str | None, rank: int | None, folder: Path | None) -> None:
    """Raise InvalidValue for options of a server that is not named."""
    if judge is None and (rank is not None or folder is not None):
        raise InvalidValue("--judge-rank and --judge-folder go with --judge.")


@contextmanager
def exam_place(
    ray: str | None,
    recipe: MergeRecipe,
    judge: str | None = None,
    rank: int | None = None,
    folder: Path | None = None,
) -> Iterator[ExamPlace]:
    """Merges like a recipe in this process if unset; on a cluster, or a server that judges by
    adapters of a rank in a folder, while the block runs."""
    if ray is not None and judge is not None:
        raise InvalidValue("Give either --ray or --judge: models answer in one place.")
    check_judge(judge, rank, folder)
    if judge is not None:
        from dppa_core.evaluation.vllm.judge import vllm_judge  # noqa: PLC0415  (torch)

        with vllm_judge(recipe, judge, rank, folder) as vllm:
            yield ExamPlace(vllm.score, judge=vllm)
        return
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
