"""Runs a model over calibration text, and collects statistics of it.

Sums are made in the order of the samples, on one thread, so that statistics do not depend on the
machine's cores. A large model computes on a GPU, if there is one; the sums stay in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Unpack

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.errors import IncompatibleCheckpoints, NonFiniteWeights
from dppa_core.models.devices import expected_place, input_device, moved
from dppa_core.models.loading import build_model
from dppa_core.models.resident import check_writes
from dppa_core.profiling.calibration.texts import Sample
from dppa_core.progress import RunControl, check, report
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.module_groups import find_modules
from dppa_core.pruning.tensor_names import is_buffer, match_names

Arrays = Mapping[str, Float32[ndarray, "..."]]
FLOAT32_LIMIT = 200_000_000
"""Up to this many parameters a model computes in float32; larger ones in bfloat16, to fit."""


class CalibratedModel:
    """A model in memory, and the parameters that its tensors on disk became."""

    def __init__(self, checkpoint: Checkpoint, label: str) -> None:
        nbytes, dtype = _memory_of(checkpoint)
        tensors = {
            name: (checkpoint.dtype(name), checkpoint.shape(name), checkpoint.raw(name))
            for name in checkpoint.names()
        }
        self.label, self.shapes = label, _floats(checkpoint)
        model = build_model(checkpoint, tensors, dtype, label)
        check_writes(model, label)
        self.model = moved(model, nbytes)
        self._parameters = dict(self.model.named_parameters(remove_duplicate=False))
        self._places = match_names(tuple(self.shapes), tuple(self._parameters))
        self.modules = tuple(m.tensor for m in find_modules(self.shapes))
        positions = getattr(self.model.config, "max_position_embeddings", None)
        self.positions = int(positions) if isinstance(positions, int) else 1 << 30
        self.vocabulary = int(self.model.get_input_embeddings().num_embeddings)

    def parameter(self, tensor: str) -> Any:
        """The parameter of a tensor on disk.

        Raises:
            IncompatibleCheckpoints: transformers keeps it in another form.
        """
        parameter = self._parameters.get(self._places.get(tensor, ""))
        if parameter is None or tuple(parameter.shape) != self.shapes[tensor]:
            raise IncompatibleCheckpoints(
                f"{self.label}: transformers keeps {tensor} in another form in memory, so it "
                "cannot be measured. Experts that are fused there are the usual cause."
            )
        return parameter

    def linear(self, tensor: str) -> tuple[Any, int]:
        """The layer whose weight a tensor is, and the axis of its inputs.

        Raises:
            IncompatibleCheckpoints: it is no separate layer in memory.
        """
        weight = self.parameter(tensor)
        name = self._places[tensor].rpartition(".")[0]
        layer = self.model.get_submodule(name)
        if isinstance(layer, torch.nn.Linear) and layer.weight is weight:
            return layer, 1
        if type(layer).__name__ == "Conv1D" and layer.weight is weight:  # GPT-2: inputs x outputs
            return layer, 0
        raise IncompatibleCheckpoints(
            f"{self.label}: {tensor} is no separate linear layer in memory, so its inputs cannot "
            "be seen. A router, or experts that are fused, are the usual cause."
        )


def likely_place(checkpoint: Checkpoint) -> tuple[str, ...]:
    """`place_of` its `CalibratedModel`, if a GPU has room; loads no weights."""
    return expected_place(*_memory_of(checkpoint), exact=True)


def _floats(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that are parameters."""
    shapes = {name: checkpoint.shape(name) for name in checkpoint.names()}
    return {
        name: shape
        for name, shape in shapes.items()
        if checkpoint.dtype(name) in FLOATS and not is_buffer(name, shape)
    }


def _memory_of(checkpoint: Checkpoint) -> tuple[int, torch.dtype]:
    """Bytes of the parameters in memory, and their dtype there."""
    numel = sum(map(math.prod, _floats(checkpoint).values()))
    dtype = torch.float32 if numel <= FLOAT32_LIMIT else torch.bfloat16
    return numel * dtype.itemsize, dtype


def input_shapes(subject: CalibratedModel, *, gram: bool) -> dict[str, tuple[int, ...]]:
    """Shapes that `collect_inputs` writes: by module, a vector or a square matrix."""
    shapes: dict[str, tuple[int, ...]] = {}
    for tensor in subject.modules:
        inputs = subject.shapes[tensor][subject.linear(tensor)[1]]
        shapes[tensor] = (inputs, inputs) if gram else (inputs,)
    return shapes


def collect_inputs(
    subject: CalibratedModel,
    samples: Sequence[Sample],
    out: Arrays,
    *,
    gram: bool,
    **control: Unpack[RunControl],
) -> dict[str, int]:
    """Statistics of every module's inputs over all positions of all samples: column norms, or XᵀX.

    Args:
        out: Name -> zeros of the shape of `input_shapes`, written in place.
        gram: XᵀX instead of the norm of each of its columns.
        progress, stop: Called after each sample; ends the run between two.

    Returns:
        The axis of the inputs, by module.
    """
    axes = {tensor: subject.linear(tensor)[1] for tensor in out}
    squares = {tensor: np.zeros(0 if gram else out[tensor].size) for tensor in out}

    def watch(tensor: str) -> Callable[[Any, tuple[Tensor, ...]], None]:
        def look(_: Any, inputs: tuple[Tensor, ...]) -> None:
            rows = inputs[0].detach().reshape(-1, inputs[0].shape[-1]).float()
            if not gram:
                squares[tensor] += rows.double().square().sum(0).cpu().numpy()
            elif rows.device.type == "cpu":
                torch.from_numpy(out[tensor]).addmm_(rows.T, rows)
            else:
                torch.from_numpy(out[tensor]).add_((rows.T @ rows).cpu())

        return look

    def step(sample: Sample) -> None:
        ids = torch.tensor([sample.ids], device=input_device(subject.model))
        subject.model(input_ids=ids, use_cache=False)

    hooks = [subject.linear(name)[0].register_forward_pre_hook(watch(name)) for name in out]
    with torch.inference_mode():
        _read(subject, samples, step, hooks, **control)
    if not gram:
        for tensor, values in squares.items():
            out[tensor][:] = np.sqrt(values)
    _check_finite(subject, out)
    return axes


def collect_fisher(
    subject: CalibratedModel,
    samples: Sequence[Sample],
    out: Arrays,
    **control: Unpack[RunControl],
) -> float:
    """The diagonal empirical Fisher information of every parameter.

    The mean over samples of the squared gradient of log p(answer | question), or of log p(text)
    of a running text: squared once per sample, not once per token.

    Args:
        out: Name -> zeros, one for each element of the tensor, written in place.
        progress, stop: Called after each sample; ends the run between two.

    Returns:
        The Euclidean norm of all values together.
    """
    names: dict[Any, list[str]] = {}
    for tensor in out:  # a tied head is one parameter under two names
        names.setdefault(subject.parameter(tensor), []).append(tensor)

    def take(parameter: Any) -> None:
        grad = parameter.grad.float().reshape(-1).cpu()
        torch.from_numpy(out[names[parameter][0]]).addcmul_(grad, grad)
        parameter.grad = None  # one tensor's gradient in memory at a time

    def step(sample: Sample) -> None:
        _log_likelihood(subject.model, sample).backward()  # type: ignore[no-untyped-call]

    hooks = [parameter.register_post_accumulate_grad_hook(take) for parameter in names]
    _read(subject, samples, step, hooks, **control)
    square = 0.0
    for tensors in names.values():
        out[tensors[0]][:] /= np.float32(len(samples))
        for alias in tensors[1:]:
            out[alias][:] = out[tensors[0]]
        square += float(np.sum(np.square(out[tensors[0]], dtype=np.float64)))
    _check_finite(subject, out)
    return math.sqrt(square)


def _read(
    subject: CalibratedModel,
    samples: Sequence[Sample],
    step: Callable[[Sample], None],
    hooks: Sequence[Any],
    **control: Unpack[RunControl],
) -> None:
    """Take a step for every sample, then remove the hooks."""
    try:
        with one_thread():
            for index, sample in enumerate(samples):
                check(control.get("stop"))
                action = f"{subject.label} reads its calibration text"
                report(control.get("progress"), index, len(samples), action)
                step(sample)
    finally:
        for hook in hooks:
            hook.remove()


def _log_likelihood(model: Any, sample: Sample) -> Tensor:
    ids = torch.tensor([sample.ids], device=input_device(model))
    logits = model(input_ids=ids, use_cache=False).logits[0, sample.learned - 1 : -1].float()
    return -torch.nn.functional.cross_entropy(logits, ids[0, sample.learned :], reduction="sum")


def _check_finite(subject: CalibratedModel, out: Arrays) -> None:
    for tensor, values in out.items():
        if not np.isfinite(values).all():
            raise NonFiniteWeights(
                f"{subject.label}: reading the calibration text gives numbers beyond float32 at "
                f"{tensor}. A diverged training is the usual cause."
            )


@contextmanager
def one_thread() -> Iterator[None]:
    """Fix the order of sums: the number of threads changes how matrix products are cut."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
