"""The weighted mean of a training run's last checkpoints, and what each window of them brings.

Means of the last checkpoints stand in for a decay of the learning rate (arXiv:2507.17634); with
falling weights they are the moving averages of arXiv:2306.03241.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dppa_core.charts.plots import Axis, Chart, Series
from dppa_core.errors import InvalidValue, MissingCheckpoint
from dppa_core.parameter_fields import check_number
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

SCHEDULES = ("equal", "linear", "exponential")
_STEP = re.compile(r"(?:.*\D)?(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint that a training left."""

    step: int
    """The number its folder's name ends with."""
    folder: Path


@dataclass(frozen=True, slots=True)
class WindowMean:
    """A mean of the last checkpoints, scored."""

    checkpoints: int
    value: float


@dataclass(frozen=True, slots=True)
class RunCourse:
    """What was measured along a run."""

    run: tuple[Saved, ...]
    measure: str
    """As "loss, nats per token"."""
    rises: bool
    """True if more is better."""
    alone: tuple[float, ...]
    """The measure of every checkpoint."""
    windows: tuple[WindowMean, ...]
    """Of means of the last one, two, three …; fewer while it is being measured."""

    @property
    def best(self) -> WindowMean:
        """The best window; of equal ones the shortest."""
        sign = -1 if self.rises else 1
        return min(self.windows, key=lambda window: sign * window.value)

    @property
    def better_alone(self) -> Saved | None:
        """A checkpoint that is better by itself than the best window; the best of them."""
        sign = -1 if self.rises else 1
        scored = zip(self.alone, self.run, strict=False)
        value, saved = min(scored, key=lambda pair: sign * pair[0])
        return saved if sign * value < sign * self.best.value else None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        alone = zip(self.run, self.alone, strict=True)
        return {
            "measure": self.measure,
            "alone": [{"step": saved.step, "value": value} for saved, value in alone],
            "means": [{"last": w.checkpoints, "value": w.value} for w in self.windows],
            "best": self.best.checkpoints,
        }

    def chart(self) -> Chart:
        """The measure over steps: of each checkpoint, and of the means that begin there."""
        steps = tuple(float(saved.step) for saved in self.run)
        begins = tuple(steps[-window.checkpoints] for window in self.windows)
        name, _, unit = self.measure.partition(", ")
        title = f"{len(self.alone)} of {len(steps)} checkpoints are measured"
        if self.windows:
            best = self.best.checkpoints
            which = f"mean of the last {best}" if best > 1 else "last"
            title = f"The {which} of {len(steps)} checkpoints is best"
            if (alone := self.better_alone) is not None:
                title = f"Step {alone.step} alone is best; of the means, that of the last {best}"
        return Chart(
            "lines",
            title,
            Axis("step of the training"),
            Axis(name, unit),
            (
                Series("checkpoint", steps[: len(self.alone)], self.alone),
                Series(
                    "mean from here to the end",
                    begins[::-1],
                    tuple(window.value for window in self.windows)[::-1],
                    labels=tuple(f"last {w.checkpoints}" for w in self.windows)[::-1],
                ),
            ),
        )


def saved_in(run: Path) -> tuple[Saved, ...]:
    """The checkpoints of a run, by step: folders such as checkpoint-500, with config.json.

    Other files of a training, as the optimizer's, are not read.

    Raises:
        MissingCheckpoint: there is none.
        InvalidValue: two of one step.
    """
    if not run.is_dir():
        raise MissingCheckpoint(f"{run}: no such folder.")
    entries = sorted(run.iterdir())
    named = [(_STEP.fullmatch(entry.name), entry) for entry in entries]
    saved = [Saved(int(m[1]), e) for m, e in named if m and (e / "config.json").is_file()]
    if not saved:
        raise MissingCheckpoint(
            f"{run}: holds no checkpoints of a training: folders whose names end with a step, as "
            "checkpoint-500, with config.json. One checkpoint's own folder is the usual cause."
        )
    saved.sort(key=lambda one: one.step)
    for one, other in zip(saved, saved[1:], strict=False):
        if one.step == other.step:
            raise InvalidValue(f"{one.folder} and {other.folder} are both of step {one.step}.")
    return tuple(saved)


def weights_of(run: Sequence[Saved], schedule: str, half_life: float | None = None) -> list[float]:
    """A weight for each checkpoint, of which the last has 1.

    Args:
        schedule: equal; linear, which rises from the step before the first one; or exponential,
            which halves every `half_life` steps before the last.

    Raises:
        InvalidValue: no such schedule, or no half-life above 0 where it is needed.
    """
    last, first = run[-1].step, run[0].step
    if schedule == "equal":
        return [1.0] * len(run)
    if schedule == "linear":
        before = first - (last - first) / max(len(run) - 1, 1)
        return [(saved.step - before) / ((last - before) or 1) or 1.0 for saved in run]
    if schedule != "exponential":
        raise InvalidValue(f"weights must be {', '.join(SCHEDULES)}, got {schedule!r}.")
    if half_life is None:
        raise InvalidValue("exponential weights need a half-life in steps (--half-life).")
    check_number("half-life", half_life, 1e-9, 1e18)
    return [0.5 ** ((last - saved.step) / half_life) for saved in run]


def mean_of(
    window: Sequence[Saved], schedule: str = "equal", half_life: float | None = None
) -> MergeRecipe:
    """The recipe of their weighted mean; its base is the first, whose share counts as any other.

    Raises:
        InvalidValue: see `weights_of`.
    """
    weights = weights_of(window, schedule, half_life)
    models = tuple(
        DomainModel(str(saved.folder), coefficient=weight)
        for saved, weight in zip(window, weights, strict=True)
    )
    return MergeRecipe(models[0].model, models, "linear")


def measure_run(
    run: Sequence[Saved],
    score: Callable[[str | MergeRecipe], float],
    *,
    measure: str,
    rises: bool,
    schedule: str = "equal",
    half_life: float | None = None,
    progress: Progress | None = None,
    watch: Callable[[RunCourse], None] | None = None,
    stop: Stop | None = None,
) -> RunCourse:
    """Score every checkpoint, and the mean of the last two, three … of them.

    Args:
        score: The measure of a model, on what decides: never what tests.
        measure, rises: See `RunCourse`.
        schedule, half_life: See `weights_of`.
        watch: Called with what is measured so far, after every score.

    Raises:
        InvalidValue: see `weights_of`.
        DppaError: whatever `score` raises.
    """
    names = [str(saved.folder) for saved in run]
    means = [mean_of(run[-k:], schedule, half_life) for k in range(2, len(run) + 1)]
    targets: list[str | MergeRecipe] = [*names, *means]
    course = RunCourse(tuple(run), measure, rises, (), ())
    for number, target in enumerate(targets):
        check(stop)
        last = number - len(run) + 2
        what = target if isinstance(target, str) else f"mean of the last {last}"
        report(progress, number, len(targets), what)
        value = score(target)
        if number < len(run):
            course = replace(course, alone=(*course.alone, value))
        if last > 0:
            course = replace(course, windows=(*course.windows, WindowMean(last, value)))
        if watch is not None:
            watch(course)
    return course
