"""Hooks of MkDocs (mkdocs.yml): the commands' help, pages from outside docs/, the app's colours.

`make docs` runs it. The root's documents and the laboratory's lie on the site where they lie in
the repository, and docs/ is the site's root; links between them are written for the repository.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import typer
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
OF_THE_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LABORATORY = "lab/docs"
FIRST = "findings.md"
"""The page of the laboratory that a reader wants first."""
COMMANDS = "<!-- commands -->"
COLOURS = "palette.css"
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
_LIGHT = re.compile(r"(!\[[^\]]*\]\([^)]*-)light\.png\)")
"""A picture of the page, which has a dark one beside it."""
_LIVING = re.compile(r"!\[([^\]]*)\]\(([^)]*?living-(\w+)-)light\.png\)")
"""A picture of a living figure, which docs/scripts/living.js puts in its place."""
_FENCE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)


def on_config(config: Any) -> Any:
    """List the laboratory's pages in the menu."""
    section = {"Laboratory": _laboratory()}
    config.nav = [section if "Laboratory" in item else item for item in config.nav]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the documents of the root and of the laboratory, its plots, and the app's colours."""
    for name in (*OF_THE_ROOT, *_laboratory()):
        files.append(File.generated(config, name, content=(ROOT / name).read_text("utf-8")))
    for plot in sorted((ROOT / LABORATORY).rglob("*.svg")):
        name = plot.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(plot)))
    files.append(File.generated(config, COLOURS, content=colours()))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Fill in the commands, and make links of the repository those of the site."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, commands())
    parts = _FENCE.split(markdown)  # blocks of code at odd places
    source = page.file.src_uri
    if source == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    if source.startswith(("start/", "guides/")):  # what to do comes before the details
        page.meta["search"] = {"boost": 2}
    elif source in OF_THE_ROOT or source.startswith("lab/"):
        page.meta["search"] = {"boost": 0.5}
    parts[::2] = [_LINK.sub(lambda m: _site_link(m, source, files), part) for part in parts[::2]]
    parts[::2] = [_LIVING.sub(_figure, part) for part in parts[::2]]
    return _LIGHT.sub(r"\1light.png#only-light)\1dark.png#only-dark)", "".join(parts))


def on_page_content(html: str, **_: Any) -> str:
    """Show pipes of code in tables as GitHub does, without the backslash in front of them."""
    return re.sub(r"<td.*?</td>", lambda cell: cell[0].replace(r"\|", "|"), html, flags=re.DOTALL)


def on_post_build(config: Any) -> None:
    """Write the living figures into the site."""
    sys.path.insert(0, str(ROOT))
    from components.server.living import write_living  # noqa: PLC0415  (found after the line above)
    from components.work.studio import Studio  # noqa: PLC0415

    studio = Studio(public=True)
    write_living(Path(config.site_dir) / "living", studio)
    studio.close()


def _figure(picture: re.Match[str]) -> str:
    """A picture in both themes, with the address of the figure that it shows."""
    sys.path.insert(0, str(ROOT))
    from scripts.living import FIGURES  # noqa: PLC0415  (found after the line above)

    about, path, name = picture.groups()
    images = "".join(
        f'<img src="{path}{theme}.png#only-{theme}" alt="{escape(about)}">'
        for theme in ("light", "dark")
    )
    return f'<figure class="living" data-figure="{escape(FIGURES[name])}">{images}</figure>'


def commands() -> str:
    """Every command with the text of its `--help`, in the order of `dppa --help`."""
    sys.path.insert(0, str(ROOT))
    from dppa_core.cli.main import app  # noqa: PLC0415  (found after the line above)

    root = typer.main.get_command(app)
    return "\n".join(_sections(root, typer.Context(root, info_name="dppa")))


def colours() -> str:
    """The app's palette as variables of the site's two themes."""
    theme = (ROOT / "components/widgets/theme.py").read_text("utf-8")
    palette = next(
        ast.literal_eval(line.value)
        for line in ast.parse(theme).body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "PALETTE"
    )
    themes = {"default": 0, "slate": 1}
    return "".join(
        f'[data-md-color-scheme="{theme}"]{{'
        + "".join(f"--d-{name}:{pair[side]};" for name, pair in palette.items())
        + "}\n"
        for theme, side in themes.items()
    )


def _laboratory() -> list[str]:
    """The laboratory's pages: the findings, the others by name, then how to work there."""
    pages = sorted((ROOT / LABORATORY).glob("*.md"), key=lambda page: (page.name != FIRST, page))
    return [page.relative_to(ROOT).as_posix() for page in pages] + ["lab/README.md"]


def _site_link(link: re.Match[str], source: str, files: Files) -> str:
    """The link on the site; its text alone if the site does not show the file it leads to."""
    text, aim, anchor = link.groups()
    of_docs = source not in OF_THE_ROOT and not source.startswith("lab/")
    page = f"docs/{source}" if of_docs else source
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), aim))
    if files.get_file_from_path(path.removeprefix("docs/")) is None:
        return text[1:-1] if (ROOT / path).exists() else link[0]  # MkDocs reports what is nowhere
    aim = posixpath.relpath(path.removeprefix("docs/"), posixpath.dirname(source) or ".")
    return f"{text}({aim}{anchor or ''})"


def _sections(command: Any, context: Any) -> Iterator[str]:
    """One section for a command, or for each command of a group."""
    if not hasattr(command, "commands"):
        yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
        return
    for name, inner in command.commands.items():
        yield from _sections(inner, typer.Context(inner, parent=context, info_name=name))
