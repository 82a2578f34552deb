"""The spectrum view without a browser: checked requests, cost, refusal, cancel."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.session.session import ModelChoice, Session
from components.views.see import spectrum
from components.views.see.spectrum import (
    SpectrumRequest,
    read_spectrum,
    spectrum_cost,
    spectrum_value,
)
from components.work.kinds import SPECTRUM
from components.work.progress_stream import stream_run
from components.work.studio import Studio
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.profiling.spectrum import cached_spectrum

SESSION = Session(models=(ModelChoice("zoo:math"), ModelChoice("zoo:law")))
BOTH = SpectrumRequest("zoo:base", ("zoo:math", "zoo:law"))


@pytest.fixture
def studio(zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    yield Studio(public=True)


def steps(request: SpectrumRequest, studio: Studio) -> list[dict[str, Any]]:
    return list(stream_run(studio, SPECTRUM, partial(spectrum_value, request, studio)))


@pytest.mark.parametrize(
    "value",
    [
        "null",
        '{"first": "zoo:math"}',
        '{"first": "/etc", "second": ""}',
        '{"first": "", "second": ""}',
        '{"first": "zoo:math", "second": "zoo:math"}',
    ],
)
def test_what_a_browser_sends_is_checked(value: str) -> None:
    with pytest.raises(InvalidValue):
        read_spectrum(value, SESSION)


def test_one_model_or_two_are_decomposed(studio: Studio) -> None:
    assert read_spectrum('{"first": "zoo:math", "second": "zoo:law"}', SESSION) == BOTH
    end = steps(BOTH, studio)[-1]
    assert end["state"] == "done"
    assert [side["label"] for side in end["result"]["sides"]] == ["math", "law"]
    cells, rows = end["result"]["cells"], cached_spectrum("zoo:base", "zoo:math").rows()
    assert [cell["ranks"][0] for cell in cells] == [row["effective_rank"] for row in rows]
    assert all(0 < cell["overlap"] < 1 and len(cell["curves"]) == 2 for cell in cells)
    alone = read_spectrum('{"first": "zoo:law", "second": ""}', SESSION)
    first = steps(alone, studio)[-1]["result"]["cells"][0]
    assert "overlap" not in first and first["ranks"] == cells[0]["ranks"][1:]


def test_its_cost_is_stated_and_what_takes_too_long_is_refused(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = spectrum_cost("zoo:base", "zoo:math", studio)
    assert cost == {"matrices": 14, "time": "1 s"}
    monkeypatch.setattr(spectrum, "_seconds", lambda *_about: 5000.0)
    end = steps(BOTH, studio)[-1]
    assert end["state"] == "failed" and end["result"] is None
    assert "matrices of math take about 83 min" in end["note"]
    assert "dppa profile MODEL --spectrum" in end["note"]
    for name in BOTH.models:  # from the disk it takes no time
        cached_spectrum("zoo:base", name)
    assert steps(BOTH, studio)[-1]["state"] == "done"


def test_it_stops_between_two_matrices(studio: Studio) -> None:
    class AfterThree:
        count = 0

        def is_set(self) -> bool:
            return self.count >= 3

    stop = AfterThree()

    def progress(done: int, total: int, item: str) -> None:
        stop.count = done

    with pytest.raises(Cancelled):
        spectrum_value(BOTH, studio, progress, stop)
    assert stop.count == 3
