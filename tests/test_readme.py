"""README, Start and Guides: commands and examples run as printed, page by page."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from dppa_core.methods.registry import METHODS
from tests.helpers.command import Command
from tests.helpers.documents import ROOT, Block, blocks, pages, words

README = ROOT / "README.md"
DOCS = ROOT / "docs"
RECIPE = next(b for b in blocks(ROOT / "docs/start/ten-minutes.md") if b.title == "recipe.yaml")
LESS = {
    "evaluate": ["--limit", "2"],
    "advise": ["--limit", "2"],
    "--grid": ["--limit", "2", "--test-limit", "0"],
    "--vary": ["--limit", "2", "--test-limit", "0", "--trials", "1"],
    "--joint": ["--limit", "2", "--test-limit", "0", "--trials", "3"],
    "search": ["--limit", "9", "--test-limit", "0"],  # the climb needs an answer to every task
    "soup": ["--limit", "1"],
    "size": ["--limit", "6", "--forms", "low_rank(rank=4)", "--factors", "1"],
    "adamerge": [
        "--steps",
        "1",
        "--batch",
        "2",
        "--prompts-each",
        "2",
        "--held-out",
        "1",
        "--longest",
        "8",
    ],
}
"""The first of these in a command -> options that follow its own, and win: each item takes time."""
WHY = {
    "installs packages",
    "needs the network",
    "needs Docker",
    "needs a GPU",
    "needs a cluster",
    "needs a training",
    "needs a large model",
    "takes minutes to hours",
}
"""The reasons why a block may be left out."""


def commands(block: Block) -> list[list[str]]:
    """The lines of a block of shell, without comments."""
    split = (shlex.split(line, comments=True) for line in block.text.splitlines())
    return [line for line in split if line]


def named(page: Path) -> str:
    """The name of a page in the report."""
    return page.relative_to(ROOT).as_posix()


RUN = [page for page in pages() if any(b.language in ("sh", "python") for b in blocks(page))]
FIRST = ("README.md", "docs/guides/mergekit.md")
"""Pages whose blocks `make test` runs; `make test-all` runs those of all."""


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=() if named(page) in FIRST else pytest.mark.long) for page in RUN],
    ids=named,
)
def test_the_blocks_of_a_page_run_in_their_order(
    page: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    one_torch_thread: None,
) -> None:
    monkeypatch.chdir(tmp_path)
    dppa = Command(capsys, monkeypatch)
    for block in [RECIPE, *blocks(page)]:
        if block.title:
            Path(block.title).write_text(block.text, "utf-8")
    for block in blocks(page):
        if block.language == "python":
            Path("example.py").write_text(block.text, "utf-8")
            runpy.run_path("example.py")
        elif block.language == "sh" and not block.reason:
            for command in commands(block):
                if command[0] == "dppa":
                    less = next((LESS[word] for word in LESS if word in command), [])
                    assert dppa(*command[1:], *less) == 0, f"{shlex.join(command)}: {dppa.err}"
                    assert dppa.out.strip() or "--out" in command, shlex.join(command)


@pytest.mark.parametrize("page", RUN, ids=named)
def test_what_is_not_run_says_why(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for block in blocks(page):
        assert block.reason is None or block.reason in WHY
        for command in commands(block) if block.language == "sh" and not block.reason else []:
            assert command[0] == "dppa" or (command[0] == "make" and command[1] in targets), command


def test_the_two_commands_stand_at_the_top() -> None:
    first = next(block for block in blocks(README) if block.language == "sh").text
    assert "make app" in first and "make test" in first
    assert README.read_text("utf-8").index(first) < 1500


def test_the_readme_is_short_and_pages_to_work_with_are_too() -> None:
    assert words(README) <= 700
    assert {named(one): words(one) for one in pages() if one != README and words(one) > 1200} == {}


def test_the_readme_counts_the_methods() -> None:
    assert f"and {len(METHODS) - 1} other ways to merge" in README.read_text("utf-8")


METHOD = "method methods reading embedded-models evaluation calibration adamerging"


def test_what_a_user_reads_has_at_most_20_000_words() -> None:
    read = [DOCS / "index.md", *(DOCS / f"{name}.md" for name in METHOD.split())]
    read += [
        page for part in ("start", "guides", "reference") for page in DOCS.glob(f"{part}/*.md")
    ]
    assert sum(len(re.findall(r"\S*\w\S*", page.read_text("utf-8"))) for page in read) <= 20_000


OUTSIDE = [README, *sorted(DOCS.rglob("*.md"))]
"""The pages outside the laboratory."""
NO_PROSE = re.compile(
    r"\A---\n.*?\n---\n|^```.*?^```|^[ ]*\|.*?$|`[^`]*`|\]\([^)]*\)|<!--.*?-->"
    r"|arXiv\W*\d+\.\d+|\b[A-Z][\w-]* \d\.\d+(?: or \d\.\d+)?",
    re.DOTALL | re.MULTILINE,
)
"""Front matter, code, tables, links, papers, and versions such as Python 3.11 or 3.12."""
MEASURED = re.compile(r"\d\.\d|\d\s?%")
INTERVAL = re.compile(
    r"±\s?\d|\d\s?(?:%|points)?\s?[(,]\s?[+−-]?\d+(?:\.\d+)?\s?(?:–|to)\s?[+−-]?\d+\.\d"
)
"""A number with its interval: 93.5 % (91.7–95.2), 3.4 points, 1.8 to 5.1, +3.7 ± 2.8."""


def test_the_readme_has_twelve_figures_outside_its_table_at_most() -> None:
    prose = NO_PROSE.sub(" ", README.read_text("utf-8"))
    assert len(re.findall(r"(?<![\w-])\d[\d.,]*", re.sub(r"(?m)^\d\. ", "", prose))) <= 12


@pytest.mark.parametrize("page", OUTSIDE, ids=named)
def test_measured_numbers_are_few_outside_the_laboratory(page: Path) -> None:
    prose = NO_PROSE.sub(" ", page.read_text("utf-8"))
    numbers = MEASURED.findall(prose)
    assert 100 * len(numbers) <= 3 * max(100, len(prose.split())), numbers


@pytest.mark.parametrize("page", OUTSIDE, ids=named)
def test_no_interval_stands_outside_the_laboratory(page: Path) -> None:
    text = re.sub(
        r"^```.*?^```|`[^`]*`", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    assert INTERVAL.findall(text) == []


LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as Markdown readers make them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", h).strip().lower()) for h in heads}


DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / "lab" / "README.md", *sorted((ROOT / "lab" / "docs").rglob("*.md"))),
]


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"^(`{3,}).*?^\1", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in LINK.findall(text):
        if re.match(r"https?:|term:|lesson:", link):
            continue
        name, _, anchor = link.partition("#")
        aim = (page.parent / name).resolve() if name else page
        assert aim.exists(), link
        assert not anchor or anchor in anchors(aim.read_text("utf-8")), link
