"""Functions of `import dppa_core` over what several commands of the command line put together.

Options have the names that they have there, without dashes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dppa_core.checkpoints.sources.references import checked_reference
from dppa_core.cli.cluster import exam_place
from dppa_core.cli.options import domains_in
from dppa_core.cli.search_options import (
    check_study,
    parameter_texts,
    search_in_lines,
    settled_options,
)
from dppa_core.errors import DppaError, InvalidValue, shown
from dppa_core.evaluation.scores import base_of
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.preflight_checks.preflight_report import (
    PreflightReport,
    preflight_models,
    preflight_recipe,
)
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.recipe_argument import as_recipe, recipe_or_model
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks import DOMAINS, OwnDomain
from dppa_core.tasks.item_files import EXAMPLE
from dppa_core.tuning.search.options import SearchOptions

if TYPE_CHECKING:
    from dppa_core.evaluation.scores import Evaluation
    from dppa_core.tuning.search.climb import ClimbResult
    from dppa_core.tuning.search.joint_sampler import JointResult
    from dppa_core.tuning.search.results import StudyState

Texts = str | Sequence[str]
Files = str | Path | Sequence[str | Path]
F = TypeVar("F", bound=Callable[..., Any])
_OPTION = re.compile(r"`[^`]*`|(?<![\w-])--([a-z][a-z-]*)")
"""A command, which stays as it is; or an option."""
_ARGUMENTS = {"overwrite": "overwrite=True"}
_LARGEST_SEED = 2**32 - 1
"""The largest that numpy, and so Optuna's samplers, take."""


def preflight(
    recipe: MergeRecipe | str | Path,
    *models: str | Path,
    measure: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> PreflightReport:
    """Check whether models can be merged, before any weight is fetched: `dppa preflight`.

    Args:
        recipe: A recipe, or the path of its file; before `models` the reference of their base.
        models: References of the domain models.
        measure: Whether to read weights that are here, to measure how far each model is from the
            base, as ‖d‖/‖W‖.
        workers: Threads of the merge to expect, and of measuring.
        progress: Called while weights are measured.
        stop: Ends measuring, and looking for NaN.

    Raises:
        InvalidRecipe: see `as_recipe`.
        InvalidValue: no reference, or a base alone. What is wrong with a model is a finding.
        Cancelled: `stop` was set.
    """
    control: dict[str, Any] = {"measure": measure, "workers": workers}
    control |= {"progress": progress, "stop": stop}
    if models:
        base, tuned = checked_reference(recipe), tuple(map(checked_reference, models))
        return preflight_models(base, tuned, **control)
    read = recipe_or_model(recipe)
    if not isinstance(read, MergeRecipe):
        raise InvalidValue(
            f"Name a recipe, or the base and then at least one domain model; got {read} alone."
        )
    return preflight_recipe(read, **control)


def evaluate(
    target: MergeRecipe | str | Path,
    tasks: Texts | None = None,
    *,
    items: Files | None = None,
    scorer: str | None = None,
    split: str = "test",
    limit: int | None = None,
    behaviour: bool = False,
) -> Evaluation:
    """Score one model, or one merge in memory: `dppa evaluate --alone`.

    Args:
        target: A recipe, the path of its file, or a model's reference ("zoo:math", a folder,
            "owner/name").
        tasks: Domains: math, finance, law; all of them if neither tasks nor items are named.
        items: Files of one's own questions, JSON lines or CSV, as "FILE" or "NAME=FILE"; each is a
            domain, whose questions are divided between the splits search and test.
        scorer: Of items that declare none: exact, number or contains.
        split: "test"; "search" for choices that a test must not decide; "train".
        limit: Items a domain, at least 1; all of them if None.
        behaviour: Measure the length of answers, the share of loops and the distance to the base,
            too: `dppa evaluate --behaviour`.

    Returns:
        Accuracies as shares of 1 with 95 % intervals, and losses in nats per token, by domain.

    Raises:
        InvalidRecipe, CheckpointError: a recipe or a model that cannot be read.
        UnknownName: no such domain.
        InvalidValue: a file that cannot be read, no such split, or more items than it has.
    """
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

    with _python_options():
        domains, asked = _domains(tasks, items, scorer) or DOMAINS, recipe_or_model(target)
        exam: dict[str, Any] = {"split": split, "limit": limit, "behaviour": behaviour}
        return Examiner().evaluation(asked, domains, base=base_of(asked), **exam)


def search(
    recipe: MergeRecipe | str | Path,
    *,
    tasks: Texts | None = None,
    items: Files | None = None,
    scorer: str | None = None,
    limit: int | None = None,
    state: str | Path | None = None,
    joint: bool = False,
    per_model: bool = False,
    vary: Texts | Mapping[str, object] = (),
    grid: Texts | Mapping[str, object] = (),
    space: str | Path | None = None,
    objective: Texts = (),
    trials: int | None = None,
    study: str | Path | None = None,
    name: str = "dppa",
    sampler: str = "tpe",
    seed: int = 0,
    prune: bool = True,
    say: Callable[[str], None] | None = None,
) -> ClimbResult | JointResult | StudyState:
    """Find the best merge, by questions of the search split: `dppa search`.

    By the paper's climb, by a joint search, by Optuna (vary), or on a grid. Nothing is written but
    `state` and `study`. The `recipe` of the result has what was found; `evaluate` scores it on the
    test split.

    Args:
        recipe: A recipe, or the path of its file.
        tasks: The domain of each model; by default those of the embedded models.
        items, scorer: See `evaluate`.
        limit: Search items a domain: 64, and 200 for a joint search, if None.
        state: File from which a stopped climb or joint search goes on.
        joint: Whether factors, coefficient and strength are chosen together.
        per_model: With joint: whether each model has its own factors.
        vary: Settings for Optuna: "rate=0.5:0.95", "method=dppa,ties", or a mapping such as
            {"method": ["dppa", "ties"]}.
        grid: Two settings, of which every pair is tried: "rate=0.5:0.9:0.1".
        space: Or a YAML file with `search:`.
        objective: retention, worst, retention.DOMAIN, density; several give a front. With joint:
            accuracy or loss.
        trials: Settings, earlier ones included; the default of `dppa search` if None.
        study: With vary or grid: SQLite file of a study that can go on; in memory if None.
        name: Of the study in that file.
        sampler: tpe, nsga2 or random.
        seed: Of the sampler, a whole number from 0 to 2**32 - 1.
        prune: Whether trials without hope end early.
        say: Called with a line for each setting tried, as `print`.

    Raises:
        InvalidRecipe: no recipe, or one that the search cannot vary.
        InvalidValue: options that do not go together or are out of range, or a model without a
            domain.
        CheckpointError: a model that cannot be read.
    """
    given, lines = as_recipe(recipe), say or (lambda line: None)
    varied = _parameters("vary", vary), _parameters("grid", grid)
    counts = trials or 0, limit or 0
    options = SearchOptions(
        *varied, joint, per_model, _listed(objective), *counts, sampler, seed, prune
    )
    files = [None if file is None else Path(file) for file in (state, study, space)]
    with _python_options():
        check_study(files[1])
        options = settled_options(options, files[2], given)
        _check_options(options, limit, files[1])
        domains = _domains(tasks, items, scorer)
        with exam_place(None, given) as place:
            memory = files[options.in_study]
            result = search_in_lines(given, options, place, domains, lines, memory, name)
    return cast("ClimbResult | JointResult | StudyState", result)


def _check_options(options: SearchOptions, limit: int | None, study: Path | None) -> None:
    """Raise InvalidValue for what the command line refuses, and for an unused study."""
    if limit is not None and (type(limit) is not int or limit < 1):
        raise InvalidValue(
            f"limit must be a whole number of at least 1, or None, got {shown(limit)}. None takes "
            "the default."
        )
    if type(options.seed) is not int or not 0 <= options.seed <= _LARGEST_SEED:
        raise InvalidValue(
            f"seed must be a whole number from 0 to {_LARGEST_SEED}, got {shown(options.seed)}."
        )
    if study is not None and not options.in_study:
        raise InvalidValue("study goes with vary or grid; the other searches go on from state.")


def _listed(texts: Texts) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _parameters(key: str, settings: Texts | Mapping[str, object]) -> tuple[str, ...]:
    return parameter_texts(key, settings) if isinstance(settings, Mapping) else _listed(settings)


def _domains(tasks: Texts | None, items: Files | None, scorer: str | None) -> list[str] | None:
    """Domains of tasks, and of items behind them; None if neither is named."""
    files = [items] if isinstance(items, (str, Path)) else items or ()
    _check_paths(files)
    names = None if tasks is None else _listed(tasks)
    read = {str(one): one for one in names or () if isinstance(one, OwnDomain)}
    text = None if names is None else ",".join(names)
    domains = domains_in(text, [str(file) for file in files], scorer)
    return domains and [read.get(name, name) for name in domains]


def _check_paths(files: object) -> None:
    """Raise InvalidValue for questions, or anything else, in the place of files."""
    given = files if isinstance(files, Sequence) else [files]
    wrong = [file for file in given if not isinstance(file, (str, Path))]
    if wrong:
        raise InvalidValue(
            "items must be paths of files (JSON lines or CSV), each as FILE or NAME=FILE; got "
            f"{shown(wrong[0])}. Write questions into a file. {EXAMPLE}"
        )


@contextmanager
def _python_options() -> Iterator[None]:
    """Write options in errors as Python does: per_model for --per-model."""
    try:
        yield
    except DppaError as error:
        error.args = (_OPTION.sub(_argument, str(error)),)
        raise


def _argument(found: re.Match[str]) -> str:
    name = (found[1] or "").replace("-", "_")
    return _ARGUMENTS.get(name, name) or found[0]


def _public(name: str, function: F) -> F:
    """A function by its public name, with errors that write options as Python does."""
    public = _python_options()(function)
    public.__name__ = public.__qualname__ = name
    public.__module__ = __name__
    return public


merge = _public("merge", merge_to_folder)
pack = _public("pack", pack_models)
