"""The benchmark of cold files on tiny models; whether a disk drops pages is not asked."""

import sys
from pathlib import Path

import pytest

from benchmarks import cold, synthetic
from benchmarks.cold import CASES, Bench, Timing, cached, measured, medians, text

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for cached pages")


def test_every_case_is_timed_beside_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(synthetic.SIZES, "S", synthetic.Size(2, 64, 128, 32, 4, 256))
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))  # the benchmark sets it; restored afterwards
    monkeypatch.setattr(Bench, "drop", lambda bench: None)
    bench = Bench(synthetic.make("S", tmp_path))
    measured_cases = measured(bench, 2, lambda text: None)
    assert list(measured_cases) == [case.name for case in CASES]
    assert all(len(timings) == 2 for timings in measured_cases.values())
    assert not (bench.models / "merged").exists()


def test_a_row_gives_medians_and_marks_a_missed_target() -> None:
    row = medians((Timing(1.0, 2.0, 0.5, 0.7), Timing(1.0, 4.0, 0.5, 0.9)))
    assert row == {
        "reading": 1.0,
        "merging": 3.0,
        "processor": 0.5,
        "warm": 0.8,
        "ratio": 0.38,
        "least": 0.25,
        "most": 0.5,
    }
    results = {"machine": "m", "cases": ["dppa"], "disks": {"disk": {"dppa": row}}}
    assert "| dppa | ✗ 0.38 |" in text(results)


def test_files_that_stay_in_the_cache_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "base" / "model.safetensors"
    file.parent.mkdir()
    file.write_bytes(bytes(1 << 16))
    assert cached(file) == 1.0  # just written
    monkeypatch.setattr(cold, "cached", lambda path: 0.5)
    with pytest.raises(SystemExit, match="50% of its pages"):
        Bench(tmp_path).drop()
