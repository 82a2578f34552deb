"""From a recipe to merged weights: tensor by tensor in memory, or into a checkpoint folder.

Knows checkpoints and methods, not models in memory. Every tensor is independent of the others:
the same recipe gives the same bytes in any order.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.atomic import atomic_folder
from dppa_core.card import model_card
from dppa_core.checkpoint import Checkpoint
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.floats import DTYPE_CODES, FLOATS, from_float32, to_float32
from dppa_core.kernels import get_backend
from dppa_core.licences import merged_licence
from dppa_core.merge_folder import (
    check_target,
    copy_companions,
    write_config,
    write_provenance,
)
from dppa_core.merge_tensors import Fuser, Fusion, Term, prepare_term
from dppa_core.methods.registry import get_method
from dppa_core.methods.treatment import Request, Treatments
from dppa_core.modules import find_modules, layer_of
from dppa_core.names import find_embedding, find_head
from dppa_core.pairs import match_tensors, tied
from dppa_core.plan import PruningPlan
from dppa_core.profile import cached_profile, tensor_pair
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.provenance import Parent, parent_of
from dppa_core.recipe import DomainModel, MergeRecipe, dump_recipe, recipe_hash
from dppa_core.safetensors_write import TensorSpec
from dppa_core.shards import SHARD_SIZE, WeightsWriter, one_hash
from dppa_core.sources import open_checkpoint


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge did."""

    recipe_hash: str
    densities: tuple[float, ...]
    """Share of the modules' delta kept, per domain model in the recipe's order; of random drops
    the expected share."""
    warnings: tuple[str, ...]
    seconds: float
    sha256: str
    """Of model.safetensors; of several files, of the lines `sha256sum` prints for them."""
    files: dict[str, str]
    """SHA-256 of every weight file, by its name."""


@dataclass(frozen=True, slots=True, eq=False)
class _Merged:
    dtype: str
    shape: tuple[int, ...]
    raw: Shaped[ndarray, " n"]
    kept: tuple[int, ...]
    """Elements kept of each domain model's delta."""


class Merger:
    """Merges one tensor at a time, in any order, as often as asked.

    Args:
        recipe: What to merge.
        backend: "numba", or "torch" for the slow reference; the bytes are the same.
        public: Whether strangers wrote the recipe; local folders are then refused.
        progress: Told while domain models are profiled.
        stop: Ends profiling.

    Raises:
        CheckpointError: a model that is missing, damaged, or does not fit the base.
    """

    def __init__(
        self,
        recipe: MergeRecipe,
        *,
        backend: str = "numba",
        public: bool = False,
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.recipe = recipe
        self.base = open_checkpoint(recipe.base, public=public)
        self.tuned = tuple(open_checkpoint(m.model, public=public) for m in recipe.models)
        self._kernels = get_backend(backend)
        self._places = tuple(
            match_tensors(self.base, checkpoint, model.model)
            for checkpoint, model in zip(self.tuned, recipe.models, strict=True)
        )
        self._twins = self._tied_heads()
        self.modules = find_modules({name: self.base.shape(name) for name in self.base.names()})
        layers = [layer_of(name) for name in self.base.names()]
        self._layers = 1 + max((layer for layer in layers if layer is not None), default=-1)
        self._check_layers()
        self._treatments = tuple(
            self._treat(model, public, progress, stop) for model in recipe.models
        )
        self.plans: tuple[PruningPlan, ...] = tuple(
            treatments.plan for treatments in self._treatments if treatments.plan is not None
        )

    def parents(self) -> tuple[Parent, ...]:
        """Base and domain models, each once, and what they say of themselves."""
        models = (self.recipe.base, *(model.model for model in self.recipe.models))
        folders = (self.base.folder, *(checkpoint.folder for checkpoint in self.tuned))
        return tuple(parent_of(*named) for named in dict(zip(models, folders, strict=True)).items())

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
        merged = self.merge(name)
        return merged.dtype, merged.shape, merged.raw

    def merge(self, name: str) -> _Merged:
        """As `tensor`, with the numbers of elements kept."""
        name = self._twins.get(name, name)
        base, mine, shape = self.base.raw(name), self.base.dtype(name), self.base.shape(name)
        if self._copied(name):
            return _Merged(mine, shape, base, ())
        terms: list[Term | None] = []
        for index, model in enumerate(self.recipe.models):
            pair = tensor_pair(self.base, self.tuned[index], name, self._places[index][name])
            given = self._treatments[index]
            treatment = given.modules.get(name, given.others)
            coefficient = model.coefficient_at(layer_of(name), self._layers)
            names = (self.recipe.base, model.model)
            terms.append(
                prepare_term(self._kernels, pair, treatment, coefficient, names, self.recipe.seed)
            )
        dtype = self.dtype(name)
        fusion = Fusion(name, base, mine, tuple(term for term in terms if term), dtype)
        raw: Shaped[ndarray, " n"] = np.empty(base.size, FLOATS[dtype])
        Fuser(self._kernels).fuse(fusion, 0, raw)
        return _Merged(dtype, shape, raw, tuple(term.kept if term else 0 for term in terms))

    def _copied(self, name: str) -> bool:
        """Whether a tensor has no delta: counters and buffers."""
        return self.base.dtype(name) not in FLOATS or name not in self._places[0]

    def _tied_heads(self) -> dict[str, str]:
        """The head, where it is tied in every model: merged as the embedding, it stays equal."""
        head, embedding = find_head(self.base.names()), find_embedding(self.base.names())
        if head and embedding and all(tied(one) for one in (self.base, *self.tuned)):
            return {head: embedding}
        return {}

    def _treat(
        self, model: DomainModel, public: bool, progress: Progress | None, stop: Stop | None
    ) -> Treatments:
        method = get_method(self.recipe.method)
        profile = None
        if method.needs_profile:
            profile = cached_profile(
                self.recipe.base, model.model, public=public, progress=progress, stop=stop
            )
        request = Request(
            self.modules, model.levels, model.amplification, profile, self.recipe.overrides
        )
        return method.treat(request, self.recipe.settings())

    def _check_layers(self) -> None:
        for model in self.recipe.models:
            if isinstance(model.coefficient, float):
                continue
            beyond = [layer for layer in model.coefficient if layer >= self._layers]
            if beyond:
                raise IncompatibleCheckpoints(
                    f"model {model.model!r}: a coefficient for layer {beyond[0]}, the base has "
                    f"layers 0 to {self._layers - 1}. A recipe for another size of model is the "
                    "usual cause."
                )


def merge_to_folder(
    recipe: MergeRecipe,
    out: str | Path,
    *,
    backend: str = "numba",
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    sync: bool = True,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> MergeReport:
    """Merge into a folder that transformers loads; it appears when complete, or not at all.

    Beside the weights it gets the base's configuration, tokenizer and chat template, the recipe
    (recipe.yaml) and a model card (README.md). No file depends on time or machine.

    Args:
        recipe: What to merge.
        out: The folder to make.
        backend: See `Merger`.
        overwrite: Whether a checkpoint folder that is there may be replaced.
        shard_size: Bytes of the tensors in one weight file at most.
        sync: Whether to wait until the disk has everything; see `atomic_folder`.
        progress: Told tensor by tensor.
        stop: Ends the merge between two tensors; nothing is left behind.

    Raises:
        InvalidValue: the folder is there already, or cannot be written.
        NotAllowed: it may not be replaced; see `check_target`.
        CheckpointError: see `Merger`.
    """
    began, out = time.perf_counter(), Path(out)
    check_target(out, (), overwrite=overwrite)  # before the long part, and once more after it
    merger = Merger(recipe, backend=backend, progress=progress, stop=stop)
    sources = (merger.base, *merger.tuned)
    folders = tuple(folder for source in sources for folder in source.folders)

    def check_again() -> Path:
        return check_target(out, folders, overwrite=overwrite)

    tally = _Tally(merger, progress, stop)
    with atomic_folder(
        check_again(), may_replace=check_again if overwrite else None, sync=sync
    ) as folder:
        files = _write_weights(folder, tally, shard_size)
        write_config(merger.base.config, recipe.dtype, folder)
        copy_companions(merger.base.folder, folder)
        card = model_card(recipe, merger.plans, merger.parents())
        write_provenance(dump_recipe(recipe), card, folder)
    return MergeReport(
        recipe_hash=recipe_hash(recipe),
        densities=tally.densities(),
        warnings=tally.warnings(),
        seconds=time.perf_counter() - began,
        sha256=one_hash(files),
        files=files,
    )


def _write_weights(folder: Path, tally: _Tally, shard_size: int) -> dict[str, str]:
    with closing(WeightsWriter(folder, tally.specs(), shard_size)) as writer:
        for name in writer.names:
            writer.place(name, tally.merge(name))
        return writer.finish()


class _Tally:
    """Counts what is kept and whether anything changed while tensors stream by."""

    def __init__(self, merger: Merger, progress: Progress | None, stop: Stop | None) -> None:
        self._merger, self._progress, self._stop = merger, progress, stop
        self._modules = {module.tensor: module.numel for module in merger.modules}
        self._kept = np.zeros(len(merger.recipe.models), dtype=np.int64)
        self._done = 0
        self._changed = False

    def specs(self) -> list[TensorSpec]:
        """Name, dtype and shape of every merged tensor."""
        merger = self._merger
        return [
            TensorSpec(name, merger.dtype(name), merger.base.shape(name)) for name in merger.names()
        ]

    def merge(self, name: str) -> Shaped[ndarray, " n"]:
        """Merge one tensor and count what it keeps."""
        check(self._stop)
        merged = self._merger.merge(name)
        if name in self._modules:
            self._kept += merged.kept
        if not self._changed and merged.dtype in FLOATS:
            self._changed = not _same(self._merger.base, name, merged)
        self._done += 1
        report(self._progress, self._done, len(self._merger.names()), name)
        return merged.raw

    def densities(self) -> tuple[float, ...]:
        """Share of the modules' delta kept, per domain model."""
        total = sum(self._modules.values())
        return tuple(float(kept) / total if total else 0.0 for kept in self._kept)

    def warnings(self) -> tuple[str, ...]:
        """What someone should know before using the result."""
        found = []
        if not self._changed:
            found.append(
                "The merged weights are identical to the base: every delta was pruned away, "
                "multiplied by 0, or zero from the start."
            )
        for plan in self._merger.plans:
            wanted = sum(module.density * module.numel for module in plan.modules)
            if wanted - plan.kept > 1e-3 * plan.numel:
                found.append(
                    f"{plan.finetuned}: {plan.density:.2%} of the delta is kept, not "
                    f"{wanted / plan.numel:.2%}: ties at a threshold were pruned, or more "
                    "elements are equal to the base than were to be dropped."
                )
        stated = {parent.reference: parent.licence for parent in self._merger.parents()}
        return (*found, *merged_licence(stated).warnings)


def _same(base: Checkpoint, name: str, merged: _Merged) -> bool:
    raw, dtype = base.raw(name), base.dtype(name)
    if dtype != merged.dtype:
        raw = from_float32(to_float32(raw, dtype), merged.dtype)
    return raw.tobytes() == merged.raw.tobytes()
