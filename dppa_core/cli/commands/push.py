"""The command that uploads a merged folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dppa_core.cli.output import JsonFlag, emit, progress_line
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
        done = push_folder(
            folder, name, private=private, overwrite=overwrite, dry_run=dry_run, progress=progress
        )
    emit(asdict(done), _text(done), as_json=as_json)


def _text(done: Push) -> str:
    size = sum(done.files.values()) / 1e6
    what = f"{many(len(done.files), 'file')}, {size:,.1f} MB"
    if not done.commit:
        lines = [f"{done.name}: nothing was uploaded; {what} would be"]
        lines += [f"  {bytes_:>14,}  {file}" for file, bytes_ in done.files.items()]
    else:
        place = f"a new {'private ' if done.private else ''}repository" if done.created else "there"
        lines = [f"{done.url}: {what}, {place}, commit {done.commit[:12]}"]
    if done.removed:
        lines.append(f"  removed there: {', '.join(done.removed)}")
    return "\n".join([*lines, *(f"note: {note}" for note in done.notes)])
