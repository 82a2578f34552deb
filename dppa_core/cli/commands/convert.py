"""The command convert: any model that can be read, as safetensors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dppa_core.cli.options import JsonFlag, OverwriteFlag
from dppa_core.cli.output import emit, progress_line
from dppa_core.merging.convert import convert_to_folder
from dppa_core.system.byte_sizes import parse_size


def convert(
    model: Annotated[
        str, typer.Argument(help="A folder, owner/name, zoo:NAME, MODEL+ADAPTER, MODEL+PACK.")
    ],
    out: Annotated[Path, typer.Option(help="The checkpoint folder to make.")],
    dtype: Annotated[
        str | None, typer.Option(help="bfloat16, float16 or float32; unset, each keeps its own.")
    ] = None,
    overwrite: OverwriteFlag = False,
    shard_size: Annotated[str, typer.Option(help="Largest weight file, as 5GB.")] = "5GB",
    sync: Annotated[bool, typer.Option(help="Wait until the disk has everything.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Write a model as a folder of safetensors: PyTorch's .bin files, or a base with an adapter."""
    with progress_line() as progress:
        report = convert_to_folder(
            model,
            out,
            dtype=dtype,
            overwrite=overwrite,
            shard_size=parse_size(shard_size),
            sync=sync,
            progress=progress,
        )
    files = f" in {len(report.files)} files" if len(report.files) > 1 else ""
    lines = [
        f"{out}: {report.tensors} tensors, {report.parameters} parameters of {report.source} as "
        f"{', '.join(report.dtypes)}{files}",
        *report.notes,
    ]
    emit({"folder": str(out), **asdict(report)}, "\n".join(lines), as_json=as_json)
