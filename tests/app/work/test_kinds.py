"""Kinds of work: each decision about one stands in its row."""

import ast
from collections.abc import Iterator
from pathlib import Path

from components.work import kinds
from components.work.kinds import QUEUES, Kind, Queue

ROOT = Path(__file__).resolve().parents[3] / "components"
KINDS = [value for value in vars(kinds).values() if isinstance(value, Kind)]
TAKES_KIND = {"start", "finished", "timed", "stream_run", "wire_run", "wire_part"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in ROOT.rglob("*.py"):
        if path.name != "kinds.py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_no_two_rows_have_the_same_name() -> None:
    for rows in (QUEUES, KINDS):
        names = [row.name for row in rows]
        assert len(names) == len(set(names))
    assert set(QUEUES) == {value for value in vars(kinds).values() if isinstance(value, Queue)}


def test_queues_and_their_limits_stand_nowhere_else() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    assert {path.name for path, text in texts.items() if '"concurrency_' in text} == {"kinds.py"}
    options = {"concurrency_id", "concurrency_limit"}
    written = [place for place, call in calls() if options & {word.arg for word in call.keywords}]
    assert not written


def test_no_call_names_a_kind_of_work_by_its_text() -> None:
    names, written = {row.name for row in (*QUEUES, *KINDS)}, []
    for place, call in calls():
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        of_work = call.args[name == "wire_run" :]  # its first argument is a part of the page
        texts = {one.value for one in of_work if isinstance(one, ast.Constant)}
        if name in TAKES_KIND and names & texts:
            written.append(place)
    assert not written
