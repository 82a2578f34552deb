"""`dppa reproduce --items`: the experiments on questions of one's own."""

from pathlib import Path

import pytest

from dppa_lab.experiments.paper import pruning
from tests.helpers.command import Command
from tests.helpers.own_questions import APPLES, write_apples

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def embedded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `dppa …` on the embedded models, which know some answers."""
    return Command(capsys, monkeypatch)


@pytest.mark.long
def test_experiments_ask_own_questions_anew_when_they_change(
    embedded: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pruning, "RATES", (0.8, 0.9))
    monkeypatch.setattr(pruning, "DRAWS", 1)
    path, apples = tmp_path / "mine.yaml", write_apples(tmp_path)
    path.write_text("base: zoo:base\nmodels:\n  - model: zoo:math\n")
    arguments = ["reproduce", "pruning", "--preset", path, "--items", apples, "--workers", 1]
    runs = []
    for text in (APPLES, APPLES, APPLES.replace("9 - 2 = 7", "8")):
        apples.write_text(text)
        out = tmp_path / f"out{len(runs)}"
        assert embedded(*arguments, "--out", out, "--json") == 0, embedded.err
        (experiment,) = embedded.json["experiments"]
        runs.append((experiment["known"] > 0, experiment["known"] == experiment["answers"]))
        assert embedded.json["setting"]["models"] == [{"model": "zoo:math", "domain": "apples"}]
    assert runs == [(False, False), (True, True), (False, False)]
