"""How much of pruning's loss is that a delta becomes shorter: the same delta, shrunk and whole.

What magnitude pruning keeps of d holds a share E of the sum of d². Along d it is E · d; the rest
stands at a right angle. Amplification makes up for the first (lab/docs/survey.md).
"""

from __future__ import annotations

from dppa_core.pruning.coefficients import Coefficient, PartCoefficient
from dppa_core.pruning.delta_profile import DeltaProfile


def shrunk_coefficient(factor: float, profile: DeltaProfile, scale: float = 1.0) -> Coefficient:
    """A coefficient for scale · delta, the modules' part also multiplied by a factor."""
    words = [one.module.tensor.split(".") for one in profile.modules]
    # What stands after the layer's number, as self_attn.q_proj: a bias of it is shrunk, too.
    parts = {".".join(name[[*map(str.isdigit, name)].index(True) + 1 : -1]) for name in words}
    inside = (PartCoefficient(part, scale * factor) for part in sorted(parts))
    return (*inside, PartCoefficient(None, scale))
