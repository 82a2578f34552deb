"""The measured data of a folder, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dppa_lab.zoo.study.confirmation import without_new

Values = Mapping[str, Any]


@dataclass(frozen=True)
class LabData:
    """The files of lab/data."""

    folder: Path

    @cached_property
    def board(self) -> Values:
        """The leaderboard of the embedded models."""
        return self._object("leaderboard.json")

    @cached_property
    def board_smollm2(self) -> Values:
        """That of SmolLM2's models."""
        return self._object("leaderboard-smollm2.json")

    @cached_property
    def results(self) -> Values:
        """Merges of the embedded models by rate."""
        return self._object("results.json")

    @cached_property
    def experiments(self) -> Values:
        """The report of the experiments on the embedded models."""
        return self._object("experiments.json")

    @cached_property
    def experiments_smollm2(self) -> Values:
        """That of those on SmolLM2's models."""
        return self._object("experiments-smollm2.json")

    @cached_property
    def search(self) -> Values:
        """The paper's climb."""
        return self._object("search.json")

    @cached_property
    def coefficients(self) -> Values:
        """AdaMerging beside a uniform coefficient."""
        return self._object("coefficients.json")

    @cached_property
    def study(self) -> Mapping[str, Values]:
        """Name -> a set of the study."""
        return {file.stem: self._object(f"study/{file.name}") for file in self._files("study")}

    @cached_property
    def planned(self) -> Sequence[Values]:
        """The sets of the study but those of its confirmation."""
        return without_new(list(self.study.values()))[0]

    @cached_property
    def survey(self) -> Sequence[Values]:
        """The deltas of all surveyed sets."""
        return [one for file in self._files("survey") for one in self._read(file)]

    def _files(self, name: str) -> list[Path]:
        return sorted((self.folder / name).glob("*.json"))

    def _object(self, name: str) -> Values:
        found: Values = self._read(self.folder / name)
        return found

    def _read(self, file: Path) -> Any:
        return json.loads(file.read_text(encoding="utf-8"))
