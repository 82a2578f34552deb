"""`dppa merge`: the models of a recipe, merged into a folder."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.cli.cluster import RayOption
from dppa_core.cli.output import (
    JsonFlag,
    OverwriteFlag,
    RecipeFile,
    WorkersOption,
    emit,
    progress_line,
)
from dppa_core.errors import InvalidValue
from dppa_core.merging.to_folder import MergeReport, merge_to_folder
from dppa_core.merging.to_gguf import check_source, check_target, write_gguf
from dppa_core.methods.registry import get_method
from dppa_core.preflight_checks.estimate import threads_within
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe
from dppa_core.system.byte_sizes import memory_budget, parse_size, use_budget
from dppa_core.system.threads import worker_count


def merge(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The checkpoint folder to make.")],
    backend: Annotated[
        str, typer.Option(help="auto, numba, torch (slow, same bytes) or cuda.")
    ] = "auto",
    gguf: Annotated[
        Path | None, typer.Option(help="Write the merge as this GGUF file, too, for llama.cpp.")
    ] = None,
    overwrite: OverwriteFlag = False,
    shard_size: Annotated[str, typer.Option(help="Largest weight file, as 5GB.")] = "5GB",
    sync: Annotated[bool, typer.Option(help="Wait until the disk has everything.")] = True,
    workers: WorkersOption = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Most memory, as 1GB: fewer threads; the same bytes."),
    ] = None,
    ray: RayOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Merge the models of a recipe into a folder that transformers loads."""
    given = load_recipe(recipe)
    if memory is not None:
        workers = _threads(memory, workers, ray)
    if gguf is not None:
        check_target(gguf, overwrite=overwrite)  # before the long work
        check_source(open_checkpoint(given.base))
    how: dict[str, Any] = {
        "overwrite": overwrite,
        "shard_size": parse_size(shard_size),
        "sync": sync,
    }
    with progress_line() as progress:
        if ray is None:
            how |= {"backend": backend, "workers": workers}
            done = merge_to_folder(given, out, **how, progress=progress)
        else:
            done = _on_cluster(given, out, ray, backend, workers, how | {"progress": progress})
    lines = [
        f"{out}: recipe {done.recipe_hash[:6]} merged in {done.seconds:.1f} s"
        f"{f' into {len(done.files)} files' if len(done.files) > 1 else ''}{_kept(given, done)}",
        f"tokenizer: {done.tokenizer}; chat template: {done.chat_template}; generation config: "
        f"{done.generation_config}",
        f"dtype: {done.dtype}{_rounding(done)}",
        *(f"calibrated: {model} on {text}" for model, text in done.calibration.items()),
        *(f"warning: {warning}" for warning in done.warnings),
    ]
    told = {"folder": str(out), **asdict(done)}
    if gguf is not None:
        told["gguf"] = asdict(write_gguf(out, gguf))
        lines.append(f"{gguf}: {in_bytes(gguf.stat().st_size)} for llama.cpp")
    emit(told, "\n".join(lines), as_json=as_json)


def _threads(memory: str, workers: int | None, ray: str | None) -> int:
    """Threads that fit into the memory."""
    if ray is not None:
        raise typer.BadParameter("--memory is of this machine; a cluster takes --workers")
    use_budget(memory)  # models that rank or weigh by a text
    return threads_within(memory_budget(), worker_count(workers))


def _on_cluster(
    recipe: MergeRecipe, out: Path, ray: str, backend: str, workers: int | None, how: dict[str, Any]
) -> MergeReport:
    """A merge on a Ray cluster; one core per task by default."""
    from dppa_core.merging.cluster.merge import merge_on_cluster  # noqa: PLC0415  (what no other merge needs)

    if backend not in ("auto", "numba"):
        raise InvalidValue(
            f"On a cluster the backend is numba, got {backend}. The bytes are equal."
        )
    with redirect_stdout(sys.stderr):  # Ray prints messages about lost nodes
        return merge_on_cluster(recipe, out, address=ray, threads=workers or 1, **how)


def _rounding(done: MergeReport) -> str:
    """What rounding to the dtype takes of each delta; empty if it takes nothing."""
    lost = ", ".join(f"{share:.2g} of ‖d‖ of {model}" for model, share in done.rounding.items())
    return f"; rounding takes {lost}" if lost else ""


def _kept(recipe: MergeRecipe, done: MergeReport) -> str:
    """What was kept of the deltas; empty if a method combines them whole."""
    combines = get_method(recipe.method).combination is not None
    if combines and all(density == 1 for density in done.densities):
        return ""
    kept = ", ".join(f"{density:.2%}" for density in done.densities)
    return f"; of the deltas {kept} {'went into the combination' if combines else 'kept'}"
