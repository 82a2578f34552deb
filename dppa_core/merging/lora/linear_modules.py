"""The linear modules of a model that an adapter can change, by the names transformers has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.pruning.tensor_names import find_embedding, match_names


@dataclass(frozen=True, slots=True)
class LinearModule:
    """One linear module."""

    name: str
    """In the model in memory, as "model.layers.0.self_attn.q_proj"."""
    transposed: bool
    """True if its weight is stored in x out (GPT-2)."""

    @property
    def leaf(self) -> str:
        """The last part of its name."""
        return self.name.rpartition(".")[2]


def linear_modules(base: Checkpoint) -> dict[str, LinearModule]:
    """Tensor of a checkpoint -> its module, of all that PEFT adapts.

    Routers, and experts that transformers keeps in one tensor, are none.

    Raises:
        DamagedCheckpoint, NotAllowed: transformers does not know the architecture.
    """
    from dppa_core.models.plain import is_plain, tensor_shapes  # noqa: PLC0415  (torch)

    plain = is_plain(base.config)
    modules = _of_shapes(tensor_shapes(base.config)) if plain else _of_blueprint(base)
    named = {f"{module.name}.weight": module for module in modules}
    return {tensor: named[place] for tensor, place in match_names(base.names(), named).items()}


def _of_shapes(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[LinearModule]:
    """Those of a plain Llama, without transformers."""
    embedding = find_embedding(shapes)
    for name, shape in shapes.items():
        if len(shape) == 2 and name != embedding:
            yield LinearModule(name.removesuffix(".weight"), transposed=False)


def _of_blueprint(base: Checkpoint) -> Iterator[LinearModule]:
    from torch.nn import Linear  # noqa: PLC0415  (heavy)
    from transformers.pytorch_utils import Conv1D  # noqa: PLC0415  (heavy)

    from dppa_core.models.loading import blueprint  # noqa: PLC0415  (torch)

    for name, module in blueprint(base).named_modules():
        if isinstance(module, (Linear, Conv1D)):
            yield LinearModule(name, isinstance(module, Conv1D))
