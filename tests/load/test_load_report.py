"""The report of `make bench-load`."""

from typing import Any

from benchmarks.load.report import text


def load_run(**changed: Any) -> dict[str, Any]:
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
    table = text(load_run())
    assert "| 50 drag, sliders (95 %) | 240 ms | 250 ms |" in table
    assert "| 50 drag, memory | 1.05 GB | 1.50 GB |" in table
    assert "| memory of the server | 0.70 GB | 4.00 GB |" in table and "✗" not in table
    assert table.endswith("\n\na machine.")
    assert "| 50 drag, sliders (95 %) | ✗ 240 ms, 1 errors |" in text(load_run(errors=1))
    assert "| 50 drag, memory | ✗ 1.60 GB |" in text(load_run(together=16 * 10**8))
    assert "| memory of the server | ✗ 4.10 GB |" in text(load_run(peak=4.1e9))
    assert "| memory that a long run adds | 0 MiB | 100 MiB |" in text(load_run(name="long"))
    greedy = {"asked_at_once": 20, "before_the_others": 3}
    assert "who asks 20 gets before others | ✗ 3 | 2 |" in text(load_run(name="greedy", **greedy))


def test_crowds_who_come_and_go_leave_the_memory_of_both_processes_flat() -> None:
    course = [[700 * 2**20, 300 * 2**20], [720 * 2**20, 310 * 2**20], [710 * 2**20, 305 * 2**20]]
    soak = {"name": "soak", "visitors": 10, "crowds": 3, "seconds": 1200, "errors": 0}
    results = load_run()
    results["phases"].append(soak | {"course": course})
    assert "| memory that coming and going adds | 10 MiB | 100 MiB |" in text(results)
    course[2][1] = 500 * 2**20
    assert "| ✗ 200 MiB | 100 MiB |" in text(results)


def test_words_of_tabs_stand_beside_those_of_the_server_and_a_class_beside_its_queue() -> None:
    (phase,) = load_run(seen={"on_settle": {"p95": 40.0}})["phases"]
    tab = phase | {"name": "words of the tab", "visitors": 100, "reading": 2.0}
    server = phase | {"name": "words of the server", "visitors": 100, "reading": 80.0}
    pupils = phase | {"name": "class", "visitors": 30, "longest_queue": 0.0}

    def table(*phases: dict[str, Any]) -> str:
        return text(load_run() | {"phases": list(phases)})

    row = "| 100 drag and read words of their tabs, processor time | "
    assert f"{row}2.5 % | 5 % of words by the server |" in table(tab, server)
    assert f"{row}✗ 5.1 % |" in table(tab | {"reading": 4.1}, server) and row not in table(tab)
    assert "| a class of 30, longest queue | 0 | 0 |" in table(pupils)
    assert "| a class of 30, exact plans (95 %) | 40 ms | 250 ms |" in table(pupils)
    assert "| a class of 30, longest queue | ✗ 1 | 0 |" in table(pupils | {"longest_queue": 1.0})
