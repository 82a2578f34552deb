"""Rates of single matrices: hand numbers, and the mean that a form was given."""

import numpy as np
import pytest

from dppa_core.forms.store import parse_store_text
from dppa_core.forms.uneven import uneven_stores
from dppa_core.pruning.module_groups import Module, find_modules

PLAIN = np.full(100, 0.01, np.float32)
OUTLIER = np.concatenate([PLAIN[1:], np.ones(1, np.float32)])
NAMES = [
    f"model.layers.{layer}.mlp.{end}_proj.weight" for layer in (0, 1) for end in ("up", "down")
]
MODULES = find_modules(dict.fromkeys(NAMES, (10, 10)))


def delta(module: Module) -> np.ndarray:
    return OUTLIER if module.tensor == NAMES[0] else PLAIN


def test_a_matrix_with_outliers_keeps_more_and_the_mean_stays() -> None:
    stores = uneven_stores(
        parse_store_text("bits(bits=1)+sparse(rate=0.5,strength=0.1)"), MODULES, delta
    )
    kept = {name: 1 - store.parts[1].settings.rate for name, store in stores.items()}
    # Layers: ± 0.1. Modules: 4, 0, 0, 0 times their mean; 3, -1, -1, -1 from it, of 3 at most.
    shifts = 0.1 + 0.1, 0.1 - 0.1 / 3, -0.1 - 0.1 / 3, -0.1 - 0.1 / 3
    assert [kept[name] for name in NAMES] == pytest.approx([0.5 + shift for shift in shifts])
    assert np.mean(list(kept.values())) == pytest.approx(0.5)
    assert {str(store.parts[0]) for store in stores.values()} == {"bits(bits=1)"}


def test_without_a_strength_all_matrices_are_alike() -> None:
    assert uneven_stores(parse_store_text("sparse(rate=0.5)"), MODULES, delta) == {}
