"""The linear modules of a model that an adapter can change, by the names transformers has."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.models.loading import blueprint
from dppa_core.pruning.tensor_names import match_names


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
    import torch.nn  # noqa: PLC0415  (heavy)
    from transformers.pytorch_utils import Conv1D  # noqa: PLC0415  (heavy)

    modules = {
        f"{name}.weight": LinearModule(name, isinstance(module, Conv1D))
        for name, module in blueprint(base).named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D))
    }
    pairs = match_names(base.names(), modules)
    return {tensor: modules[place] for tensor, place in pairs.items()}
