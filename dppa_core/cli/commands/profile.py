"""`dppa profile`: how far a domain model has moved from its base."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from dppa_core.charts.tables import text_table
from dppa_core.cli.options import FrameOption, JsonFlag, WorkersOption, base_and_model
from dppa_core.cli.output import emit, progress_line
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.system.frames import check_frame_file, write_frame


def profile(
    models: Annotated[
        list[str],
        typer.Argument(metavar="[BASE] MODEL", help="A domain model; its base is zoo:base."),
    ],
    base: Annotated[str | None, typer.Option(hidden=True)] = None,
    workers: WorkersOption = None,
    frame: FrameOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how far every module of a domain model has moved from its base."""
    base, model = base_and_model(models, base)
    check_frame_file(frame)
    with progress_line() as progress:
        measured = cached_profile(base, model, workers=workers, progress=progress)
    if frame is not None:
        write_frame(measured.to_frame(), frame)
    emit(_values(measured), _text(measured), as_json=as_json)


def _values(profile: DeltaProfile) -> dict[str, Any]:
    """Size, zeros, mean |d| and norms of every module."""
    return {
        "base": profile.base,
        "finetuned": profile.finetuned,
        "other_tensors": profile.other_tensors,
        "modules": [
            {
                "name": item.module.name,
                "layer": item.module.layer,
                "kind": item.module.kind,
                "shape": list(item.module.shape),
                "numel": item.numel,
                "nonzero": item.nonzero,
                "mean_magnitude": item.mean,
                "largest_magnitude": float(item.magnitudes[-1]),
                "delta_norm": math.sqrt(item.delta_square),
                "base_norm": math.sqrt(item.base_square),
                "bins": int(item.magnitudes.size),
                "exact": item.exact,
            }
            for item in profile.modules
        ],
    }


def _text(profile: DeltaProfile) -> str:
    rows = [
        [
            item.module.name,
            f"{item.numel:,}",
            f"{1 - item.nonzero / item.numel:.1%}",
            f"{item.mean:.3g}",
            f"{float(item.magnitudes[-1]):.3g}",
            f"{math.sqrt(item.delta_square / item.base_square):.3f}" if item.base_square else "-",
        ]
        for item in profile.modules
    ]
    head = ["module", "elements", "unchanged", "mean |d|", "max |d|", "‖d‖/‖W‖"]
    return (
        f"{profile.finetuned} against {profile.base}\n{text_table(head, rows)}\n"
        f"{profile.other_tensors:,} elements outside the modules"
    )
