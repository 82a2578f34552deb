"""The command that uploads a merged folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dppa_core.cli.options import JsonFlag
from dppa_core.cli.output import emit, progress_line
from dppa_core.errors import many
from dppa_core.merging.upload import Push, push_folder


def push(
    folder: Annotated[Path, typer.Argument(help="What `dppa merge --out` made.")],
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository to make.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make it private; else as the owner has it.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Add a commit to a repository that is there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, and upload nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Upload a merged folder to the Hub, once everything was checked."""
    with progress_line() as progress:
        upload = push_folder(
            folder, name, private=private, overwrite=overwrite, dry_run=dry_run, progress=progress
        )
    emit(asdict(upload), _text(upload), as_json=as_json)


def _text(upload: Push) -> str:
    size = sum(upload.files.values()) / 1e6
    files = f"{many(len(upload.files), 'file')}, {size:,.1f} MB"
    if not upload.commit:
        lines = [f"{upload.name}: nothing was uploaded; {files} would be"]
        lines += [f"  {nbytes:>14,}  {name}" for name, nbytes in upload.files.items()]
    else:
        new = f"a new {'private ' if upload.private else ''}repository"
        place = new if upload.created else "there"
        lines = [f"{upload.url}: {files}, {place}, commit {upload.commit[:12]}"]
    if upload.removed:
        lines.append(f"  removed there: {', '.join(upload.removed)}")
    return "\n".join([*lines, *(f"note: {note}" for note in upload.notes)])
