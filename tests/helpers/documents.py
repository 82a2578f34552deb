"""The code blocks of README and docs/start, docs/guides, in order.

`tests/test_readme.py` runs the blocks.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n+)?"
    r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One block of code."""

    language: str
    text: str
    title: str | None = None
    """The file it shows, relative to where the commands are run."""
    reason: str | None = None
    """Why it is not run."""


def pages() -> list[Path]:
    """The pages: README, Start and Guides."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("start/*.md"))] + sorted(
        (ROOT / "docs").glob("guides/*.md")
    )


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    matches = FENCE.finditer(page.read_text("utf-8"))
    return [Block(m["language"], m["text"], m["title"], m["reason"]) for m in matches]


def words(page: Path) -> int:
    """The words of a page, without its front matter and its blocks of code."""
    text = re.sub(r"\A---\n.*?\n---\n", "", page.read_text("utf-8"), flags=re.DOTALL)
    return len(re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE).split())
