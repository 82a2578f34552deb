"""`dppa report`: a merge as one web page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from dppa_core.cli.options import JsonFlag, OverwriteFlag, check_target
from dppa_core.cli.output import emit, progress_line
from dppa_core.errors import InvalidValue
from dppa_core.extras import install_command
from dppa_core.merging.inputs import open_inputs
from dppa_core.merging.plan import plan_merge
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.verify import MergeFolder, read_merge
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.recipes.yaml_text import load_recipe
from dppa_core.system.atomic_folders import replace_file


def report(
    source: Annotated[
        Path, typer.Argument(metavar="RECIPE|FOLDER", help="A recipe file, or a merged folder.")
    ],
    out: Annotated[Path, typer.Option(help="The web page to write, as report.html.")],
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a report of a merge: one web page with numbers, plots, licences, hashes and the recipe.

    A recipe is merged beside OUT for the hashes of its weights, which are then removed.
    """
    try:
        from dppa_core.figures.report import Reported, report_html  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise InvalidValue(
            f"A report needs plotly, which is not installed: {install_command('app')}."
        ) from error
    check_target(out, overwrite=overwrite)
    merged, warnings = _merged(source, out)
    plans = plan_merge(open_inputs(merged.recipe)).plans
    replace_file(out, report_html(Reported(merged.recipe, merged.record, plans, warnings)))
    size = out.stat().st_size
    value = {"out": str(out), "digest": merged.record.digest, "bytes": size}
    emit(value, f"{out}: {in_bytes(size)}", as_json=as_json)


def _merged(source: Path, out: Path) -> tuple[MergeFolder, tuple[str, ...]]:
    """A merged folder's recipe and record, or those of a recipe, and the merge's warnings."""
    if source.is_dir():
        merged = read_merge(source)
        return merged, merged.record.warnings
    recipe = load_recipe(source)
    with (
        tempfile.TemporaryDirectory(prefix=".dppa-report-", dir=out.parent) as folder,
        progress_line() as progress,
    ):
        target = Path(folder) / "merged"
        report = merge_to_folder(recipe, target, sync=False, progress=progress)
        return read_merge(target), report.warnings
