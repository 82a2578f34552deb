"""Options that commands share, the recipes and domains in them, and commands with a dataclass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from dppa_core.checkpoints.sources.zoo import own_base
from dppa_core.errors import InvalidValue
from dppa_core.system.atomic_folders import check_file
from dppa_core.system.byte_sizes import use_budget
from dppa_core.tasks.item_files import own_domain

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file (YAML).")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]
OverwriteFlag = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Threads; every core if unset. The result is the same.")
]
TasksOption = Annotated[
    str | None,
    typer.Option(help="The domain of each model, as math,finance,law; their own if unset."),
]
ItemsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]FILE",
        help="Questions of your own, JSON lines or CSV (docs/guides/own-questions.md); one file "
        "for each domain. --tasks may name it.",
    ),
]
ScorerOption = Annotated[
    str | None,
    typer.Option(
        help="Of --items that declare none: exact, number, contains. If unset: choice "
        "for choices, number for a number, with a unit or not, else exact."
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory for models, as 12GB; half of what is free if unset. A larger model is spread: "
        "GPU, memory, disk.",
        callback=use_budget,
    ),
]
FrameOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a table too: a .csv or .parquet file."),
]
Options = TypeVar("Options")


def dataclass_command(run: Callable[[Options], None]) -> Callable[..., None]:
    """A function for Typer that takes the fields of a dataclass, and calls `run` with the object.

    Args:
        run: The command; its one parameter, `options`, is annotated with the dataclass, whose
            fields are annotated as Typer's parameters.
    """
    options = get_type_hints(run)["options"]

    @wraps(run)
    def command(**values: Any) -> None:
        run(options(**values))

    command.__signature__ = signature(options, eval_str=True)  # type: ignore[attr-defined]
    command.__annotations__ = {}
    return command


def recipe_or_models(
    words: Sequence[str] | None, recipe: Path | None = None
) -> tuple[Path | None, tuple[str, ...]]:
    """The recipe file that arguments name, or the references of models.

    Args:
        words: RECIPE, or references.
        recipe: The older option --recipe.
    """
    names = tuple(words or ())
    if len(names) == 1 and recipe is None:
        path = Path(names[0])
        if _is_recipe(path) or path.is_file():
            return path, ()
    for name in names:
        if _is_recipe(Path(name)):
            raise typer.BadParameter(f"give one recipe ({name}), or models, not both")
    return recipe, names


def _is_recipe(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml")


def base_and_model(names: Sequence[str], base: str | None) -> tuple[str, str]:
    """Base and model of `[BASE] MODEL`, or of MODEL with the older option --base; the base that it
    was shipped for if none is named."""
    pair = [*([base] if base is not None else []), *names]
    if not names or len(pair) > 2:
        raise typer.BadParameter("give RECIPE, or [BASE] MODEL")
    return (pair[0], pair[1]) if len(pair) == 2 else (own_base(pair[0]), pair[0])


NO_DOMAIN = "--tasks names no domain. Without --tasks the models' own are taken."


def names_in(text: str | None, nothing: str = NO_DOMAIN) -> list[str] | None:
    """Names separated by commas; None if unset. Raises InvalidValue(nothing) without any."""
    names = None if text is None else [name.strip() for name in text.split(",") if name.strip()]
    if names is not None and not names:
        raise InvalidValue(nothing)
    return names


def domains_in(
    tasks: str | None,
    files: Sequence[str] | None = None,
    scorer: str | None = None,
    nothing: str = NO_DOMAIN,
) -> list[str] | None:
    """Domains of --tasks, and of --items behind them unless they are named there; None if unset."""
    names = names_in(tasks, nothing)
    if scorer is not None and not files:
        raise InvalidValue("--scorer says how --items are scored; name a file of them.")
    domains = [own_domain(file, scorer) for file in files or ()]
    if len(set(domains)) < len(domains):
        raise InvalidValue(
            f"--items: two files have the name {max(domains, key=domains.count)}. Name one: "
            "--items other=FILE."
        )
    if not domains:
        return names
    by_name = {str(domain): domain for domain in domains}
    listed = [by_name.get(name, name) for name in names or ()]
    return [*listed, *(domain for domain in domains if domain not in listed)]


def check_target(out: Path, *, overwrite: bool) -> None:
    """Raise InvalidValue before any work if the file is there, or cannot be written."""
    if out.exists() and not overwrite:
        raise InvalidValue(f"{out}: already exists. --overwrite replaces it.")
    check_file(out)


def check_plot(path: Path | None) -> None:
    """Refuse a drawing in another format than SVG."""
    if path is not None and path.suffix.lower() != ".svg":
        raise typer.BadParameter(f"--plot draws SVG: name a file that ends with .svg, not {path}")
