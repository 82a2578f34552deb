"""Hooks of MkDocs (mkdocs.yml): the commands' help and the root's documents as pages.

`make docs` runs it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
OF_THE_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
COMMANDS = "<!-- commands -->"
_UP = re.compile(rf"\]\(\.\./((?:\.\./)*(?:{'|'.join(map(re.escape, OF_THE_ROOT))}))")
"""Links of docs/ to a document of the root: on the site it lies in docs/ itself."""


def on_files(files: Files, config: Any) -> Files:
    """Add the root's documents."""
    for name in OF_THE_ROOT:
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the commands, and redirect links to the root's documents to pages."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, commands())
    return _UP.sub(r"](\1", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Show pipes of code in tables as GitHub does, without the backslash in front of them."""
    return re.sub(r"<td.*?</td>", lambda cell: cell[0].replace(r"\|", "|"), html, flags=re.DOTALL)


def commands() -> str:
    """Every command with the text of its `--help`, in the order of `dppa --help`."""
    sys.path.insert(0, str(ROOT))
    from dppa_core.cli.main import app  # noqa: PLC0415  (found after the line above)

    root = typer.main.get_command(app)
    return "\n".join(_sections(root, typer.Context(root, info_name="dppa")))


def _sections(command: Any, context: Any) -> Iterator[str]:
    """One section for a command, or for each command of a group."""
    if not hasattr(command, "commands"):
        yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
        return
    for name, inner in command.commands.items():
        yield from _sections(inner, typer.Context(inner, parent=context, info_name=name))
