"""The first step of a merge: its models opened, in one vocabulary, profiled and calibrated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.checkpoint import Checkpoint, stored_dtype
from dppa_core.checkpoints.matching import match_tensors, tied
from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint, pinned
from dppa_core.checkpoints.sources.open_models import OpenModels
from dppa_core.checkpoints.vocabulary.alignment import Alignment, align, tokenizer_identities
from dppa_core.merging.calibrator import Calibrator
from dppa_core.merging.cards.companions import Companions, companions_of
from dppa_core.merging.passes.whole_pass import Known
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.treatment import Request, Treatments
from dppa_core.methods.task_arithmetic import TaskArithmeticParameters, task_arithmetic
from dppa_core.preflight_checks.provenance import Parent, parent_of
from dppa_core.preflight_checks.weight_sample import RoundingLoss, rounding_loss
from dppa_core.profiling.profile import shelved_profiles
from dppa_core.profiling.reader import TunedModel
from dppa_core.profiling.significance import Score
from dppa_core.progress import Progress, RunControl, Stop
from dppa_core.pruning.coefficients import check_names
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.module_groups import Module, find_modules
from dppa_core.pruning.tensor_names import find_embedding, find_head
from dppa_core.recipes.checks import CHOICES
from dppa_core.recipes.yaml_text import MergeRecipe


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """How the tensors of base and domain models correspond."""

    places: tuple[Mapping[str, str], ...]
    """For each domain model, name in the base -> its own name."""
    twins: Mapping[str, str]
    """Head -> embedding, where the two are one tensor in every model."""
    modules: tuple[Module, ...]
    cuts: dict[str, Known]
    """Ties settled by an earlier merge of the same models; see `merge_whole`."""


@dataclass(frozen=True, slots=True, eq=False)
class MergeInputs:
    """Inputs of a merge: open checkpoints, and measurements of them."""

    recipe: MergeRecipe
    """With the commits of Hub models, and the dtype by name."""
    alignment: Alignment
    matching: Matching
    calibrator: Calibrator
    scores: tuple[Score | None, ...]
    """What ranks the elements of each model's delta; None for |d|."""
    profiles: tuple[DeltaProfile, ...]
    """Of each model; empty if the method needs none."""
    shelf: OpenModels
    """Data shared by merges of the same models."""

    @property
    def base(self) -> Checkpoint:
        """The base, in the vocabulary of the merge."""
        return self.alignment.base

    @property
    def tuned(self) -> tuple[Checkpoint, ...]:
        """The domain models, in the vocabulary of the merge."""
        return self.alignment.tuned

    @property
    def twins(self) -> Mapping[str, str]:
        """See `Matching`."""
        return self.matching.twins

    def copied(self, name: str) -> bool:
        """Whether a tensor has no delta: counters and buffers."""
        return self.base.dtype(name) not in FLOATS or name not in self.matching.places[0]

    def folders(self) -> tuple[Path, ...]:
        """Every folder that is read."""
        return tuple(folder for one in (self.base, *self.tuned) for folder in one.folders)

    def texts(self) -> tuple[Path, ...]:
        """Every file of calibration text that is read."""
        models = self.recipe.models if self.recipe.calibrated else ()
        found = (self.recipe.calibration_of(model).text for model in models)
        return tuple(Path(text).expanduser() for text in found if text)

    def parents(self) -> tuple[Parent, ...]:
        """Bases, domain models and adapters, each once, with licence and origin."""
        models = zip(references(self.recipe), (self.base, *self.tuned), strict=True)
        found = {
            name: folder
            for model, checkpoint in models
            for name, folder in zip(ModelRef.parse(model).parts(), checkpoint.folders, strict=True)
        }
        return tuple(parent_of(*named) for named in found.items())

    def rounding_losses(self) -> dict[str, RoundingLoss]:
        """What rounding to the recipe's dtype takes of each delta, for models it takes some of."""
        names = (model.model for model in self.recipe.models)
        found = {
            name: rounding_loss(self.base, tuned, self.recipe.dtype)
            for name, tuned in zip(names, self.tuned, strict=True)
        }
        return {name: loss for name, loss in found.items() if loss is not None}

    def companions(self) -> Companions:
        """Tokenizer, chat template, configuration and generation settings of the merge."""
        return companions_of(self.alignment, references(self.recipe), self.recipe.chat_template)


def open_inputs(
    recipe: MergeRecipe,
    *,
    public: bool = False,
    shelf: OpenModels | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> MergeInputs:
    """Open the models of a recipe, and measure what its method needs.

    Args:
        public: Whether strangers wrote the recipe; local folders are then refused.
        shelf: Keeps open models and data of earlier merges; none if unset.
        workers: Threads while domain models are profiled; see `profile_delta`.
        progress, stop: Called while models are fetched, profiled and calibrated; ends that.

    Raises:
        CheckpointError: a model is missing, damaged, or does not fit the base.
    """
    recipe, shelf = pinned_recipe(recipe, public), shelf or OpenModels(0)
    control: RunControl = {"progress": progress, "stop": stop}
    names = references(recipe)
    models = [shelf.checkpoint(name, public=public, **control) for name in names]
    recipe = with_dtype(recipe, models[0])
    # Models in memory are identified by names alone.
    files = names, tuple((*one.identities().items(), *tokenizer_identities(one)) for one in models)
    key = recipe.vocabulary, files
    alignment = shelf.value(("aligned", *key), partial(aligned, recipe, models))
    matching = shelf.value(("matched", recipe.heads, *key), partial(_match, recipe, alignment))
    calibrator = Calibrator(recipe, alignment, matching.places, public=public, **control)
    scores = tuple(
        shelf.value(("score", files, key), partial(calibrator.score, index))
        for index, key in enumerate(calibrator.keys())
    )
    for model in recipe.models:
        check_names(f"model {model.model!r}", model.coefficient, alignment.base.names())
    profiles: tuple[DeltaProfile, ...] = ()
    if first_stage(recipe)[2]:
        tuned = list(map(TunedModel, alignment.tuned, names[1:], scores))
        pair = alignment.base, recipe.base, tuned
        profiles = shelved_profiles(shelf, *pair, workers=workers, **control)
    calibrator.prepare()
    return MergeInputs(recipe, alignment, matching, calibrator, scores, profiles, shelf)


def _match(recipe: MergeRecipe, models: Alignment) -> Matching:
    base = models.base
    places = tuple(
        match_tensors(base, checkpoint, model.model, heads=recipe.heads)
        for checkpoint, model in zip(models.tuned, recipe.models, strict=True)
    )
    shared = set[str].intersection(*map(set, places))  # a head that one model lacks is the base's
    places = tuple({name: one[name] for name in one if name in shared} for one in places)
    names = base.names()
    head, embedding, twins = find_head(names), find_embedding(names), dict[str, str]()
    if head and embedding and all(tied(one) for one in (base, *models.tuned)):
        twins[head] = embedding  # merged as the embedding, it stays equal
    return Matching(places, twins, find_modules({name: base.shape(name) for name in names}), {})


def references(recipe: MergeRecipe) -> tuple[str, ...]:
    """References of the base and the domain models."""
    return recipe.base, *(model.model for model in recipe.models)


def aligned(recipe: MergeRecipe, models: Sequence[Checkpoint]) -> Alignment:
    """Base and domain models in the vocabulary the recipe asks for."""
    names = [model.model for model in recipe.models]
    choice = recipe.vocabulary
    whose = choice if choice in ("base", "union") else names.index(choice)
    return align(models[0], models[1:], names, whose)


def with_dtype(recipe: MergeRecipe, base: Checkpoint) -> MergeRecipe:
    """The recipe with the name of its dtype, if it asks for the base's."""
    return replace(recipe, dtype=stored_dtype(base)) if recipe.dtype == "base" else recipe


def merge_base(
    recipe: MergeRecipe, *, public: bool = False, stop: Stop | None = None
) -> Checkpoint:
    """The base of a merge, in the vocabulary of the merge."""
    recipe = pinned_recipe(recipe, public)
    models = [open_checkpoint(n, public=public, stop=stop) for n in references(recipe)]
    return aligned(recipe, models).base


def pinned_recipe(recipe: MergeRecipe, public: bool) -> MergeRecipe:
    """The recipe with every model fixed to its current commit."""
    return renamed(recipe, {name: pinned(name, public=public) for name in references(recipe)})


def renamed(recipe: MergeRecipe, names: Mapping[str, str]) -> MergeRecipe:
    """The recipe with other references for some of its models; keywords stay, as "base"."""
    settings: dict[str, Any] = {
        key: names.get(value, value)
        for key, keywords in CHOICES.items()
        if (value := getattr(recipe, key)) not in keywords
    }
    return replace(
        recipe,
        base=names.get(recipe.base, recipe.base),
        models=tuple(replace(m, model=names.get(m.model, m.model)) for m in recipe.models),
        parameters={**recipe.parameters, **_renamed_settings(recipe, names)},
        **settings,
    )


def _renamed_settings(recipe: MergeRecipe, names: Mapping[str, str]) -> dict[str, str]:
    """The settings that name a model, with its new name."""
    named = [field.name for field in fields(recipe.settings()) if field.metadata.get("model")]
    given = {name: recipe.parameters[name] for name in named}
    return {name: names.get(reference, reference) for name, reference in given.items()}


def first_stage(recipe: MergeRecipe) -> tuple[Callable[[Request, Any], Treatments], Any, bool]:
    """Treatment of single deltas, its settings, and whether it needs their profiles."""
    if recipe.prune is not None:
        method, settings = get_method(recipe.prune.method), recipe.prune.settings()
    else:
        method, settings = get_method(recipe.method), recipe.settings()
    if method.treat is None:  # it combines the deltas as they are
        return task_arithmetic, TaskArithmeticParameters(), False
    return method.treat, settings, method.needs_profile
