"""The command that measures: evaluate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.cli.output import (
    FrameOption,
    ItemsOption,
    JsonFlag,
    MemoryOption,
    ScorerOption,
    domains_in,
    emit,
    names_in,
    progress_line,
)
from dppa_core.evaluation.tables import percent_text, signed_text, text_table
from dppa_core.recipes.recipe_argument import recipe_or_model
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe
from dppa_core.system.frames import check_frame_file, write_frame
from dppa_core.tasks import DOMAINS, KNOWN_DOMAINS, OwnDomain
from dppa_core.tasks import items as items_of
from dppa_core.tasks.own_items import ALL

if TYPE_CHECKING:
    from dppa_core.evaluation.side_by_side import Entrant
    from dppa_core.merging.in_memory.model_pool import ModelPool

_KNOWN = ", ".join(KNOWN_DOMAINS)


def evaluate(
    target: Annotated[
        str, typer.Argument(metavar="RECIPE_OR_MODEL", help="A recipe file, or one model.")
    ],
    against: Annotated[
        Path | None, typer.Option(help="Another recipe, compared with the first item by item.")
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(help="Domains, as math,finance,law; all if neither text nor task is given."),
    ] = None,
    items: ItemsOption = None,
    scorer: ScorerOption = None,
    split: Annotated[str, typer.Option(help="train, search or test; all of --items.")] = "test",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Items per domain; all if unset.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="Perplexity on a text file, in windows that overlap.")
    ] = None,
    window: Annotated[int, typer.Option(min=2, help="Tokens of a window of the text.")] = 512,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Tokens between windows; half of one if unset.")
    ] = None,
    lm_eval: Annotated[
        str | None, typer.Option(help="Tasks of lm-evaluation-harness, as arc_easy,piqa.")
    ] = None,
    lm_eval_tasks: Annotated[
        Path | None,
        typer.Option(help="A folder of task files, in the place of its own; their code runs."),
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Leave out base, models and plain merges.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ignore cached answers.")] = False,
    device_map: Annotated[
        str | None,
        typer.Option(
            help="Spread a model that fits on no device over all, memory and disk, by accelerate: "
            "auto, balanced, balanced_low_0, sequential."
        ),
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="What a spread model computes in: float32, bfloat16, float16.")
    ] = "float32",
    memory: MemoryOption = None,
    frame: FrameOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Score a merge beside its base, its models and plain merges, with 95 % intervals.

    Answers are kept in the cache: no question is asked twice.
    """
    named_recipe = recipe_or_model(target)
    recipe = named_recipe if isinstance(named_recipe, MergeRecipe) else None
    if against is not None and (recipe is None or alone):
        raise typer.BadParameter("--against compares two recipes, side by side")
    if lm_eval_tasks is not None and lm_eval is None:
        raise typer.BadParameter("--lm-eval-tasks is where the tasks of --lm-eval lie")
    more = text is not None or lm_eval is not None
    check_frame_file(frame)
    named = domains_in(tasks, items, scorer, f"--tasks names no domain. Known: {_KNOWN}.")
    domains = [] if more and named is None else _domains(named, split)
    if frame is not None and not domains:
        raise typer.BadParameter("--frame is a table of domains; name some by --tasks or --items")
    beside = recipe is not None and not alone
    from dppa_core.evaluation.entrant_measurements import harness_rows, measure, text_rows  # noqa: PLC0415
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluation.lm_eval_harness import Harness  # noqa: PLC0415
    from dppa_core.evaluation.perplexity import read_text  # noqa: PLC0415
    from dppa_core.evaluation.side_by_side_values import side_by_side_json  # noqa: PLC0415

    # Unreadable inputs are refused before the first model is loaded.
    who = _who(recipe, target, against, beside, domains)
    read = None if text is None else read_text(text)
    names = names_in(lm_eval, "--lm-eval names no task.")
    harness = Harness(names, lm_eval_tasks, limit) if names else None
    examiner = Examiner(_pool(device_map, dtype), fresh=fresh)
    value: dict[str, Any] = {}
    table: Callable[[], Any] | None = None
    of_split: dict[str, Any] = {"split": split, "limit": limit}
    with progress_line() as told:
        if domains and beside:
            side = measure(examiner, who, domains, progress=told, **of_split)
            value |= side_by_side_json(side)
            table = side.to_frame
        elif domains:
            one = examiner.evaluation(who[0].target, domains, progress=told, **of_split)
            value |= one.to_json()
            table = one.to_frame
        if read is not None:
            settings: dict[str, Any] = {"window": window, "stride": stride, "progress": told}
            value["text"] = text_rows(examiner, who, read, **settings)
        if harness is not None:
            value["lm_eval"] = harness_rows(examiner, who, harness, progress=told)
    if frame is not None and table is not None:
        write_frame(table(), frame)
    halves = [_half(one, split) for one in domains if isinstance(one, OwnDomain)]
    emit(value, "\n".join([evaluated_text(value), *halves]), as_json=as_json)


def _half(domain: OwnDomain, split: str) -> str:
    if split == ALL:
        return f"{domain}: all {len(domain.items)} questions, those for searches too."
    part = f"{len(domain.of_split(split))} of {len(domain.items)} questions"
    other = "search" if split == "test" else "test"
    return f"{domain}: {part} are of the {split} split; --split {other} asks the others."


def _who(
    recipe: MergeRecipe | None,
    target: str,
    against: Path | None,
    beside: bool,
    domains: Sequence[str],
) -> tuple[Entrant, ...]:
    from dppa_core.evaluation.side_by_side import Entrant, entrants  # noqa: PLC0415  (imports torch)

    if recipe is not None and beside:
        # As many files as models: one for each, in the recipe's order.
        own = [one for one in domains if isinstance(one, OwnDomain)]
        models = [one.model for one in recipe.models]
        trained_for = dict(zip(models, own, strict=False)) if len(own) == len(models) else {}
        return entrants(recipe, load_recipe(against) if against else None, trained_for)
    return (Entrant("recipe" if recipe else target, Path(target).stem, recipe or target),)


def _pool(device_map: str | None, dtype: str) -> ModelPool | None:
    """The pool of a device map; None for the memory of this process."""
    if device_map is None and dtype == "float32":
        return None
    from dppa_core.merging.in_memory.device_map_pool import SpreadModelPool  # noqa: PLC0415  (only for models that fit on no device)

    return SpreadModelPool(device_map or "auto", dtype)


def _domains(named: Sequence[str] | None, split: str) -> list[str]:
    domains = list(dict.fromkeys(named or DOMAINS))
    for domain in domains:  # before a model is loaded
        items_of(domain, split, 1)
    return domains


def evaluated_text(value: Mapping[str, Any]) -> str:
    """Text of all measurements of one model, or of a recipe and those beside it."""
    parts = []
    if "rows" in value:
        parts.append(beside_text(value))
    elif "domains" in value:
        parts.append(alone_text(value))
    if "text" in value:
        parts.append(_perplexities(value["text"]))
    if "lm_eval" in value:
        parts.append(_harness(value["lm_eval"]))
    return "\n".join(parts)


def alone_text(value: Mapping[str, Any]) -> str:
    """Scores of one model in every domain and task, in per cent."""
    rows = []
    for domain, one in value["domains"].items():
        loss = "" if one["loss"] is None else f"{one['loss']:.3f}"
        rows.append([domain, percent_text(one["accuracy"], one["ci95"]), loss, str(one["n"])])
        rows += [
            [f"  {name}", f"{100 * task['accuracy']:.1f}", "", str(task["n"])]
            for name, task in one["tasks"].items()
        ]
    head = ["domain", "accuracy % (95 % interval)", "loss, nats a token", "items"]
    return f"{value['target']}, {value['split']} split\n{text_table(head, rows)}"


def _perplexities(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per model; bits per byte are comparable between tokenizers."""
    lines = []
    for row in rows:
        found = row["perplexity"]
        low, high = found["ci95"] or (None, None)
        interval = "one window, no interval" if low is None else f"{low:.3f}-{high:.3f}"
        shown = f"{found['value']:.3f} ({interval})"
        lines.append([row["label"], shown, f"{row['bits_per_byte']:.4f}", str(row["tokens"])])
    window, stride, dtype = (rows[0][name] for name in ("window", "stride", "dtype"))
    return (
        f"Perplexity of the text, windows of {window} tokens every {stride}, computed in {dtype}; "
        "95 % bootstrap intervals over windows.\n"
        + text_table(["text", "perplexity", "bits a byte", "tokens"], lines)
    )


def _harness(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        for one in row["results"]:
            low, high = one["ci95"] or (None, None)
            interval = "" if low is None else f" ({low:.4f}-{high:.4f})"
            figure = f"{one['value']:.4f}{interval}"
            lines.append([row["label"], one["task"], one["metric"], figure, str(one["n"])])
    head = ["lm-evaluation-harness", "task", "metric", "value (95 % interval)", "documents"]
    return text_table(head, lines)


def beside_text(value: Mapping[str, Any]) -> str:
    """Tables of accuracy, loss, retention and forgetting, and the comparison."""
    domains, rows = list(value["items"]), value["rows"]
    counts = ", ".join(f"{domain} {n}" for domain, n in value["items"].items())
    parts = [
        f"{value['split']} split, items: {counts}. Accuracy in %, with 95 % Wilson intervals; "
        "last the mean of the domains.",
        text_table(["accuracy", *domains, "mean"], [_accuracies(row) for row in rows]),
        "Loss of the right answers in nats a token, with 95 % bootstrap intervals.",
        text_table(["loss", *domains], [_losses(row) for row in rows]),
        "Retention: accuracy divided by that of the domain's own model, in %, with 95 % "
        "bootstrap intervals; last the geometric mean.",
        text_table(
            ["retention", *domains, "mean"], [_retentions(row) for row in rows if row["recipe"]]
        ),
    ]
    forgot = [row for row in rows if any(cell["forgetting"] for cell in _cells(row))]
    if forgot:
        parts += [
            "Forgetting: accuracy of the base minus the model's own, on domains it was not made "
            "for, in points; below 0 it knows more than the base.",
            text_table(["forgetting", *domains], [_forgettings(row) for row in forgot]),
        ]
    if value["comparison"]:
        parts.append(value["comparison"]["sentence"])
    return "\n".join(parts)


def _cells(row: dict[str, Any]) -> list[dict[str, Any]]:
    return list(row["domains"].values())


def _accuracies(row: dict[str, Any]) -> list[str]:
    cells = [percent_text(cell["accuracy"], cell["ci95"]) for cell in _cells(row)]
    return [row["label"], *cells, percent_text(row["mean"], row["mean_ci95"])]


def _losses(row: dict[str, Any]) -> list[str]:
    figures = [(cell["loss"], *cell["loss_ci95"]) for cell in _cells(row)]
    return [row["label"], *(f"{loss:.3f} ({low:.3f}-{high:.3f})" for loss, low, high in figures)]


def _retentions(row: dict[str, Any]) -> list[str]:
    figures = [*(cell["retention"] for cell in _cells(row)), row["mean_retention"]]
    return [row["label"], *(_figure(one, percent_text) for one in figures)]


def _forgettings(row: dict[str, Any]) -> list[str]:
    return [row["label"], *(_figure(cell["forgetting"], signed_text) for cell in _cells(row))]


def _figure(one: dict[str, Any] | None, text: Callable[[float, Sequence[float]], str]) -> str:
    return text(one["value"], one["ci95"]) if one else "-"
