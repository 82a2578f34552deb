"""What an experiment declares of itself, and how its parts fit the setting.

Knows no experiment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dppa_core.studies.experiments.setting import Setting
from dppa_core.studies.experiments.steps import Steps
from dppa_core.studies.experiments.values import Findings


@dataclass(frozen=True, slots=True)
class Declared:
    """One experiment."""

    key: str
    """What the command line takes."""
    number: str
    """In the order of the page: "1", "6a"."""
    title: str
    question: str
    """What it wants to know: one sentence."""
    measured: str
    """How; `{test}` and `{search}` stand for the numbers of items."""
    steps: Callable[[Setting], Steps[Findings]]
    """Its questions, one after the other, and what it makes of the answers."""
    wants: Callable[[Setting], str] = lambda setting: ""
    """Why it cannot be run on a setting; empty where it can."""

    def measured_on(self, setting: Setting) -> str:
        """How, on a setting."""
        test = "all" if setting.test is None else str(setting.test)
        return self.measured.format(test=test, search=setting.search)
