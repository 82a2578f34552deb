"""The report of `make bench-load`."""

import json
from typing import Any

from benchmarks.load.report import text, write

START, END = "<!-- load:start -->", "<!-- load:end -->"


def found(**changed: Any) -> dict[str, Any]:
    """A result by hand."""
    times = {"count": 1234, "p50": 12.0, "p95": 240.0, "p99": 1500.0}
    phase = {
        "name": "drag",
        "visitors": 50,
        "seconds": 12.0,
        "seen": {"slider answer": times},
        "answers": 98.0,
        "errors": 0,
        "first_errors": [],
        "refused": 0,
        "waited": 3,
        "told": 3,
        "server_cores": 0.5,
        "own_cores": 0.1,
        "bytes": 600 * 2**20,
        "answering": 500 * 2**20,
        "together": 1000 * 2**20,
        "peak": 7 * 10**8,
        "course": [2**20, 2**21],
        "first_third": 100.0,
        "last_third": 110.0,
    }
    versions = {"gradio": "6"}
    phases = [phase | changed]
    return {"machine": "a machine", "load_after": 2.0, "versions": versions, "phases": phases}


def test_figures_stand_beside_their_targets_and_missed_ones_are_marked() -> None:
    told = text(found())
    assert "- 50 visitors who drag: 95 % of the answers to a slider come within 240 ms" in told
    assert "| 50 | drag | slider answer | 1,234 | 12 ms | 240 ms | 1.5 s |" in told
    assert (
        "| 50 | drag | 98 | 0 | 0 | 3 of 3 | 0.50 | 0.10 | 600 MiB | 500 MiB | 1000 MiB |" in told
    )
    assert "✗" not in told
    assert "✗ 50 visitors" in text(found(errors=1))
    assert "it was 1, 2 MiB" in text(found(name="long"))
    assert (
        "✗ 50 visitors who drag: the server and the answering process never used more than 1.60 GB"
        in text(found(together=16 * 10**8))
    )
    assert "✗ The server never used more than 4.10 GB" in text(found(peak=4.1e9))


def test_the_text_goes_between_its_markers(tmp_path: Any) -> None:
    (tmp_path / "docs").mkdir()
    path = tmp_path / "docs" / "reliability.md"
    path.write_text(f"before\n{START}\nbefore it\n{END}\nafter\n", "utf-8")
    write(tmp_path, found())
    content = path.read_text("utf-8")
    assert content.startswith("before\n") and content.endswith(f"{END}\nafter\n")
    assert "before it" not in content and json.loads(
        (tmp_path / "docs/bench-load.json").read_text()
    )


def test_crowds_who_come_and_go_leave_the_memory_of_both_processes_flat() -> None:
    course = [[700 * 2**20, 300 * 2**20], [720 * 2**20, 310 * 2**20], [710 * 2**20, 305 * 2**20]]
    soak = {"name": "soak", "visitors": 10, "crowds": 3, "seconds": 1200, "errors": 0}
    told = found()
    told["phases"].append(soak | {"course": course})
    assert "- 3 crowds of 10 who come, do everything and leave within 20 minutes" in text(told)
    assert "the server had 700, 720, 710 MiB" in text(told)
    assert "the answering process had 300, 310, 305 MiB" in text(told) and "✗" not in text(told)
    course[2][1] = 500 * 2**20
    assert "- ✗ 3 crowds" in text(told)
