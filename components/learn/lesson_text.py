"""Reads a lesson: Markdown with front matter, named blocks, quizzes and exercises.
docs/development.md describes the form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

import yaml
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from dppa_core.errors import InvalidValue, shown

from .blocks.quiz import Quiz, read_quiz

_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_FIGURE = re.compile(r"=\s*([\w-]+)\.([\w-]+)\s*(?:\|\s*(\w+)\s*)?")
_PERCENT = re.compile(r"(?<=\d) %")
"""Keeps a number and its % in one line."""
_NAME = re.compile(r"[a-z][a-z0-9-]*")
FORMATS = ("three", "percent", "percent1", "percent2", "count", "times", "points", "text")
"""Names of number formats; assets/js/learn/frame.js defines them."""
FRONT_KEYS = {"title", "about", "part", "sources"}
SOURCE_KEYS = {"title", "arxiv", "url", "section"}
NOTICE_LINE = "\n---\n"
_TAG = re.compile(r"<[^>]*>")
WORDS_PER_MINUTE, ACTIONS_PER_MINUTE, PLOTS_PER_MINUTE = 200, 4, 2
STEPS = {"by-hand": 8, "break-it": 7, "playground": 6}
"""Steps of blocks that have several: each is a plot and an action."""


@dataclass(frozen=True, slots=True)
class Prose:
    """Text, as safe HTML."""

    html: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A block at its position in the lesson."""

    name: str
    arguments: Mapping[str, Any]
    seen: bool = True
    """False if it only computes numbers for the text."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An exercise, and the observation expected of it."""

    html: str
    notice: str


Segment = Prose | Placed | Attempt | Quiz


@dataclass(frozen=True, slots=True)
class Lesson:
    """One lesson, ready to be shown."""

    name: str
    """File name without number and suffix; used in addresses."""
    title: str
    about: str
    """One sentence for the list."""
    part: str
    """Its section in the list."""
    sources: tuple[Mapping[str, str], ...]
    segments: tuple[Segment, ...]

    @property
    def blocks(self) -> tuple[Placed, ...]:
        """Its blocks, in their order."""
        return tuple(part for part in self.segments if isinstance(part, Placed))

    @property
    def quizzes(self) -> tuple[Quiz, ...]:
        """Its questions, in their order."""
        return tuple(part for part in self.segments if isinstance(part, Quiz))

    @property
    def words(self) -> int:
        """Words of its text, exercises and questions."""
        texts = (text for part in self.segments for text in _texts(part))
        return sum(len(_TAG.sub("", text).split()) for text in texts)

    @property
    def minutes(self) -> float:
        """The time it takes: all words, exercises and questions, and a look at each plot."""
        plots = sum(STEPS.get(block.name, 1) for block in self.blocks if block.seen)
        actions = sum(STEPS.get(block.name, 0) for block in self.blocks)
        actions += sum(isinstance(part, Attempt | Quiz) for part in self.segments)
        reading = self.words / WORDS_PER_MINUTE
        return reading + actions / ACTIONS_PER_MINUTE + plots / PLOTS_PER_MINUTE


def _texts(part: Segment) -> list[str]:
    """All that is read in a part of a lesson, as HTML."""
    if isinstance(part, Attempt):
        return [part.html, part.notice]
    if isinstance(part, Quiz):
        return [part.html, *(text for choice in part.choices for text in (choice.html, choice.why))]
    return [part.html] if isinstance(part, Prose) else []


class _Links(RendererHTML):
    """Renders terms as buttons, numbers as placeholders, other links into a new window."""

    def text(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return escapeHtml(_PERCENT.sub("\u202f%", tokens[idx].content))

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        address = str(tokens[idx].attrGet("href"))
        if address.startswith("term:"):
            term = unquote(address[5:]).replace("-", " ")
            return f'<button type="button" class="term" data-term="{escapeHtml(term)}">'
        if address.startswith("lesson:"):
            return f'<a href="?learn={address[7:]}" data-lesson="{address[7:]}">'
        tokens[idx].attrSet("target", "_blank")
        tokens[idx].attrSet("rel", "noopener noreferrer")
        return self.renderToken(tokens, idx, options, env)

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        depth = 0
        for token in reversed(tokens[:idx]):
            depth += {"link_close": 1, "link_open": -1}.get(token.type, 0)
            if depth < 0:
                return "</button>" if str(token.attrGet("href")).startswith("term:") else "</a>"
        return "</a>"

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        text = tokens[idx].content
        if not text.startswith("="):
            return super().code_inline(tokens, idx, options, env)
        figure = _FIGURE.fullmatch(text)
        style = (figure[3] or "three") if figure else ""
        if not figure or style not in FORMATS:
            raise InvalidValue(
                f"A number in the text is written `=BLOCK.KEY|FORMAT`, FORMAT one of "
                f"{', '.join(FORMATS)}; got {shown(text)}."
            )
        env["figures"].append((figure[1], figure[2]))
        attributes = f'data-figure="{figure[1]}.{figure[2]}" data-as="{style}"'
        return f'<span class="figure" {attributes}>computing…</span>'


@cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "typographer": False}, renderer_cls=_Links)
    is_safe = reader.validateLink
    reader.validateLink = lambda url: url.startswith(("term:", "lesson:")) or is_safe(url)  # type: ignore[method-assign]
    return reader.enable("table")


def read_lesson(name: str, text: str) -> Lesson:
    """Read one lesson: front matter and Markdown; `name` is its name in addresses. Raises
    InvalidValue, which names the lesson, if any part is malformed."""
    try:
        return _read(name, text.replace("\r\n", "\n"))
    except InvalidValue as error:
        raise InvalidValue(f"Lesson {name}: {error}") from None


def read_questions(text: str) -> tuple[Quiz, ...]:
    """Read a list of quizzes in YAML; raises InvalidValue if it is malformed."""
    return tuple(
        read_quiz(_mapping(quiz, "a quiz"), _inline({"figures": []}), f"question {position}")
        for position, quiz in enumerate(yaml.safe_load(text), 1)
    )


def _inline(env: dict[str, Any]) -> Callable[[str], str]:
    """Turns Markdown of one line into safe HTML."""
    return lambda text: str(_reader().renderInline(text, env)).strip()


def _read(name: str, text: str) -> Lesson:
    if not _NAME.fullmatch(name):
        raise InvalidValue("its name is small letters, digits and dashes.")
    match = _FRONT.match(text)
    if not match:
        raise InvalidValue("it begins with front matter between two lines of ---.")
    front = _yaml_mapping(match[1], "the front matter")
    unknown, missing = front.keys() - FRONT_KEYS, FRONT_KEYS - front.keys()
    if unknown or missing:
        raise InvalidValue(f"front matter: unknown {sorted(unknown)}, missing {sorted(missing)}.")
    env: dict[str, Any] = {"figures": []}
    segments = tuple(_segments(env, text[match.end() :]))
    lesson = Lesson(
        name=name,
        title=str(front["title"]),
        about=str(front["about"]),
        part=str(front["part"]),
        sources=tuple(map(_source, front["sources"] or ())),
        segments=segments,
    )
    names = {block.name for block in lesson.blocks}
    for block, key in env["figures"]:
        if block not in names:
            raise InvalidValue(f"the number {block}.{key} has no such block above it.")
    if len(names) < len(lesson.blocks):
        raise InvalidValue("a block is in it twice; each name may occur once.")
    return lesson


def _segments(env: dict[str, Any], text: str) -> list[Segment]:
    """The parts of a lesson; the (block, key) of each number is added to `env`."""
    reader, segments = _reader(), list[Segment]()
    prose: list[Token] = []

    def flush() -> None:
        if prose:
            html = reader.renderer.render(prose, reader.options, env)
            segments.append(Prose(str(html).strip()))
            prose.clear()

    for token in reader.parse(text, env):
        special = _special(env, token) if token.type == "fence" else None
        if special is None:
            prose.append(token)
        else:
            flush()
            segments.append(special)
    flush()
    return segments


def _special(env: dict[str, Any], token: Token) -> Segment | None:
    """The block, quiz or exercise of a fence; None for code."""
    kind, _, name = token.info.strip().partition(" ")
    position = f"line {(token.map or [0])[0] + 1} after the front matter"
    if kind in ("block", "numbers"):
        if not _NAME.fullmatch(name):
            raise InvalidValue(f"{position}: a block is written ```{kind} NAME, got {shown(name)}.")
        return Placed(name, _arguments(token.content, name), kind == "block")
    if kind == "quiz":
        quiz = _yaml_mapping(token.content, position)
        return read_quiz(quiz, _inline(env), position)
    if kind == "try":
        task, line, notice = token.content.partition(NOTICE_LINE)
        if not line:
            raise InvalidValue(f"{position}: a line --- separates what to do from what to notice.")
        return Attempt(*(str(_reader().render(part, env)).strip() for part in (task, notice)))
    return None


def _arguments(text: str, name: str) -> Mapping[str, Any]:
    try:
        arguments = json.loads(text or "{}")
    except ValueError as error:
        raise InvalidValue(f"block {name}: its arguments are JSON; {error}.") from None
    return _mapping(arguments, f"the arguments of block {name}")


def _yaml_mapping(text: str, source: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidValue(f"{source} is not YAML: {error}") from None
    return _mapping(value, source)


def _mapping(value: object, source: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValue(f"{source} must be a mapping, got {shown(value)}.")
    return value


def _source(value: object) -> Mapping[str, str]:
    source = _mapping(value, "a source")
    if not {"title"} <= source.keys() <= SOURCE_KEYS or not {"arxiv", "url"} & source.keys():
        raise InvalidValue(f"a source has a title, and arxiv or url; got {shown(value)}.")
    address = source.get("url") or f"https://arxiv.org/abs/{source['arxiv']}"
    return {"title": str(source["title"]), "url": str(address)} | (
        {"section": str(source["section"])} if "section" in source else {}
    )
