"""The command that measures: evaluate.

PyTorch and transformers are imported inside the command.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.cli.output import emit, names_in, progress_line
from dppa_core.errors import InvalidValue, shown
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe
from dppa_core.tasks import DOMAINS, items

if TYPE_CHECKING:
    from dppa_core.evaluation.examiner import Examiner
    from dppa_core.evaluation.side_by_side import Entrant
    from dppa_core.merging.in_memory.model_pool import ModelPool

_RECIPES = (".yaml", ".yml")
DeviceMapOption = Annotated[
    str | None,
    typer.Option(
        help="Spread a model that fits on no device over all, memory and disk, by accelerate: "
        "auto, balanced, balanced_low_0, sequential."
    ),
]
DtypeOption = Annotated[
    str, typer.Option(help="What a spread model computes in: float32, bfloat16, float16.")
]
TextOption = Annotated[
    Path | None, typer.Option(help="Perplexity on a text file, in windows that overlap.")
]
WindowOption = Annotated[int, typer.Option(min=2, help="Tokens of a window of the text.")]
StrideOption = Annotated[
    int | None, typer.Option(min=1, help="Tokens between windows; half of one if unset.")
]
TasksOption = Annotated[
    str | None, typer.Option(help="Tasks of lm-evaluation-harness, as arc_easy,piqa.")
]
FolderOption = Annotated[
    Path | None,
    typer.Option(help="A folder of task files, in the place of its own; their code runs."),
]


AgainstOption = Annotated[
    Path | None, typer.Option(help="Another recipe, compared with the first item by item.")
]
DomainsOption = Annotated[
    str | None,
    typer.Option(help="Domains, as math,finance,law; all if neither text nor task is given."),
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Items per domain; all if unset.")]
AloneOption = Annotated[
    bool, typer.Option("--alone", help="Leave out base, models and plain merges.")
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Ignore cached answers.")]


def evaluate(
    target: Annotated[
        str, typer.Argument(metavar="RECIPE_OR_MODEL", help="A recipe file, or one model.")
    ],
    against: AgainstOption = None,
    tasks: DomainsOption = None,
    split: Annotated[str, typer.Option(help="train, search or test.")] = "test",
    limit: LimitOption = None,
    text: TextOption = None,
    window: WindowOption = 512,
    stride: StrideOption = None,
    lm_eval: TasksOption = None,
    lm_eval_tasks: FolderOption = None,
    alone: AloneOption = False,
    fresh: FreshOption = False,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Score a merge beside its base, its models and plain merges, with 95 % intervals.

    Answers are kept in the cache: no question is asked twice.
    """
    recipe = _recipe(target)
    if against is not None and (recipe is None or alone):
        raise typer.BadParameter("--against compares two recipes, side by side")
    if lm_eval_tasks is not None and lm_eval is None:
        raise typer.BadParameter("--lm-eval-tasks is where the tasks of --lm-eval lie")
    more = text is not None or lm_eval is not None
    domains = [] if more and tasks is None else _domains(tasks, split)
    beside = recipe is not None and not alone
    wanted = _Wanted(text, window, stride, lm_eval, lm_eval_tasks, split, limit)
    from dppa_core.cli.evaluate_text import evaluated_text  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415

    who = _who(recipe, target, against, beside)
    examiner = Examiner(_pool(device_map, dtype), fresh=fresh)
    value = _measured(examiner, who, domains, wanted, beside=beside)
    emit(value, evaluated_text(value), as_json=as_json)


def _who(
    recipe: MergeRecipe | None, target: str, against: Path | None, beside: bool
) -> tuple[Entrant, ...]:
    from dppa_core.evaluation.side_by_side import Entrant, entrants  # noqa: PLC0415  (imports torch)

    if recipe is not None and beside:
        return entrants(recipe, load_recipe(against) if against else None)
    return (Entrant("recipe" if recipe else target, Path(target).stem, recipe or target),)


def _pool(device_map: str | None, dtype: str) -> ModelPool | None:
    """The pool of a device map; None for the memory of this process."""
    if device_map is None and dtype == "float32":
        return None
    from dppa_core.merging.in_memory.device_map_pool import SpreadModelPool  # noqa: PLC0415  (only for models that fit on no device)

    return SpreadModelPool(device_map or "auto", dtype)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The requested measurements."""

    text: Path | None
    window: int
    stride: int | None
    lm_eval: str | None
    folder: Path | None
    split: str
    limit: int | None


def _measured(
    examiner: Examiner,
    who: tuple[Entrant, ...],
    domains: list[str],
    wanted: _Wanted,
    *,
    beside: bool,
) -> dict[str, Any]:
    """All requested measurements, as plain values."""
    from dppa_core.evaluation.lm_eval_harness import Harness  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluation.perplexity import read_text  # noqa: PLC0415
    from dppa_core.evaluation.report import as_json  # noqa: PLC0415
    from dppa_core.evaluation.run import harness_rows, measure, text_rows  # noqa: PLC0415

    # Unreadable inputs are refused before the first model is loaded.
    read = None if wanted.text is None else read_text(wanted.text)
    names = names_in(wanted.lm_eval, "--lm-eval names no task.")
    harness = Harness(names, wanted.folder, wanted.limit) if names else None
    value: dict[str, Any] = {}
    of_split: dict[str, Any] = {"split": wanted.split, "limit": wanted.limit}
    with progress_line() as told:
        if domains and beside:
            value |= as_json(measure(examiner, who, domains, progress=told, **of_split))
        elif domains:
            alone = examiner.evaluation(who[0].target, domains, progress=told, **of_split)
            value |= alone.to_json()
        if read is not None:
            settings: dict[str, Any] = {"window": wanted.window, "stride": wanted.stride}
            value["text"] = text_rows(examiner, who, read, progress=told, **settings)
        if harness is not None:
            value["lm_eval"] = harness_rows(examiner, who, harness, progress=told)
    return value


def _domains(tasks: str | None, split: str) -> list[str]:
    named = names_in(tasks, f"--tasks names no domain. Known: {', '.join(DOMAINS)}.")
    domains = list(dict.fromkeys(named or DOMAINS))
    for domain in domains:  # before a model is loaded
        items(domain, split, 1)
    return domains


def _recipe(target: str) -> MergeRecipe | None:
    """The recipe of a file; None for the reference of a model."""
    path = Path(target)
    if path.suffix in _RECIPES or path.is_file():
        return load_recipe(path)
    if not target.strip():
        raise InvalidValue(f"Name a recipe file or a model, got {shown(target)}.")
    return None
