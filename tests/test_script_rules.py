"""Rules of the page's scripts: what a module may import, and which names are global."""

import posixpath
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from components.widgets.scripts import ENTRY, FOLDER, imported, needed, sources

ROOT = Path(__file__).resolve().parents[1]
ORDER = (
    "base",
    "session",
    "tab",
    "plots",
    "pinned",
    "stage",
    "controls",
    "chat",
    "panes",
    "learn",
    "learn/blocks",
    "learn/hands_on",
    "living",
    "",
)
"""Folders of assets/js/, and itself; each imports only itself and those before it."""
LATER, LESSONS, WORKER, LIVING = "later.js", "lessons.js", "tab/worker.js", "living/living.js"
"""What is fetched after the first plot, when Learn is first opened, by the worker, and by a living
figure."""
MOST_LINES, MOST_CHARACTERS, MOST_MODULES, MOST_AT_FIRST = 300, 120, 15, 29
_NAMED = re.compile(
    r'^(?:import|export)\s+(?:\* as \w+|\{([^}]*)\})\s+from\s+"([^"]+)";', re.MULTILINE
)
_DEFINED = re.compile(r"^export (const|let|function|async function) (\w+)(.*)", re.MULTILINE)


def folder(name: str) -> str:
    return name.rpartition("/")[0]


def fetched(name: str) -> list[str]:
    """The modules that a module imports while it runs, as paths below assets/js/."""
    paths = re.findall(r'\bimport\("([^"]+)"\)', sources()[name])
    return [posixpath.normpath(posixpath.join(folder(name), path)) for path in paths]


def exports(name: str) -> set[str]:
    """All that a module exports, under the names that others import."""
    found: set[str] = set()
    for kind, first, rest in _DEFINED.findall(sources()[name]):
        found.add(first)
        if kind in ("const", "let"):
            found |= set(re.findall(r", (\w+) = ", re.sub(r"\([^()]*\)", "", rest)))
    for names in re.findall(r"^export \{([^}]*)\}", sources()[name], re.MULTILINE):
        found |= {one.split(" as ")[-1].strip() for one in names.split(",")}
    return found


def test_every_import_names_a_file_and_what_it_exports() -> None:
    wrong = []
    for name, text in sources().items():
        wrong += [f"{name} -> {one}" for one in imported(name) if one not in sources()]
        for names, path in _NAMED.findall(text):
            other = (FOLDER / folder(name) / path).resolve()
            asked = {one.split(" as ")[0].strip() for one in names.split(",")} - {""}
            missing = asked - exports(other.relative_to(FOLDER).as_posix())
            wrong += [f"{name} -> {path}: {one}" for one in missing]
        wrong += [f"{name} -> {path}" for path in fetched(name) if path not in sources()]
    assert not wrong


def test_whatever_is_exported_is_used_elsewhere() -> None:
    unused = []
    for name in sources():
        others = "".join(text for other, text in sources().items() if other != name)
        found = (one for one in exports(name) if not re.search(rf"\b{one}\b", others))
        unused += [f"{name}: {one}" for one in found]
    assert not unused


def test_no_script_imports_itself_in_a_circle() -> None:
    """Neither at once nor with a module that it fetches later."""
    imports = {name: [*imported(name), *fetched(name)] for name in sources()}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_import_of_a_script_points_to_an_earlier_folder() -> None:
    late = [
        f"{name} -> {other}"
        for name in sources()
        for other in imported(name)
        if ORDER.index(folder(other)) > ORDER.index(folder(name))
    ]
    assert not late


def test_the_first_plot_waits_for_few_scripts_and_each_is_loaded_some_time() -> None:
    first = needed(ENTRY)
    assert first[-1] == ENTRY and len(first) <= MOST_AT_FIRST
    assert not {"chat", "panes", "learn/blocks"} & {folder(name) for name in first}
    others = (needed(name) for name in (LATER, LESSONS, WORKER, LIVING))
    assert set(first).union(*others) == sources().keys()
    assert not {folder(name) for name in needed(LATER)} & {"learn", "learn/blocks"}


def outside() -> dict[str, str]:
    """The members of `window.dppa` -> who they are for, as the entry writes them."""
    (_, text) = sources()[ENTRY].split("(window).dppa = {")
    parts = text[: text.index("\n};")].split("  // For tests/e2e")
    found = {}
    for who, part in zip(("python", "tests"), parts, strict=True):
        part = re.sub(r"//.*", "", part)
        for _ in range(3):  # text in brackets is no member
            part = re.sub(r"\{[^{}]*\}|\([^()]*\)", "", part)
        named = (one.partition(":")[0].split() for one in part.split(","))
        found |= {words[-1]: who for words in named if words and words[0] != "is"}
    return found


def test_outside_the_modules_stands_only_what_python_or_a_test_calls() -> None:
    calls = {}
    for who, places in (("python", ("components",)), ("tests", ("tests/e2e",))):
        files = [path for place in places for path in (ROOT / place).rglob("*.py")]
        text = "".join(path.read_text(encoding="utf-8") for path in files)
        calls[who] = set(re.findall(r"\bdppa\??\.(\w+)", text))
    calls["python"] -= {"parsed", "page", "work"}  # names of loggers and of a scope's entry
    known = outside()
    assert calls["python"] <= known.keys()
    assert {name for name, who in known.items() if who == "python"} <= calls["python"]
    assert {name for name, who in known.items() if who == "tests"} <= calls["tests"]
    inside = [name for name, text in sources().items() if "window.dppa" in text]
    assert not inside


def test_scripts_and_their_folders_stay_small() -> None:
    lines = {name: text.count("\n") for name, text in sources().items()}
    assert [name for name, count in lines.items() if count > MOST_LINES] == []
    folders = [folder(name) for name in sources()]
    assert {one for one in folders if folders.count(one) > MOST_MODULES} == set()


def test_no_line_of_a_script_is_too_long() -> None:
    long = [
        f"{name}:{number}"
        for name, text in sources().items()
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > MOST_CHARACTERS
    ]
    assert not long


def test_styles_have_five_sizes_of_type() -> None:
    styles = (ROOT / "assets" / "css").glob("*.css")
    sizes = {
        size
        for style in styles
        for size in re.findall(r"font(?:-size)?: (?:\d+ )?([\d.]+px)", style.read_text("utf-8"))
    }
    assert sizes == {"12px", "14px", "16px", "20px", "26px"}
