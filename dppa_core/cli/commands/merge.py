"""`dppa merge`: the models of a recipe, merged into a folder."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.cli.cluster import RayOption
from dppa_core.cli.options import (
    JsonFlag,
    OverwriteFlag,
    RecipeFile,
    WorkersOption,
    dataclass_command,
)
from dppa_core.cli.output import emit, progress_line
from dppa_core.cli.stages import stages_of, with_stages
from dppa_core.errors import InvalidRecipe, InvalidValue
from dppa_core.merging.cluster.batch import join_parts, merge_part
from dppa_core.merging.to_folder import MergeReport, merge_to_folder
from dppa_core.merging.to_gguf import check_source, check_target, write_gguf
from dppa_core.methods.registry import get_method
from dppa_core.preflight_checks.estimate import held_memory, threads_within
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe
from dppa_core.system.byte_sizes import memory_budget, parse_size, use_budget
from dppa_core.system.threads import worker_count


@dataclass(frozen=True)
class MergeOptions:
    """The options of `dppa merge`."""

    recipe: RecipeFile
    out: Annotated[Path, typer.Option(help="The checkpoint folder to make.")]
    backend: Annotated[str, typer.Option(help="auto, numba, torch (slow, same bytes) or cuda.")] = (
        "auto"
    )
    format: Annotated[
        Literal["plain", "same"],
        typer.Option(help="same: the low-bit format of the base, or of the first model in one."),
    ] = "plain"
    gguf: Annotated[
        Path | None, typer.Option(help="Write the merge as this GGUF file, too, for llama.cpp.")
    ] = None
    overwrite: OverwriteFlag = False
    shard_size: Annotated[str, typer.Option(help="Largest weight file, as 5GB.")] = "5GB"
    sync: Annotated[bool, typer.Option(help="Wait until the disk has everything.")] = True
    workers: WorkersOption = None
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Most memory, as 1GB: fewer threads; the same bytes."),
    ] = None
    ray: RayOption = None
    part: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Write only part I of N of the weight files, beside the folder; join makes it.",
        ),
    ] = None
    as_json: JsonFlag = False


@dataclass_command
def merge(options: MergeOptions) -> None:
    """Merge the models of a recipe into a folder of weights, config and tokenizer.

    A model may be the file of an earlier recipe: it is merged first, into a folder beside it.
    """
    if options.format == "same" and options.gguf is not None:
        raise typer.BadParameter("--format same does not go with --gguf")
    recipe, workers = load_recipe(options.recipe), _workers(options)
    out, gguf = options.out, options.gguf
    part = _part(options)
    if part is not None:
        _write_part(options, recipe, part)
        return
    if gguf is not None:
        check_target(gguf, overwrite=options.overwrite)  # before the long work
        check_source(open_checkpoint(recipe.base))
    settings: dict[str, Any] = {
        "overwrite": options.overwrite,
        "shard_size": parse_size(options.shard_size),
        "sync": options.sync,
    }
    with progress_line() as progress:
        settings["progress"] = progress
        recipe = with_stages(recipe, **settings | {"overwrite": False, "workers": workers})
        workers = _workers(options, recipe)
        settings["same_format"] = options.format == "same"
        if options.ray is None:
            settings |= {"backend": options.backend, "workers": workers}
            if options.part:
                report = join_parts(recipe, out, **settings)
            else:
                report = merge_to_folder(recipe, out, **settings)
        else:
            cluster = {"address": options.ray, "threads": workers or 1}
            report = _on_cluster(recipe, out, options.backend, settings | cluster)
    lines = _report_lines(recipe, out, report)
    value = {"folder": str(out), **asdict(report)}
    if gguf is not None:
        value["gguf"] = asdict(write_gguf(out, gguf))
        lines.append(f"{gguf}: {in_bytes(gguf.stat().st_size)} for llama.cpp")
    emit(value, "\n".join(lines), as_json=options.as_json)


def _part(options: MergeOptions) -> tuple[int, int] | None:
    """Part and number of parts; None for the whole merge, or the joining of its parts."""
    if options.part is None:
        return None
    if options.ray is not None:
        raise typer.BadParameter("--part is for jobs without a cluster; leave out --ray")
    if options.part == "join":
        return None
    numbers = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", options.part)
    if numbers is None:
        raise typer.BadParameter(f"--part takes I/N, as 2/8, or join; got {options.part!r}")
    if options.gguf is not None:
        raise typer.BadParameter("--gguf needs the whole merge: give it with --part join")
    return int(numbers[1]), int(numbers[2])


def _write_part(options: MergeOptions, recipe: MergeRecipe, part: tuple[int, int]) -> None:
    for stage in stages_of(recipe):
        raise InvalidRecipe(f"{stage}: merge this earlier recipe first, and name its folder.")
    with progress_line() as progress:
        about = merge_part(
            *(recipe, options.out, *part),
            overwrite=options.overwrite,
            shard_size=parse_size(options.shard_size),
            backend=options.backend,
            same_format=options.format == "same",
            workers=_workers(options, recipe),
            progress=progress,
        )
    text = (
        f"{options.out}: part {part[0]} of {part[1]}: {about.files} of {about.of} weight files, "
        f"{about.written} written now. When all parts are done: --part join"
    )
    lines = [text, *(f"warning: {warning}" for warning in about.warnings)]
    emit(asdict(about), "\n".join(lines), as_json=options.as_json)


def _workers(options: MergeOptions, recipe: MergeRecipe | None = None) -> int | None:
    """Threads of a merge; as many as fit into the memory, if it is limited.

    Args:
        recipe: Its stages are merged; None for one whose sums are float32.
    """
    if options.memory is None:
        return options.workers
    if options.ray is not None:
        raise typer.BadParameter("--memory is of this machine; a cluster takes --workers")
    use_budget(options.memory)  # models that rank or weigh by a text
    held = partial(_held_memory, recipe, options.format == "same")
    return threads_within(memory_budget(), worker_count(options.workers), held)


def _held_memory(recipe: MergeRecipe | None, folds: bool, workers: int) -> int:
    """Bytes of the whole tensors of a merge; a recipe of stages holds none that are counted."""
    if recipe is None:
        return 0
    base, rounds = open_checkpoint(recipe.base), recipe.arithmetic != "float32"
    shapes, how = {n: base.shape(n) for n in base.names()}, {"rounds": rounds, "folds": folds}
    return held_memory(recipe.method, len(recipe.models), shapes, workers, **how)


def _on_cluster(
    recipe: MergeRecipe, out: Path, backend: str, settings: dict[str, Any]
) -> MergeReport:
    """A merge on a Ray cluster; one core per task by default."""
    from dppa_core.merging.cluster.merge import merge_on_cluster  # noqa: PLC0415  (what no other merge needs)

    if backend not in ("auto", "numba"):
        raise InvalidValue(
            f"On a cluster the backend is numba, got {backend}. The bytes are equal."
        )
    with redirect_stdout(sys.stderr):  # Ray prints messages about lost nodes
        return merge_on_cluster(recipe, out, **settings)


def _report_lines(recipe: MergeRecipe, out: Path, report: MergeReport) -> list[str]:
    files = f" into {len(report.files)} files" if len(report.files) > 1 else ""
    return [
        f"{out}: recipe {report.recipe_hash[:6]} merged in {report.seconds:.1f} s{files}"
        f"{_kept(recipe, report)}",
        f"tokenizer: {report.tokenizer}; chat template: {report.chat_template}; generation config: "
        f"{report.generation_config}",
        _numbers(out, report),
        *(f"calibrated: {model} on {text}" for model, text in report.calibration.items()),
        *(f"warning: {warning}" for warning in report.warnings),
    ]


def _numbers(out: Path, report: MergeReport) -> str:
    """The number format of the weights, their bytes, and what rounding to it took."""
    rounded, lost = report.requantised, ""
    formats = report.dtype if rounded is None else f"{rounded.format}, beside it {report.dtype}"
    if rounded is not None:
        worst = max(rounded.tensors, key=rounded.tensors.__getitem__)
        share, added = rounded.tensors[worst], rounded.of_added
        lost = f"; rounding took {rounded.error:.2g} of ‖W‖ (most of {worst}, {share:.2g})"
        lost += "" if added is None else f", {added:.2g} of what the merge adds"
    elif report.rounding is not None:
        lost = f"; rounding takes {report.rounding:.2g} of whole deltas, in a sample"
    size = sum((out / file).stat().st_size for file in report.files)
    others = [title for title in report.low_bit if rounded is None or title != rounded.format]
    read = f", from {', '.join(others)}" if others else ""
    return f"dtype: {formats}{read}, {in_bytes(size)}{lost}"


def _kept(recipe: MergeRecipe, report: MergeReport) -> str:
    """Share of the deltas that was kept; empty if a method combines them whole."""
    combines = get_method(recipe.method).combination is not None
    if combines and all(density == 1 for density in report.densities):
        return ""
    kept = ", ".join(f"{density:.2%}" for density in report.densities)
    return f"; of the deltas {kept} {'went into the combination' if combines else 'kept'}"
