"""The first step of a merge: its models opened, in one vocabulary, profiled and calibrated."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from dppa_core.checkpoints.aligned_checkpoint import moves_rows
from dppa_core.checkpoints.checkpoint import Checkpoint, stored_dtype
from dppa_core.checkpoints.matching import match_tensors, tied
from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint, pinned, tokenizer_place
from dppa_core.checkpoints.sources.references import rename_models
from dppa_core.checkpoints.vocabulary.alignment import Alignment, align, tokenizer_identities
from dppa_core.checkpoints.vocabulary.token_rows import BASE_WORD, ZERO
from dppa_core.checkpoints.vocabulary.tokenizer_files import OtherTokenizer
from dppa_core.checkpoints.weight_file import file_identity
from dppa_core.merging.calibrated import check_texts, scores_of, statistics_of, text_files
from dppa_core.merging.cards.companions import Companions, companions_of
from dppa_core.merging.passes.combined_pass import CalibrationFacts
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.contract import Method
from dppa_core.preflight_checks.provenance import Parent, parent_of
from dppa_core.profiling.calibration.statistics import Statistics
from dppa_core.profiling.profile import ProfileOptions, kept_profiles
from dppa_core.profiling.reader import TunedModel
from dppa_core.profiling.rounding_loss import RoundingLoss, rounding_loss
from dppa_core.profiling.significance import Score
from dppa_core.progress import Progress, RunControl, Stop
from dppa_core.pruning.coefficients import check_names
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.module_groups import Module, find_modules
from dppa_core.pruning.tensor_names import find_embedding, find_head
from dppa_core.recipes.merged_tokens import CHOICES
from dppa_core.recipes.yaml_text import MergeRecipe


@dataclass(frozen=True, slots=True, eq=False)
class MergeInputs:
    """Inputs of a merge: open checkpoints, and measurements of them."""

    recipe: MergeRecipe
    """With the commits of Hub models, and the dtype by name."""
    alignment: Alignment
    places: tuple[Mapping[str, str], ...]
    """For each domain model, name in the base -> its own name."""
    twins: Mapping[str, str]
    """Head -> embedding, where the two are one tensor in every model."""
    modules: tuple[Module, ...]
    scores: tuple[Score | None, ...]
    """The score that ranks the elements of each model's delta; None for |d|."""
    statistics: tuple[Statistics, ...]
    """Of each model on its calibration text; empty if the method needs none."""
    profiles: tuple[DeltaProfile, ...]
    """Of each model; empty if the method needs none."""

    @property
    def base(self) -> Checkpoint:
        """The base, in the vocabulary of the merge."""
        return self.alignment.base

    @property
    def tuned(self) -> tuple[Checkpoint, ...]:
        """The domain models, in the vocabulary of the merge."""
        return self.alignment.tuned

    def copied(self, name: str) -> bool:
        """Return True if a tensor has no delta, as counters and buffers."""
        return self.base.dtype(name) not in FLOATS or name not in self.places[0]

    def facts(self, tensor: str, index: int) -> CalibrationFacts:
        """Facts from calibration text about a tensor, by its name in the base, of one model."""
        measured, name = self.statistics[index], self.places[index][tensor]
        if moves_rows(self.tuned[index], name):  # measured in rows of another order
            return CalibrationFacts(None, 1, measured.norm)
        axis = measured.axes.get(name, 1)
        return CalibrationFacts(measured.arrays.get(name), axis, measured.norm)

    def folders(self) -> tuple[Path, ...]:
        """Every folder that is read."""
        models = (self.base, *self.tuned)
        return tuple(folder for model in models for folder in model.folders)

    def parents(self) -> tuple[Parent, ...]:
        """Bases, domain models and adapters, each once, with licence and origin."""
        models = zip(references(self.recipe), (self.base, *self.tuned), strict=True)
        folders = {
            name: folder
            for model, checkpoint in models
            for name, folder in zip(ModelRef.parse(model).parts(), checkpoint.folders, strict=True)
        }
        return tuple(parent_of(*named) for named in folders.items())

    def rounding_loss(self) -> RoundingLoss | None:
        """What rounding to the recipe's dtype takes of whole deltas, each times its coefficient."""
        coefficients = [model.coefficient for model in self.recipe.models]
        added = list(zip(self.tuned, coefficients, strict=True))
        return rounding_loss(self.base, added, self.recipe.dtype)

    def companions(self) -> Companions:
        """Tokenizer, chat template, configuration and generation settings of the merge."""
        return companions_of(self.alignment, references(self.recipe), self.recipe.chat_template)


def open_inputs(
    recipe: MergeRecipe,
    *,
    public: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> MergeInputs:
    """Open the models of a recipe, and measure what its method needs.

    Args:
        public: Strangers wrote the recipe; local folders are then refused.
        workers: Threads while domain models are profiled; see `profile_delta`.
        progress, stop: Called while models are fetched, profiled and calibrated; ends that.

    Raises:
        CheckpointError: a model is missing, damaged, or does not fit the base.
    """
    control: RunControl = {"progress": progress, "stop": stop}
    opened = open_models(recipe, public=public, **control)
    return measure_inputs(*opened, public=public, workers=workers, **control)


def open_models(
    recipe: MergeRecipe,
    *,
    public: bool = False,
    open_model: Callable[..., Checkpoint] = open_checkpoint,
    **control: Unpack[RunControl],
) -> tuple[MergeRecipe, tuple[Checkpoint, ...]]:
    """The recipe with commits and dtype by name, and its open models, the base first.

    Args:
        open_model: Opens a reference as `open_checkpoint` does.
        public, control: See `open_inputs`.
    """
    recipe = pinned_recipe(recipe, public)
    models = tuple(open_model(name, public=public, **control) for name in references(recipe))
    for model in recipe.models:
        for value in (model.coefficient, *model.parameters.values()):
            check_names(f"model {model.model!r}", value, models[0].names())
    return with_dtype(recipe, models[0]), models


def measure_inputs(
    recipe: MergeRecipe,
    models: Sequence[Checkpoint],
    *,
    public: bool = False,
    **control: Unpack[ProfileOptions],
) -> MergeInputs:
    """Align open models, and measure what the recipe's method needs; see `open_inputs`."""
    run: RunControl = {"progress": control.get("progress"), "stop": control.get("stop")}
    alignment = aligned(recipe, models, public)
    places = _match(recipe, alignment)
    if public:
        check_texts(recipe)
    scores = scores_of(recipe, alignment, **run)
    profiles: tuple[DeltaProfile, ...] = ()
    if pruner_of(recipe)[0].needs_profile:
        tuned = list(map(TunedModel, alignment.tuned, references(recipe)[1:], scores))
        profiles = kept_profiles(alignment.base, tuned, recipe.base, **control)
    return MergeInputs(
        recipe=recipe,
        alignment=alignment,
        places=places,
        twins=_twins(alignment),
        modules=find_modules({name: alignment.base.shape(name) for name in alignment.base.names()}),
        scores=scores,
        statistics=statistics_of(recipe, alignment, **run),
        profiles=profiles,
    )


def measured_from(recipe: MergeRecipe, models: Sequence[Checkpoint]) -> tuple[Hashable, ...]:
    """Everything that `measure_inputs` depends on: files by identities, models in memory by name.

    Factors, levels, coefficients and the dtype are not part of it.
    """
    combination = get_method(recipe.method).combination
    calibrations = recipe.models if recipe.calibrated else ()
    return (
        *(references(recipe), recipe.vocabulary, recipe.token_rows),
        *(recipe.heads, recipe.significance),
        *(pruner_of(recipe)[0].needs_profile, combination.statistics if combination else ""),
        tuple((*model.identities().items(), *tokenizer_identities(model)) for model in models),
        tuple(map(tokenizer_identities, _other_tokenizer(recipe))),
        tuple(recipe.calibration_of(model) for model in calibrations),
        tuple(file_identity(path) for path in text_files(recipe)),
    )


def _match(recipe: MergeRecipe, models: Alignment) -> tuple[Mapping[str, str], ...]:
    """For each domain model, name in the base -> its own name."""
    places = tuple(
        match_tensors(models.base, checkpoint, model.model, heads=recipe.heads)
        for checkpoint, model in zip(models.tuned, recipe.models, strict=True)
    )
    shared = set[str].intersection(*map(set, places))  # a head that one model lacks is the base's
    return tuple({name: names[name] for name in names if name in shared} for names in places)


def _twins(models: Alignment) -> dict[str, str]:
    names = models.base.names()
    head, embedding = find_head(names), find_embedding(names)
    if head and embedding and all(tied(model) for model in (models.base, *models.tuned)):
        return {head: embedding}  # merged as the embedding, it stays equal
    return {}


def references(recipe: MergeRecipe) -> tuple[str, ...]:
    """References of the base and the domain models."""
    return recipe.base, *(model.model for model in recipe.models)


def aligned(recipe: MergeRecipe, models: Sequence[Checkpoint], public: bool = False) -> Alignment:
    """Base and domain models in the vocabulary the recipe asks for."""
    names = [model.model for model in recipe.models]
    places = {name: names.index(name) for name in names}
    choices = (*_other_tokenizer(recipe, public), places.get(recipe.vocabulary, recipe.vocabulary))
    return align(models[0], models[1:], names, choices[0], recipe.token_rows)


def _other_tokenizer(recipe: MergeRecipe, public: bool = False) -> tuple[OtherTokenizer, ...]:
    """The tokenizer of a model that is not merged, if the recipe names one."""
    name = recipe.vocabulary
    if name in (*CHOICES["vocabulary"], *references(recipe)[1:]):
        return ()
    return (OtherTokenizer(name, tokenizer_place(name, public=public)),)


def with_dtype(recipe: MergeRecipe, base: Checkpoint) -> MergeRecipe:
    """The recipe with the name of its dtype, if it asks for the base's."""
    return replace(recipe, dtype=stored_dtype(base)) if recipe.dtype == "base" else recipe


def merge_base(
    recipe: MergeRecipe, *, public: bool = False, stop: Stop | None = None
) -> Checkpoint:
    """The base of a merge, in the vocabulary of the merge."""
    return aligned(*open_models(recipe, public=public, stop=stop), public).base


def pinned_recipe(recipe: MergeRecipe, public: bool) -> MergeRecipe:
    """The recipe with every model fixed to its current commit."""
    names = {*references(recipe), recipe.vocabulary} - {*CHOICES["vocabulary"]}
    return renamed(recipe, {name: pinned(name, public=public) for name in names})


def renamed(recipe: MergeRecipe, names: Mapping[str, str]) -> MergeRecipe:
    """The recipe with other references for some of its models; keywords stay, as "base".

    A model may be named as a whole, or inside stacks.
    """

    def rename(reference: str) -> str:
        other = names.get(reference)
        return other or rename_models(reference, lambda name: names.get(name, name))

    models = {model.model for model in recipe.models}
    settings: dict[str, Any] = {
        key: rename(value)
        for key, keywords in CHOICES.items()
        if (value := getattr(recipe, key)) not in keywords and value in {*models, recipe.vocabulary}
    }
    tokens = {
        token: row if row.source in (BASE_WORD, ZERO) else replace(row, source=rename(row.source))
        for token, row in recipe.token_rows.tokens.items()
    }
    return replace(
        recipe,
        base=rename(recipe.base),
        models=tuple(replace(m, model=rename(m.model)) for m in recipe.models),
        parameters={**recipe.parameters, **_renamed_settings(recipe, rename)},
        token_rows=replace(recipe.token_rows, tokens=tokens),
        **settings,
    )


def _renamed_settings(recipe: MergeRecipe, rename: Callable[[str], str]) -> dict[str, str]:
    """The settings that name a model, with its new name."""
    settings = get_method(recipe.method).named_models
    return {setting: rename(recipe.parameters[setting]) for setting in settings}


def pruner_of(recipe: MergeRecipe) -> tuple[Method, Any]:
    """The method of the merge's first stage, and its settings: the pruning if there is one."""
    stage = recipe.prune or recipe
    return get_method(stage.method), stage.settings()
