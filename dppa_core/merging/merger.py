"""From a recipe to merged tensors, one at a time.

Knows checkpoints and methods, not folders to write nor models in memory. Every tensor is
independent of the others: the same recipe gives the same bytes in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.aligned_checkpoint import moves_rows
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.chunks import Loader, TensorPair
from dppa_core.checkpoints.matching import match_tensors, tied
from dppa_core.checkpoints.page_release import Releaser
from dppa_core.checkpoints.sources.open import ModelRef
from dppa_core.checkpoints.sources.open_models import Shelf
from dppa_core.checkpoints.vocabulary.alignment import tokenizer_identities
from dppa_core.kernels import get_backend
from dppa_core.merging.actions import Action
from dppa_core.merging.calibrator import Calibrator
from dppa_core.merging.cards.companions import Companions, companions_of
from dppa_core.merging.cards.provenance import Parent, parent_of
from dppa_core.merging.chunk_pass import Fuser, Fusion, Ingredient, Term, prepare_term
from dppa_core.merging.combined_pass import Layers, StackMerger
from dppa_core.merging.inputs import aligned, first_stage, pinned_recipe
from dppa_core.merging.preflight.of_weights import base_warnings
from dppa_core.merging.whole_pass import Known
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.treatment import Request, Treatments
from dppa_core.profiling.profile import DeltaProfile, TunedModel, shelved_profiles
from dppa_core.progress import Progress, Stop
from dppa_core.pruning.coefficients import check_names, coefficient_of
from dppa_core.pruning.density import Override, PruningParameters, significance
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS
from dppa_core.pruning.module_groups import find_modules, layer_count
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.pruning.tensor_names import find_embedding, find_head
from dppa_core.recipes.yaml_text import MergeRecipe


class Merger:
    """Merges one tensor at a time, in any order, as often as asked. Safe for many threads.

    Args:
        recipe: What to merge.
        backend: "numba", or "torch" for the slow reference; the bytes are the same.
        public: Whether strangers wrote the recipe; local folders are then refused.
        shelf: Where models are open already, and what is known of them; none if unset.
        often: Whether every tensor is asked for many times: what is worked out is then kept.
        workers: Threads while domain models are profiled; see `profile_delta`.
        progress: Told while models are fetched and profiled.
        stop: Ends fetching and profiling.

    Attributes:
        recipe: The recipe, with the commits of models of the Hub.
        backend: As given.
        twins: Head -> embedding, where the two are one tensor in every model.
        cuts: What is known of ties since another merge of the same models; see `merge_whole`.

    Raises:
        CheckpointError: a model that is missing, damaged, or does not fit the base.
    """

    def __init__(
        self,
        recipe: MergeRecipe,
        *,
        backend: str = "numba",
        public: bool = False,
        shelf: Shelf | None = None,
        often: bool = False,
        workers: int | None = None,
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._kernels, self.backend = get_backend(backend), backend  # fails before anything is read
        self.recipe = recipe = pinned_recipe(recipe, public)
        self._often = often
        self._shelf = shelf or Shelf(0)

        def opened(reference: str) -> Checkpoint:
            return self._shelf.checkpoint(reference, public=public, progress=progress, stop=stop)

        names = recipe.base, *(model.model for model in recipe.models)
        models = tuple(map(opened, names))
        read = tuple((*one.identities().items(), *tokenizer_identities(one)) for one in models)
        files = names, read  # of models in memory, names are all there is
        self.alignment = self._shelf.value(
            ("aligned", recipe.base, recipe.vocabulary, files), lambda: aligned(recipe, models)
        )
        self.base, self.tuned = self.alignment.base, self.alignment.tuned
        self._releaser = Releaser((self.base, *self.tuned))
        self._places, self.twins = self._shelf.value(
            ("matched", recipe.base, recipe.vocabulary, files),
            lambda: (self._matched(), self._tied_heads()),
        )
        self.cuts: dict[str, Known] = self._shelf.value(("cuts", recipe.vocabulary, files), dict)
        self._calibrator = Calibrator(
            *(recipe, self.alignment, self._places), public=public, progress=progress, stop=stop
        )
        self._scores = tuple(
            self._shelf.value(("score", files, one), partial(self._calibrator.score, index))
            for index, one in enumerate(self._calibrator.keys())
        )
        self.modules = find_modules({name: self.base.shape(name) for name in self.base.names()})
        self._layers = layer_count(self.base.names())
        for model in recipe.models:
            check_names(f"model {model.model!r}", model.coefficient, self.base.names())
        self._profiles: dict[str, DeltaProfile] = {}
        self._treatments = tuple(self._treated(workers=workers, progress=progress, stop=stop))
        self._prepared: dict[tuple[str, int], tuple[Action, int] | None] = {}
        self._stacks = self._stack_merger(stop)
        self.plans: tuple[PruningPlan, ...] = tuple(
            treatments.plan for treatments in self._treatments if treatments.plan is not None
        )

    def parents(self) -> tuple[Parent, ...]:
        """Bases, domain models and adapters, each once, and what they say of themselves."""
        models = (self.recipe.base, *(model.model for model in self.recipe.models))
        found = {
            name: folder
            for model, checkpoint in zip(models, (self.base, *self.tuned), strict=True)
            for name, folder in zip(ModelRef.parse(model).parts(), checkpoint.folders, strict=True)
        }
        return tuple(parent_of(*named) for named in found.items())

    def base_warnings(self) -> tuple[str, ...]:
        """Domain models hardly made from this base, where the method wanted their profiles."""
        return base_warnings(self._profiles.items())

    def companions(self) -> Companions:
        """Tokenizer, chat template, configuration and generation settings of the merge."""
        names = (self.recipe.base, *(model.model for model in self.recipe.models))
        return companions_of(self.alignment, names, self.recipe.chat_template)

    def folders(self) -> tuple[Path, ...]:
        """Every folder that is read."""
        return tuple(folder for one in (self.base, *self.tuned) for folder in one.folders)

    def texts(self) -> tuple[Path, ...]:
        """Every file of calibration text that is read."""
        models = self.recipe.models if self.recipe.calibrated else ()
        found = (self.recipe.calibration_of(model).text for model in models)
        return tuple(Path(text).expanduser() for text in found if text)

    def names(self) -> tuple[str, ...]:
        """Names of all merged tensors: those of the base."""
        return self.base.names()

    def dtype(self, name: str) -> str:
        """Dtype of a merged tensor: the recipe's, or the base's where it is copied."""
        return self.base.dtype(name) if self._copied(name) else DTYPE_CODES[self.recipe.dtype]

    def tensor(self, name: str) -> tuple[str, tuple[int, ...], Shaped[ndarray, " n"]]:
        """Merge one tensor: its dtype, shape, and elements flat as `Checkpoint.raw` gives them.

        Raises:
            NonFiniteWeights: NaN or infinity in a weight, or a sum too large for the dtype.
        """
        loader = self.loader()
        layers = self.layers(name, loader)
        if layers is None:
            return self.base.dtype(name), self.base.shape(name), self.base.raw(name)
        fusion = layers.fusion
        if self.combines:
            return fusion.dtype, layers.shape, self.combined(layers)
        raw: Shaped[ndarray, " n"] = np.empty(fusion.base.size, FLOATS[fusion.dtype])
        Fuser(loader).fuse_into(fusion, 0, raw)
        return fusion.dtype, layers.shape, raw

    def loader(self) -> Loader:
        """What one thread reads tensors with; keeps mapped pages out of this process's memory."""
        return Loader(self._kernels, self._releaser.read)

    @property
    def combines(self) -> bool:
        """Whether the method combines all deltas of a tensor, instead of adding one by one."""
        return self._stacks is not None

    def combined(self, layers: Layers) -> Shaped[ndarray, " n"]:
        """One whole merged tensor of a method that combines deltas; see `StackMerger.merge`."""
        return self.stacks.merge(layers)

    @property
    def stacks(self) -> StackMerger:
        """What combines deltas, where the method does."""
        if self._stacks is None:
            raise TypeError(f"{self.recipe.method} combines no deltas")
        return self._stacks

    def layers(self, name: str, loader: Loader) -> Layers | None:
        """All that a merged tensor is made of; None where it is the base's, copied.

        Coefficients are part of deltas that are added, not of those that are combined.
        """
        name = self.twins.get(name, name)
        if self._copied(name):
            return None
        base = self.base.raw(name), self.base.dtype(name)
        coefficients = [
            coefficient_of(model.coefficient, name, self._layers) for model in self.recipe.models
        ]
        terms: list[Term | None] = []
        for index, weight in enumerate(coefficients):
            tuned, other = self.tuned[index], self._places[index][name]
            pair = TensorPair(name, *base, tuned.raw(other), tuned.dtype(other))
            terms.append(self._term(loader, pair, index, 1.0 if self.combines else weight))
        kept = tuple(term.kept if term else 0 for term in terms)
        added = tuple(term for term in terms if term)
        fusion = Fusion(name, *base, added, self.dtype(name), kept)
        models = tuple(index for index, term in enumerate(terms) if term)
        return Layers(fusion, self.base.shape(name), models, tuple(coefficients))

    def ingredients(self, name: str) -> tuple[Ingredient, ...] | None:
        """Each model's part in a tensor, none of it read; None if deltas are combined or scored."""
        name = self.twins.get(name, name)
        if self.combines or self._copied(name) or any(self._scores):
            return None
        return tuple(
            Ingredient(
                tuned.raw(places[name]),
                tuned.dtype(places[name]),
                given.modules.get(name, given.others),
                coefficient_of(model.coefficient, name, self._layers),
            )
            for model, tuned, places, given in zip(
                self.recipe.models, self.tuned, self._places, self._treatments, strict=True
            )
        )

    def _term(self, loader: Loader, pair: TensorPair, index: int, weight: float) -> Term | None:
        """What one model adds to a tensor; worked out once, however often surveys read it."""
        place, model = (pair.name, index), self.recipe.models[index].model
        if place in self._prepared:
            known = self._prepared[place]
            return Term(pair, model, *known) if known else None
        given = self._treatments[index]
        treatment = given.modules.get(pair.name, given.others)
        names = (self.recipe.base, model)
        score, theirs = self._scores[index], self._places[index][pair.name]
        moved = moves_rows(self.tuned[index], theirs)
        scoring = score.of(pair.name, theirs) if score and not moved else None
        term = prepare_term(loader, pair, treatment, weight, names, self.recipe.seed, scoring)
        if self.combines or self._often:  # without the pair: an adapter makes its tensors anew
            self._prepared[place] = (term.action, term.kept) if term else None
        return term

    def _stack_merger(self, stop: Stop | None) -> StackMerger | None:
        combination = get_method(self.recipe.method).combination
        if combination is None:
            return None
        self._calibrator.prepare()
        names = [n for n in self.names() if n not in self.twins and not self._copied(n)]
        models = [model.model for model in self.recipe.models]
        return StackMerger(
            combination,
            self.recipe.settings(),
            self.loader,
            models,
            self.recipe.seed,
            names,
            self.layers,
            stop,
            self._calibrator.aid,
        )

    def _copied(self, name: str) -> bool:
        """Whether a tensor has no delta: counters and buffers."""
        return self.base.dtype(name) not in FLOATS or name not in self._places[0]

    def _matched(self) -> tuple[Mapping[str, str], ...]:
        return tuple(
            match_tensors(self.base, checkpoint, model.model)
            for checkpoint, model in zip(self.tuned, self.recipe.models, strict=True)
        )

    def _tied_heads(self) -> dict[str, str]:
        """The head, where it is tied in every model: merged as the embedding, it stays equal."""
        head, embedding = find_head(self.base.names()), find_embedding(self.base.names())
        if head and embedding and all(tied(one) for one in (self.base, *self.tuned)):
            return {head: embedding}
        return {}

    def _treated(self, **told: Any) -> Iterator[Treatments]:
        """What is done to each model's deltas; those not profiled yet are, in one pass."""
        treat, settings, needs_profile = first_stage(self.recipe)
        models = self.recipe.models
        found: tuple[DeltaProfile | None, ...] = (None,) * len(models)
        if needs_profile:
            tuned = [
                TunedModel(checkpoint, model.model, score)
                for checkpoint, model, score in zip(self.tuned, models, self._scores, strict=True)
            ]
            made = shelved_profiles(self._shelf, self.base, self.recipe.base, tuned, **told)
            found, names = made, (model.model for model in models)
            self._profiles = dict(zip(names, made, strict=True))
        for model, profile in zip(models, found, strict=True):
            levels, overrides = (model.levels, model.amplification), self.recipe.overrides
            yield treat(Request(self.modules, *levels, profile, overrides, self._planned), settings)

    def _planned(
        self,
        profile: DeltaProfile,
        levels: Sequence[float],
        parameters: PruningParameters,
        overrides: Mapping[str, Override],
    ) -> PruningPlan:
        """A plan, or the one of a merge before: other factors change none."""
        given, rest = (profile, parameters), (tuple(levels), tuple(sorted(overrides.items())))
        score = self._shelf.value(("significance", *given), partial(significance, *given))
        make = partial(plan_pruning, profile, levels, parameters, overrides, score)
        return self._shelf.value(("plan", *given, *rest), make)
