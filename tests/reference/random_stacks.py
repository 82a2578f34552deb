"""Small random models: a few tensors, up to five deltas, with zeros and many equal values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from dppa_core.methods.shared.stack import Stack
from tests.reference.stacks import stack_of

NAMES = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight")
KINDS = ("normal", "heavy", "coarse", "sparse")


@dataclass(frozen=True)
class Spec:
    """The shape of a random model; drawn first, so that examples can be repeated."""

    seed: int
    kind: str
    shapes: tuple[tuple[int, int], ...]
    coefficients: tuple[float, ...]

    def stacks(self) -> list[Stack]:
        """The model: one stack a tensor."""
        rng = np.random.default_rng(self.seed)
        return [
            stack_of(
                self._values(rng, (len(self.coefficients), *shape)),
                self.coefficients,
                rng.normal(size=shape),
                name,
                seed=3,
            )
            for name, shape in zip(NAMES, self.shapes, strict=False)
        ]

    def _values(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        if self.kind == "heavy":
            return rng.standard_t(2, shape)
        values = rng.normal(size=shape)
        if self.kind == "coarse":  # as deltas of bfloat16 weights are: few distinct magnitudes
            return np.round(values)
        return values * (rng.random(shape) < 0.3) if self.kind == "sparse" else values


def specs(kinds: Sequence[str] = KINDS, most: int = 5) -> st.SearchStrategy[Spec]:
    """Models of one to `most` deltas."""
    shape = st.tuples(st.integers(1, 4), st.integers(1, 9))
    coefficient = st.sampled_from([1.0, 0.5, -0.7, 2.0])
    return st.builds(
        Spec,
        st.integers(0, 2**32 - 1),
        st.sampled_from(list(kinds)),
        st.lists(shape, min_size=1, max_size=3).map(tuple),
        st.lists(coefficient, min_size=1, max_size=most).map(tuple),
    )
