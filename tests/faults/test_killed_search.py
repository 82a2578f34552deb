"""A search continues after its process was killed."""

import os
import signal
from pathlib import Path

import pytest

from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.recipes.yaml_text import MergeRecipe
from tests.faults.disks import forked
from tests.faults.searches import ask_by_hand, search

pytestmark = pytest.mark.usefixtures("zoo_env", "one_torch_thread")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["climb", "joint", "study"])
def test_a_killed_search_asks_again_at_most_what_it_was_asking(kind: str, tmp_path: Path) -> None:
    log = tmp_path / "answered"  # a file outlives its process
    log.touch()

    def run() -> None:
        ask, _ = ask_by_hand()

        def dying(exam: Exam) -> DomainScore:
            lines = log.read_text().splitlines()
            if len(lines) == 10:
                os.kill(os.getpid(), signal.SIGKILL)
            log.write_text("\n".join([*lines, repr(exam)]))
            return ask(exam)

        search(kind, tmp_path, dying)

    with pytest.raises(AssertionError, match="died of SIGKILL"):
        forked(run)
    answered = set(log.read_text().splitlines())
    ask, exams = ask_by_hand()
    search(kind, tmp_path, ask)
    merges = [exam for exam in exams if isinstance(exam.target, MergeRecipe)]
    again = {repr(exam.target) for exam in merges if repr(exam) in answered}
    assert merges and len(again) <= (0 if kind == "climb" else 1)  # a trial is three questions
