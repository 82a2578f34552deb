"""The third step of a merge: single tensors, computed by its plan.

Tensors are independent of each other: the same recipe gives the same bytes in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from dppa_core.checkpoints.aligned_checkpoint import moves_rows
from dppa_core.checkpoints.checkpoint import PageReleaser
from dppa_core.checkpoints.chunks import Loader, TensorPair
from dppa_core.checkpoints.folders.architectures import INPUTS_FIRST
from dppa_core.kernels import get_backend
from dppa_core.kernels.ready import usual_backend
from dppa_core.merging.inputs import MergeInputs, open_inputs
from dppa_core.merging.low_bit.target import LowBitTarget, low_bit_target
from dppa_core.merging.passes.chunk_pass import ChunkPass
from dppa_core.merging.passes.combined_pass import CombinedPass
from dppa_core.merging.passes.deltas import (
    FixedTreatment,
    PlannedDelta,
    Raw,
    TensorDelta,
    TensorStack,
    fix_treatment,
)
from dppa_core.merging.passes.whole_pass import PassBuffers, SettledCuts, merge_whole
from dppa_core.merging.plan import MergePlan, plan_merge
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.stack import Own
from dppa_core.progress import Stop
from dppa_core.pruning.coefficients import coefficient_of
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.module_groups import layer_count
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.threads import SharedValue, SparePool


def open_merger(
    recipe: MergeRecipe,
    *,
    backend: str = "auto",
    often: bool = False,
    same_format: bool = False,
    **opening: Any,
) -> TensorMerger:
    """All three steps: open the models of a recipe, plan, and prepare to merge.

    Args:
        backend, often: See `TensorMerger`.
        same_format: Compute in float32 what is then rounded to the format of the first model of few
            bits, the base before all others; see `low_bit_target`.
        opening: See `open_inputs`.
    """
    if backend != "auto":
        get_backend(backend)  # fails before anything is read
    inputs, target = open_inputs(recipe, **opening), None
    plan = plan_merge(inputs)
    if same_format:
        target = low_bit_target(inputs.base, inputs.tuned, plan.tensors)
        plan = replace(plan, tensors=target.merged(plan.tensors))
    settings: dict[str, Any] = {"often": often, "stop": opening.get("stop"), "target": target}
    return TensorMerger(inputs, plan, backend, **settings)


class TensorMerger:
    """Merges one tensor at a time, in any order, any number of times. Safe for many threads.

    Args:
        backend: "numba", "torch" for the slow reference, or "auto" for the one that `usual_backend`
            names; the bytes are the same.
        often: Keeps intermediate results, because every tensor is requested many times.
        settled: Ties that earlier merges of the same models settled; see `merge_whole`.
        stop: Ends a survey of the whole model.
        target: The format of few bits that merged tensors are then rounded to; None for none.

    Attributes:
        inputs, plan, target: As given.
        backend: The one that computes.
        recipe: The recipe, with the commits of Hub models.
        base: The base, in the vocabulary of the merge.
        combined: The pass of a method that combines deltas; None if it adds them.
        blocks: Merges a whole tensor, part by part; None if any slice can be merged alone.
    """

    def __init__(
        self,
        inputs: MergeInputs,
        plan: MergePlan,
        backend: str = "auto",
        *,
        often: bool = False,
        settled: dict[str, SettledCuts] | None = None,
        stop: Stop | None = None,
        target: LowBitTarget | None = None,
    ) -> None:
        self.inputs, self.plan, self.target = inputs, plan, target
        self._settled = {} if settled is None else settled
        if backend == "auto":
            numel = sum(spec.numel for spec in plan.tensors.values())
            backend = "numba" if often else usual_backend(numel * len(inputs.tuned))
        self.backend = backend
        self.recipe, self.base = plan.recipe, inputs.base
        self._kernels = get_backend(backend)
        self._releaser = PageReleaser((self.base, *inputs.tuned))
        self._layers = layer_count(self.base.names())
        self._keeps = often or plan.combines
        self._fixed: dict[tuple[str, int], tuple[FixedTreatment, int] | None] = {}
        self.combined = self._combined_pass(stop) if plan.combines else None
        self.blocks = self._blocks()

    def names(self) -> tuple[str, ...]:
        """Names of all merged tensors: those of the base."""
        return self.base.names()

    def loader(self) -> Loader:
        """Reader of one thread; keeps mapped pages out of this process's memory."""
        return Loader(self._kernels, self._releaser.read)

    def tensor(self, name: str) -> tuple[str, tuple[int, ...], Raw]:
        """Merge one tensor: its dtype, shape, and elements flat as `Checkpoint.raw` gives them.

        Raises:
            NonFiniteWeights: NaN or infinity in a weight, or a sum too large for the dtype.
        """
        spec, loader = self.plan.tensors[name], self.loader()
        if self.inputs.copied(name):
            return spec.dtype, spec.shape, self.base.raw(name)
        stack = SharedValue(lambda: self.stack(name, loader), 1)
        out: Raw = np.empty(spec.numel, FLOATS[spec.dtype])
        for _ in self.pieces(name, 0, spec.numel, stack, SparePool(lambda: ChunkPass(loader)), out):
            pass
        return spec.dtype, spec.shape, out

    def pieces(
        self,
        name: str,
        start: int,
        stop: int,
        stack: SharedValue[TensorStack | None],
        chunks: SparePool[ChunkPass],
        out: Raw | None = None,
        buffers: PassBuffers | None = None,
    ) -> Iterator[tuple[int, Raw, Raw | None]]:
        """Merge a slice by the first pass that can; every pass gives the same bytes.

        - `merge_whole` reads a tensor once and finds thresholds meanwhile: with buffers, bfloat16
          alone, up to 3 models of up to 2 bands of |d|, nothing worked out before.
        - A tensor without deltas is copied from the base.
        - `CombinedPass` takes all models at once, some rows at a time, if the method combines;
          `RoundedPass` takes the whole tensor, if the recipe's arithmetic is not float32.
        - `ChunkPass` does the rest: thresholds are known, and deltas are added chunk by chunk.

        Args:
            name, start, stop: The slice; for the whole pass, or a combination, all of the tensor.
            stack: Parts of the tensor, worked out only if needed.
            out: The result, in one piece; if unset, a piece is valid until the next is requested.
            buffers: For the whole pass.

        Yields:
            First element, merged elements, and the base's, which are None for a copied tensor.
        """
        if buffers is not None:
            merged = buffers.out(stop) if out is None else out
            base = self._merge_whole(name, merged, buffers)
            if base is not None:
                yield start, merged, base
                return
        with stack.use() as parts:
            if parts is None:
                yield start, self.base.raw(name)[start:stop], None
            elif self.blocks is None:
                with chunks.use() as chunk_pass:
                    yield start, chunk_pass.merge(parts, start, stop, out), parts.base[start:stop]
            else:
                for first, block in self.blocks(parts):
                    if out is None:
                        yield first, block, parts.base[first : first + block.size]
                    else:
                        out[first : first + block.size] = block
                if out is not None:
                    yield start, out, parts.base

    def stack(self, name: str, loader: Loader) -> TensorStack | None:
        """The parts of a merged tensor; None if it is copied from the base."""
        name = self.inputs.twins.get(name, name)
        if self.inputs.copied(name):
            return None
        planned, spec = self._planned(name), self.plan.tensors[name]
        return TensorStack(
            name,
            spec.shape,
            self.base.raw(name),
            self.base.dtype(name),
            spec.dtype,
            tuple(self._fix(loader, delta, index) for index, delta in enumerate(planned)),
            tuple(delta.coefficient for delta in planned),
            self._own(name),
        )

    def _own(self, name: str) -> Own:
        """Settings of each model at one tensor; empty if no model has its own."""
        own = [model.parameters for model in self.recipe.models]
        at = [
            {key: coefficient_of(value, name, self._layers) for key, value in values.items()}
            for values in own
        ]
        return tuple(at) if any(own) else ()

    def _planned(self, name: str) -> list[PlannedDelta]:
        """Each model's delta in one tensor, with the plan's treatment."""
        base, planned = (self.base.raw(name), self.base.dtype(name)), []
        treatments, inputs = self.plan.treatments(name), self.inputs
        models = zip(self.recipe.models, inputs.tuned, inputs.places, treatments, strict=True)
        for model, tuned, places, treatment in models:
            pair = TensorPair(name, *base, tuned.raw(places[name]), tuned.dtype(places[name]))
            coefficient = coefficient_of(model.coefficient, name, self._layers)
            planned.append(PlannedDelta(pair, model.model, treatment, coefficient))
        return planned

    def _fix(self, loader: Loader, delta: PlannedDelta, index: int) -> TensorDelta | None:
        """One model's delta; its treatment is worked out once for any number of surveys."""
        name = delta.pair.name
        if (name, index) in self._fixed:
            fixed = self._fixed[name, index]
            return TensorDelta(delta.pair, delta.model, *fixed) if fixed else None
        score, tuned_name = self.inputs.scores[index], self.inputs.places[index][name]
        moved = moves_rows(self.inputs.tuned[index], tuned_name)
        scoring = score.scoring_of(name, tuned_name) if score and not moved else None
        if self.plan.combines:  # coefficients are part of the combination
            delta = replace(delta, coefficient=1.0)
        treated = fix_treatment(loader, delta, self.recipe.base, self.recipe.seed, scoring)
        if self._keeps:  # without the pair: an adapter makes its tensors anew
            self._fixed[name, index] = (treated.treatment, treated.kept) if treated else None
        return treated

    def _merge_whole(self, name: str, out: Raw, buffers: PassBuffers) -> Raw | None:
        """The base's elements, if the whole pass could merge the tensor."""
        name = self.inputs.twins.get(name, name)
        if self.inputs.copied(name) or any(self.inputs.scores):
            return None
        planned = self._planned(name)
        merged = merge_whole(planned, out, buffers, self._settled)
        return planned[0].pair.base if merged else None

    def _blocks(self) -> Callable[[TensorStack], Iterator[tuple[int, Raw]]] | None:
        if self.recipe.arithmetic == "float32":
            return self.combined.blocks if self.combined else None
        from dppa_core.merging.rounded.rounded_pass import RoundedPass  # noqa: PLC0415  (torch)

        return RoundedPass(self.recipe).blocks

    def _combined_pass(self, stop: Stop | None) -> CombinedPass | None:
        combination = get_method(self.recipe.method).combination
        if combination is None:
            return None
        twins, models = self.inputs.twins, self.recipe.models
        return CombinedPass(
            combination,
            self.recipe.settings(),
            self.loader,
            [model.model for model in models],
            self.recipe.seed,
            [n for n in self.names() if n not in twins and not self.inputs.copied(n)],
            self.stack,
            stop,
            self.inputs.facts,
            self._input_axes(),
        )

    def _input_axes(self) -> dict[str, int]:
        """Linear module -> axis of its inputs."""
        axis = 0 if self.base.config.get("model_type") in INPUTS_FIRST else 1
        return {module.tensor: axis for module in self.plan.modules}
