"""The measured data of a folder, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dppa_lab.zoo.study.study_sets import without_new

Values = Mapping[str, Any]


@dataclass(frozen=True)
class LabData:
    """The files of lab/data."""

    folder: Path

    def file(self, name: str) -> Values:
        """The object in a file, as `leaderboard.json`."""
        values: Values = _read(self.folder / name)
        return values

    @property
    def study(self) -> Mapping[str, Values]:
        """Name -> a set of the study."""
        return {file.stem: _read(file) for file in self._files("study")}

    @property
    def planned(self) -> Sequence[Values]:
        """The sets of the study but those of its confirmation."""
        return without_new(list(self.study.values()))[0]

    @property
    def survey(self) -> Sequence[Values]:
        """The deltas of all surveyed sets."""
        return [delta for file in self._files("survey") for delta in _read(file)]

    @property
    def forms(self) -> Mapping[str, Sequence[Values]]:
        """embedded, smollm2 -> the fine-tunes of all sets of it whose forms were measured."""
        deltas = [delta for file in self._files("forms") for delta in _read(file)]
        sizes = dict.fromkeys(delta["set"]["size"] for delta in deltas)
        return {size: [one for one in deltas if one["set"]["size"] == size] for size in sizes}

    @property
    def conflicts(self) -> Sequence[Values]:
        """The pairs of manners of all sets whose conflicts were measured."""
        return [pair for file in self._files("conflicts") for pair in _read(file)]

    @property
    def nested(self) -> Sequence[Values]:
        """The sets on which nested searches were measured."""
        return [_read(file) for file in self._files("nested")]

    def _files(self, name: str) -> list[Path]:
        return sorted((self.folder / name).glob("*.json"))


@cache
def _read(file: Path) -> Any:
    text = file.read_text(encoding="utf-8")
    return json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
