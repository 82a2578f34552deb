"""Every sentence a visitor can read, where it is written: scripts, components, lessons, pages.

What code fills in (`{...}` of Python and of JavaScript, a lesson's `=block.figure`) reads as {}.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lab.scripts.measured_results import ROOT

OF_CORE = ("methods", "evaluation", "figures", "tuning/advice", "tuning/search", "studies/teaching")
"""Parts of dppa_core whose words the page shows."""
PAGES = (
    *("README.md", "docs/index.md", "docs/start/*.md"),
    *(f"docs/guides/{name}.md" for name in ("tune-by-eye", "score", "search", "coefficients")),
)
END = re.compile(r"(?<=[.!?:;])[*”\"]*\s+(?=[A-Z*`\[\"“{])")
IN_SCRIPT = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
RESULT = re.compile(
    r"\d[\s\u202f]?%|\bpoints\b|\bof (?:the )?\d+\b|± ?\d|\d M param"
    r"|\b\d+ (?:models|methods|questions|items|million)\b"
    r"|\b(?:better|worse|beats?|outperforms?|loses?|gains?|wins?|stands at|significant(?:ly)?)\b"
    r"|\b(?:keeps?|kept) (?:more|less|most|least|nearly|about|fewer)\b|\branks (?!the)",
    re.IGNORECASE,
)
"""May state a result: a share, points, a count of what was measured, a comparison."""


@cache
def stated() -> dict[str, tuple[str, ...]]:
    """Path -> its sentences that may state a result."""
    found = {path: tuple(sorted(set(_stated(path)))) for path in _paths()}
    return {path: sentences for path, sentences in found.items() if sentences}


def _paths() -> Iterator[str]:
    folders = ["components/**/*.py", *(f"dppa_core/{part}/**/*.py" for part in OF_CORE)]
    places = ["assets/js/**/*.js", "assets/data/*.yaml", "assets/lessons/*.md", *folders, *PAGES]
    for place in places:
        yield from sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(place))


def _stated(path: str) -> Iterator[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    read = {".py": _of_python, ".js": _of_script, ".yaml": _of_yaml, ".md": _of_page}
    for piece in read[Path(path).suffix](text):
        plain = re.sub(r"<[^>]+>|\\u20(?:09|2f)", " ", piece)
        for sentence in END.split(" ".join(plain.split())):
            told = re.sub(r"95.{0,3}%\W+intervals?", "", sentence)
            if len(sentence.split()) >= 4 and RESULT.search(told):
                yield sentence.strip(' *"”')


def _of_python(text: str) -> Iterator[str]:
    nodes = list(ast.walk(ast.parse(text)))
    whole = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    left_out = {id(part) for one in whole for part in ast.walk(one) if part is not one}
    left_out |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    for node in nodes:
        if id(node) in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _of_script(text: str) -> Iterator[str]:
    for match in IN_SCRIPT.finditer(re.sub(r"(?m)(?:^|\s)//.*$|/\*\*.*?\*/", "", text)):
        written = match.group(1) or match.group(2) or ""
        while written != (written := re.sub(r"\$?\{[^${}]+\}", "{}", written, count=1)):
            pass
        yield written.replace("${}", "{}")


def _of_yaml(text: str) -> Iterator[str]:
    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            for one in value.values() if isinstance(value, dict) else value:
                yield from strings(one)

    yield from strings(yaml.safe_load(text))


def _of_page(text: str) -> Iterator[str]:
    """Paragraphs, items and rows, without front matter, code, blocks and addresses."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"```(?!try|quiz).*?```", "\n\n", text, flags=re.DOTALL)
    text = re.sub(r"`=[^`]*`", "{}", text)
    text = re.sub(r"(?<=\])\([^)]*\)|```(?:try|quiz)?|\n {4}right: true", "", text)
    yield from re.split(r"\n\s*\n|\n(?=\s*(?:- |why:|ask:|choices:|\|))|\n---\n", text)
