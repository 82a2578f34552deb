"""AdaMerging for causal language models: coefficients by entropy minimisation (arXiv:2310.02575).

Minimises, over the coefficients alone, the mean entropy of next-token distributions at the answer
positions of unlabelled prompts of all domains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import torch

from dppa_core.errors import Cancelled, InvalidRecipe
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import TensorMerger
from dppa_core.models.devices import moved, place_of
from dppa_core.models.resident import Resident, check_whole
from dppa_core.progress import Progress, RunControl, Stop, check, report
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash
from dppa_core.system.state_file import StateFile
from dppa_core.tuning.adamerging.adam_steps import Run, RunState
from dppa_core.tuning.adamerging.model import PreparedDeltas, TunableModel
from dppa_core.tuning.adamerging.replies import domain_models, encode, teach
from dppa_core.tuning.adamerging.settings import AdaMergeSettings, check_additive, with_coefficients
from dppa_core.tuning.adamerging.snapshot import Snapshot, best_of
from dppa_core.tuning.adamerging.texts import Domain, check_count, fingerprint

Watch = Callable[[Snapshot], None]


@dataclass(frozen=True, slots=True)
class AdaMergeResult:
    """The result of a run."""

    recipe: MergeRecipe
    """The recipe with the coefficients of the best checkpoint."""
    best: Snapshot
    snapshots: tuple[Snapshot, ...]
    objectives: tuple[float, ...]
    """Mean of the domains' objectives at every step, in nats, on that step's prompts."""
    settings: AdaMergeSettings
    ended_early: bool
    """True if checkpoints in a row showed a collapse and ended the run."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy: the log of the run."""
        return {
            "recipe": recipe_hash(self.recipe),
            "settings": asdict(self.settings),
            "best": self.best.to_json(),
            "collapsed": any(snapshot.collapsed for snapshot in self.snapshots),
            "ended_early": self.ended_early,
            "snapshots": [snapshot.to_json() for snapshot in self.snapshots],
            "objectives": list(self.objectives),
        }


def prepared(
    recipe: MergeRecipe,
    domains: Sequence[Domain],
    byte_budget: int | None = None,
    public: bool = False,
    **control: Unpack[RunControl],
) -> PreparedDeltas:
    """The deltas of a recipe whose method adds them, with a domain for each model."""
    check_additive(recipe)
    check_count(domains, recipe)
    return PreparedDeltas(recipe, byte_budget=byte_budget, public=public, **control)


def adamerge(
    recipe: MergeRecipe,
    domains: Sequence[Domain],
    settings: AdaMergeSettings | None = None,
    *,
    state: Path | None = None,
    byte_budget: int | None = None,
    public: bool = False,
    progress: Progress | None = None,
    watch: Watch | None = None,
    stop: Stop | None = None,
) -> AdaMergeResult:
    """Find the coefficients of a recipe; its own coefficients are ignored.

    Args:
        recipe: Uses a method that adds deltas; defines the treatment of each delta.
        domains: One per model, in the recipe's order.
        state: A file to resume from; written at every checkpoint and at the end, also of a
            stopped run. A resumed run has the same result.
        byte_budget: Largest size of deltas kept in memory beside the model, in bytes; see
            `PreparedDeltas`.
        public: Strangers wrote the recipe; a model larger than `byte_budget` is then refused.

    Raises:
        InvalidRecipe: a method that combines deltas, or a vocabulary that is not the base's.
        InvalidValue: domains or a state that do not fit.
        IncompatibleCheckpoints: weights are stored in another form in memory than on disk.
        OutOfBudget: a model larger than the budget of memory.
        Cancelled: stopped; the state is kept.
    """
    settings = settings or AdaMergeSettings()
    _check_vocabulary(recipe)
    control: RunControl = {"progress": progress, "stop": stop}
    deltas = prepared(recipe, domains, byte_budget, public, **control)
    recipe = deltas.merger.recipe
    resident = own_model(deltas.merger, byte_budget, public, **control)
    made_by = _made_by(deltas, domains, settings, resident)
    file = StateFile(state, "adamerging", "run", made_by) if state else None
    begun = file.load(lambda value: RunState.from_json(value["state"])) if file else None
    scripts = tuple(encode(resident, domain) for domain in domains)
    weights = TunableModel(deltas, resident.model, per_layer=settings.per == "layer")
    if settings.positions == "teacher":
        scripts = teach(resident, scripts, recipe, settings, **control)
    experts = domain_models(resident, recipe, stop) if settings.objective == "experts" else ()
    run = Run(weights, resident, scripts, settings, getattr(torch, recipe.dtype), begun, experts)

    def keep() -> None:
        if file is not None:
            file.save({"state": run.state.to_json()})

    try:
        _run_to_the_end(run, settings, keep, watch, **control)
    except Cancelled as error:
        resumes = f"; {state} is kept, and the same run resumes there" if state is not None else ""
        raise Cancelled(f"Stopped after step {run.state.step}, as asked{resumes}.") from error
    finally:
        keep()
    return _result(recipe, run, settings)


def _run_to_the_end(
    run: Run,
    settings: AdaMergeSettings,
    keep: Callable[[], None],
    watch: Watch | None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> None:
    while run.goes_on():
        check(stop)
        if run.is_checkpoint():
            report(progress, run.step, settings.steps, "checkpoint")
            snapshot = run.take_snapshot(stop)
            keep()
            if watch:
                watch(snapshot)
        else:
            last = f" {run.objectives[-1]:.4f}" if run.objectives else ""
            report(progress, run.step, settings.steps, settings.objective + last)
            run.advance(stop)


def _result(recipe: MergeRecipe, run: Run, settings: AdaMergeSettings) -> AdaMergeResult:
    best = best_of(run.state.snapshots)
    return AdaMergeResult(
        with_coefficients(recipe, [list(row) for row in best.coefficients]),
        best,
        run.state.snapshots,
        run.state.objectives,
        settings,
        run.ended_early(),
    )


def _check_vocabulary(recipe: MergeRecipe) -> None:
    if not recipe.keeps_vocabulary:
        raise InvalidRecipe(
            f"vocabulary: {recipe.vocabulary}: coefficients are tuned in the vocabulary of the "
            "base. Leave the key out, and add it to the resulting recipe."
        )


def own_model(
    merger: TensorMerger,
    byte_budget: int | None = None,
    public: bool = False,
    **control: Unpack[RunControl],
) -> Resident:
    """The base with the merge's tokenizer, on a GPU if it is large (`moved`); not shared, because
    the run writes to it. On a public page it may have `byte_budget`."""
    pool = ModelPool(byte_budget, public=True) if public else ModelPool()
    recipe = merger.recipe
    target: str | MergeRecipe = recipe.base
    if merger.inputs.companions().changed:  # a merge with coefficients 0 has its chat template
        models = tuple(DomainModel(model.model, coefficient=0.0) for model in recipe.models)
        target = MergeRecipe(
            recipe.base,
            models,
            "task_arithmetic",
            dtype="float32",
            chat_template=recipe.chat_template,
        )
    resident = pool.get(target, **control)
    check_whole(resident, "AdaMerging")
    return replace(resident, model=moved(resident.model, resident.nbytes))


def _made_by(
    deltas: PreparedDeltas,
    domains: Sequence[Domain],
    settings: AdaMergeSettings,
    resident: Resident,
) -> dict[str, Any]:
    """Everything a run depends on, except its number of steps."""
    place = place_of(resident.model)
    merger = deltas.merger
    fixed = {name: value for name, value in asdict(settings).items() if name != "steps"}
    checkpoints = (merger.base, *merger.inputs.tuned)
    return {
        "recipe": recipe_hash(merger.recipe),
        "weights": "-".join(checkpoint.content_hash() for checkpoint in checkpoints),
        "texts": fingerprint(domains),
        **({"place": ", ".join(place)} if place else {}),
        **fixed,
    }
