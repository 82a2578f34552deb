"""The options of a search, with the defaults of its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dppa_core.errors import InvalidRecipe, InvalidValue, did_you_mean, shown
from dppa_core.methods.registry import get_method
from dppa_core.parameter_fields import check_number
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tuning.search.axes import axes_of
from dppa_core.tuning.search.joint import JOINT_ITEMS, MOST_SETTINGS, OBJECTIVES, usual_settings
from dppa_core.tuning.search.scoring import SEARCH_ITEMS
from dppa_core.tuning.search.space import SearchParameter, parse_parameters

TRIALS = 40
"""Default number of settings that Optuna tries."""
MOST_TRIALS = 100_000
SAMPLERS = ("tpe", "nsga2", "random")
"""Names of Optuna's samplers."""
RETENTION, WORST, DENSITY = "retention", "worst", "density"
"""Objectives of Optuna and grids; `retention.DOMAIN` is one, too."""
BEHAVIOURS = LENGTH, LOOPS, KL = "length", "loops", "kl"
"""More of them: fields of `Behaviour`, as means over the domains."""
LOWER = (DENSITY, *BEHAVIOURS)
"""Objectives of which less is better."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Options of a search, with the names of `dppa search`: parameters, way and budget."""

    vary: tuple[str, ...] = ()
    """Parameters with their ranges, for Optuna."""
    grid: tuple[str, ...] = ()
    """Two parameters, of which every pair is tried."""
    joint: bool = False
    per_model: bool = False
    """True if a joint search chooses factors of each model."""
    objectives: tuple[str, ...] = ()
    """Empty: the default of the way."""
    trials: int = 0
    """Settings in total, including those of earlier runs. 0: the default of the way."""
    limit: int = 0
    """Search items per domain. 0: the default of the way."""
    sampler: str = "tpe"
    seed: int = 0
    prune: bool = True
    """True if hopeless trials end before all domains are scored."""
    judge: str = ""
    """What holds the exams and changes their scores; empty if they are held here or by Ray."""

    @property
    def way(self) -> str:
        """The kind of search: climb, joint, optuna or grid."""
        if self.joint:
            return "joint"
        return "grid" if self.grid else "optuna" if self.vary else "climb"

    @property
    def in_study(self) -> bool:
        """True if an Optuna study stores the trials, False for a file of scores."""
        return self.way in ("optuna", "grid")

    def parameters(self, recipe: MergeRecipe) -> tuple[SearchParameter, ...]:
        """The varied parameters; raises InvalidValue for what a recipe cannot vary."""
        return parse_parameters(self.grid or self.vary, recipe)


def checked_options(options: SearchOptions) -> SearchOptions:
    """The options with the defaults of their way.

    Raises:
        InvalidValue: options of two ways, or an objective of another one.
    """
    if options.joint and (options.vary or options.grid):
        raise InvalidValue("Give either --joint or --vary and --grid: they are ways of their own.")
    if options.per_model and not options.joint:
        raise InvalidValue("--per-model goes with --joint: the climb finds factors of each model.")
    for option, value in (
        ("--trials", options.trials),
        ("--objective", options.objectives),
        ("--sampler", options.sampler != "tpe"),
    ):
        if options.way == "climb" and value:
            raise InvalidValue(
                f"{option} has no meaning for the paper's climb. It goes with --vary, --grid or "
                "--joint; leave it out otherwise."
            )
    default = {"climb": (), "joint": OBJECTIVES[:1]}.get(options.way, (RETENTION,))
    objectives = options.objectives or default
    if options.joint and (len(objectives) > 1 or objectives[0] not in OBJECTIVES):
        names = ", ".join(objectives)
        raise InvalidValue(f"A joint search has the objective accuracy or loss, got {names}.")
    if options.judge and KL in objectives:
        raise InvalidValue(
            "--objective kl compares whole distributions, which a vLLM server does not send: leave "
            "it or --judge out."
        )
    limit = options.limit or (JOINT_ITEMS if options.joint else SEARCH_ITEMS)
    return replace(options, objectives=objectives, limit=limit)


def options_for(options: SearchOptions, recipe: MergeRecipe) -> SearchOptions:
    """Checked options with the number of trials for a recipe.

    Raises:
        InvalidRecipe: a recipe that this way cannot search.
        InvalidValue: an unknown sampler, parameters that do not fit, or too many trials.
    """
    if options.joint:
        trials = options.trials or usual_settings(axes_of(recipe, per_model=options.per_model))
        check_number("settings by losses", trials, 1, MOST_SETTINGS)
        return replace(options, trials=trials)
    if options.in_study:
        return replace(options, trials=_study_trials(options, recipe))
    pruner = recipe.prune.method if recipe.prune else recipe.method
    if get_method(pruner).levels != "many":
        raise InvalidRecipe(
            f"method {pruner}: it has no partitions, so there are no factors to climb. Choose dppa "
            "or magnitude, or search its other settings with --vary."
        )
    return options


def _study_trials(options: SearchOptions, recipe: MergeRecipe) -> int:
    """The number of trials of a study: all cells of a grid."""
    if options.sampler not in SAMPLERS:
        names = ", ".join(SAMPLERS)
        raise InvalidValue(f"sampler must be one of {names}, got {shown(options.sampler)}.")
    if options.vary and options.grid:
        raise InvalidValue("Give either --vary or --grid: a grid tries every pair of two settings.")
    parameters = options.parameters(recipe)
    if options.grid and len(parameters) != 2:
        raise InvalidValue(
            f"A grid has two settings, got {len(parameters)}: --grid rate=0.5:0.9:0.1 "
            "--grid factor=1,1.2,1.4."
        )
    trials = options.trials or TRIALS
    if options.grid:
        trials = len(parameters[0].values()) * len(parameters[1].values())
    check_number("trials", trials, 1, MOST_TRIALS)
    return trials


def behaviour_of_exams(objectives: Sequence[str], base: str) -> tuple[bool, str]:
    """`behaviour` and `base` of the exams of merges: only what the objectives need is measured."""
    return not set(BEHAVIOURS).isdisjoint(objectives), base if KL in objectives else ""


def check_objectives(objectives: Sequence[str], domains: Sequence[str]) -> None:
    """Raise InvalidValue for no objective, an unknown one or one twice, and for one of
    which less is better first."""
    names = (RETENTION, WORST, *LOWER, *(f"{RETENTION}.{domain}" for domain in domains))
    for objective in objectives:
        if objective not in names:
            raise InvalidValue(f"No objective {objective!r}. {did_you_mean(objective, names)}")
    if not objectives or len(set(objectives)) < len(objectives):
        raise InvalidValue("Name each objective once, and at least one: retention, density, …")
    if objectives[0] in LOWER:
        raise InvalidValue(
            f"{objectives[0]} cannot be the first objective: less is better, so that a merge that "
            "knows nothing may be best. Name retention before it."
        )
