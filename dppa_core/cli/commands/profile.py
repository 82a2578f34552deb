"""`dppa profile`: how far a domain model has moved from its base."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from dppa_core.charts.tables import percent, text_table
from dppa_core.cli.options import FrameOption, JsonFlag, WorkersOption, base_and_model
from dppa_core.cli.output import emit, progress_line
from dppa_core.profiling.delta_spectrum import DeltaSpectrum
from dppa_core.profiling.profile import cached_profile
from dppa_core.profiling.spectrum import cached_spectrum
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
    spectrum: Annotated[
        bool, typer.Option("--spectrum", help="Effective rank of every matrix of the delta.")
    ] = False,
    beside: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="With --spectrum: its overlap with this model's delta."),
    ] = None,
) -> None:
    """Show how far every module of a domain model has moved from its base.

    The effective rank is the number of directions that hold 90 % of a delta's squared singular
    values. The overlap is the mean squared cosine between the leading directions of two deltas, at
    most 32 of each; random directions have that of the column "chance".
    """
    base, model = base_and_model(models, base)
    check_frame_file(frame)
    if beside is not None and not spectrum:
        raise typer.BadParameter("--beside compares spectra: add --spectrum")
    if spectrum:
        with progress_line() as progress:
            spectra = [
                cached_spectrum(base, name, workers=workers, progress=progress)
                for name in (model, *([beside] if beside else []))
            ]
        if frame is not None:
            write_frame(spectra[0].to_frame(*spectra[1:]), frame)
        emit(_spectrum_values(*spectra), _spectrum_text(*spectra), as_json=as_json)
        return
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


def _spectrum_values(spectrum: DeltaSpectrum, other: DeltaSpectrum | None = None) -> dict[str, Any]:
    return {
        "base": spectrum.base,
        "finetuned": spectrum.finetuned,
        "beside": other.finetuned if other else None,
        "modules": spectrum.rows(other),
    }


def _spectrum_text(spectrum: DeltaSpectrum, other: DeltaSpectrum | None = None) -> str:
    head = ["module", "effective rank", "of", "largest σ", "‖d‖"]
    if other:
        head += ["compared", "overlap", "chance"]
    lines = []
    for row in spectrum.rows(other):
        line = [row["module"], str(row["effective_rank"]), str(row["directions"])]
        line += [f"{row['largest']:.3g}", f"{row['norm']:.3g}"]
        if other:
            shares = (row["overlap"], row["chance"])
            line += [str(row["compared"])] + ["-" if x is None else percent(x) for x in shares]
        lines.append(line)
    beside = f"\noverlap with {other.finetuned}" if other else ""
    return f"{spectrum.finetuned} against {spectrum.base}{beside}\n{text_table(head, lines)}"
