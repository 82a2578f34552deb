"""Studies, grids and joint searches of the command `search`: settings, goals, and storage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dppa_core.cli.search_text import joint_values
from dppa_core.errors import InvalidRecipe, InvalidValue, shown
from dppa_core.parameter_fields import check_keys, check_number
from dppa_core.recipes.yaml_text import MergeRecipe, load_text
from dppa_core.recipes.yaml_text import read_mapping as read_yaml
from dppa_core.tuning.search.space import TRIALS, parse_knobs, written

if TYPE_CHECKING:
    from dppa_core.cli.cluster import ExamPlace
    from dppa_core.tuning.search.joint_run import JointResult, JointTrial
    from dppa_core.tuning.search.studied import StudySettings, StudyState, StudyTrial
    from dppa_core.tuning.search.trial import Ask

_KEYS = ("way", "vary", "grid", "objectives", "trials", "sampler", "seed")
MOST_TRIALS = 100_000
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:(/|$)")
"""The address of a database, as a path: without the second slash. A drive has one letter."""


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """The options of a study."""

    vary: tuple[str, ...]
    grid: tuple[str, ...]
    objectives: tuple[str, ...]
    trials: int
    """0: the default of the way."""
    sampler: str
    seed: int
    prune: bool
    limit: int
    study: Path | None
    """None: kept in memory."""
    name: str
    joint: bool = False

    @property
    def address(self) -> str | None:
        """Optuna's address of the file."""
        return None if self.study is None else f"sqlite:///{self.study}"


def check_study(study: Path | None) -> None:
    """Raise InvalidValue for the address of a database in the place of a file."""
    if study is not None and _ADDRESS.match(str(study)):
        raise InvalidValue(
            f"--study takes a file, not the address of a database, got {shown(str(study))}. Name "
            "the file alone, as study.db; it is a database of SQLite."
        )


def from_file(path: Path, wanted: StudyOptions) -> StudyOptions:
    """The options with those of a file, under `search:`; raises InvalidRecipe, naming the path."""

    def read(text: str) -> StudyOptions:
        given = read_yaml(text).get("search")
        if not isinstance(given, Mapping):
            raise InvalidRecipe("the key 'search' must be a mapping, as `search: {vary: …}`.")
        check_keys(given, _KEYS, "search")
        texts: dict[str, Any] = {
            key: knob_texts(key, given[key]) for key in ("vary", "grid") if key in given
        }
        if "way" in given:
            if given["way"] != "joint":
                raise InvalidRecipe(
                    f"way may be joint, got {shown(given['way'])}. The others: vary, grid."
                )
            texts["joint"] = True
        if "sampler" in given:
            texts["sampler"] = given["sampler"]
        if "objectives" in given:
            texts["objectives"] = tuple(map(str, _listed(given["objectives"])))
        for key in ("trials", "seed"):
            if key in given:
                texts[key] = int(check_number(key, given[key], 0, MOST_TRIALS))
        return replace(wanted, **texts)

    return load_text(path, read)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def knob_texts(key: str, value: Any) -> tuple[str, ...]:
    """Settings and ranges of a mapping, as of a file, in the form of options."""
    if not isinstance(value, Mapping):
        raise InvalidRecipe(f"{key} must map settings to ranges, got {shown(value)}.")
    return tuple(
        f"{name}={','.join(map(str, _listed(given)))}" if given is not None else str(name)
        for name, given in value.items()
    )


def study_settings(recipe: MergeRecipe, wanted: StudyOptions) -> StudySettings:
    """The settings of a study; raises InvalidValue for what cannot be varied, or does not fit."""
    from dppa_core.tuning.search.studied import SAMPLERS, StudySettings  # noqa: PLC0415  (torch, Optuna)

    if wanted.sampler not in SAMPLERS:
        known = ", ".join(SAMPLERS)
        raise InvalidValue(f"sampler must be one of {known}, got {shown(wanted.sampler)}.")
    if wanted.vary and wanted.grid:
        raise InvalidValue("Give either --vary or --grid: a grid tries every pair of two settings.")
    knobs = parse_knobs(wanted.grid or wanted.vary, recipe)
    if wanted.grid and len(knobs) != 2:
        raise InvalidValue(
            f"A grid has two settings, got {len(knobs)}: --grid rate=0.5:0.9:0.1 "
            "--grid factor=1,1.2,1.4."
        )
    trials = wanted.trials or TRIALS
    if wanted.grid:
        trials = len(knobs[0].values()) * len(knobs[1].values())
    check_number("trials", trials, 1, MOST_TRIALS)
    return StudySettings(
        knobs,
        wanted.objectives,
        trials,
        wanted.limit,
        wanted.seed,
        wanted.sampler,
        wanted.prune,
        every=bool(wanted.grid),
    )


def run_wanted(
    recipe: MergeRecipe,
    wanted: StudyOptions,
    ask: Ask,
    tasks: Sequence[str] | None,
    say: Callable[[str], None],
    beside: int = 1,
) -> StudyState:
    """Run the study, telling each trial; `beside` of them at a time."""
    from dppa_core.tuning.search.optuna_study import run_study  # noqa: PLC0415  (torch, Optuna)

    settings, done = study_settings(recipe, wanted), count(1)

    def earlier(one: StudyTrial) -> None:
        next(done)

    def watch(one: StudyTrial) -> None:  # of trials that were broken off the study keeps a number
        say(f"{next(done)}/{settings.trials} {trial_line(one)}")

    return run_study(
        recipe,
        settings,
        ask,
        tasks=tasks,
        storage=wanted.address,
        name=wanted.name,
        watch=watch,
        earlier=earlier,
        beside=beside,
    )


def run_jointly(
    recipe: MergeRecipe,
    wanted: StudyOptions,
    place: ExamPlace,
    tasks: Sequence[str] | None,
    say: Callable[[str], None],
    state: Path | None,
    *,
    per_model: bool,
) -> JointResult:
    """Run the joint search, telling each setting."""
    from dppa_core.tuning.search.axes import axes_of  # noqa: PLC0415  (torch)
    from dppa_core.tuning.search.joint import usual_settings  # noqa: PLC0415
    from dppa_core.tuning.search.joint_run import search_jointly  # noqa: PLC0415

    done, axes = count(1), axes_of(recipe, per_model=per_model)
    trials = wanted.trials or usual_settings(axes)

    def watch(one: JointTrial) -> None:
        loss = "overflows" if one.loss is None else f"loss {one.loss:.4f}"
        kept = ", ".join(f"{domain} {share:.0%}" for domain, share in one.retentions.items())
        say(f"{next(done)}/{trials} {joint_values(one.values)}: {loss}; {kept or '-'}")

    return search_jointly(
        recipe,
        place.ask,
        tasks=tasks,
        limit=wanted.limit,
        most=trials,
        objective=wanted.objectives[0],
        per_model=per_model,
        state=state,
        watch=watch,
        beside=place.beside,
    )


def trial_line(one: StudyTrial) -> str:
    """A trial on one line."""
    values = ", ".join(f"{name} {written(value)}" for name, value in one.values.items())
    kept = ", ".join(f"{domain} {share:.0%}" for domain, share in one.retentions.items())
    ends = {"pruned": " (given up)", "failed": f" (failed: {one.why})"}
    return f"{values}: {kept or '-'}, {one.density:.0%} kept{ends.get(one.state, '')}"
