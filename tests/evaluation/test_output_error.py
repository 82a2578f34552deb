"""Output error of pruning: by hand, and by multiplying inputs as a model does."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue, UnknownName
from dppa_core.evaluation.analysis.output_error import DeltaFit, output_errors
from dppa_core.profiling.calibration.statistics import statistics
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.calibration import calibration_of

MODULE = "layers.1.mlp.up_proj"


def test_a_fit_by_hand() -> None:
    # d x = (3, 4), K x = (3, 0): what is lost is 4 of 5; at twice the factor (−3, 4), again 5 of 5.
    fit = DeltaFit(whole=25.0, both=9.0, left=9.0)
    assert fit.error(1.0) == pytest.approx(0.8) and fit.error(2.0) == pytest.approx(1.0)
    assert fit.error(0.0) == 1.0 and fit.best == 1.0
    assert DeltaFit(25.0, 0.0, 0.0).best == 1.0


def test_errors_are_those_of_real_outputs(zoo_env: Path) -> None:
    base, tuned = open_checkpoint("zoo:base"), open_checkpoint("zoo:math")
    errors = output_errors(
        "zoo:base", "zoo:math", MODULE, cached_profile("zoo:base", "zoo:math"), (0.0, 0.5, 0.9)
    )
    name = f"model.{MODULE}.weight"
    read = statistics("gram", base, tuned, calibration_of("zoo:math"), label="zoo:math")
    values, vectors = np.linalg.eigh(np.asarray(read.arrays[name], np.float64))
    inputs = vectors * np.sqrt(np.maximum(values, 0))  # some inputs with this Gram matrix
    before, after = (
        to_float32(checkpoint.raw(name), checkpoint.dtype(name))
        .reshape(checkpoint.shape(name))
        .astype(np.float64)
        for checkpoint in (base, tuned)
    )
    delta = after - before
    length = np.linalg.norm
    whole = length(delta @ inputs)
    assert errors.effect == pytest.approx(whole / length(after @ inputs), rel=1e-6)
    for rate_errors in errors.rates:
        count = round(delta.size * (1 - rate_errors.rate))
        edge = np.sort(np.abs(delta), axis=None)[delta.size - count]
        low, high = (  # with ties at the edge, what a merge keeps lies between
            length((delta - np.where(mask, delta, 0)) @ inputs) / whole
            for mask in (np.abs(delta) >= edge, np.abs(delta) > edge)
        )
        assert min(low, high) - 0.02 <= rate_errors.largest.error(1.0) <= max(low, high) + 0.02
        best = rate_errors.largest.error(rate_errors.largest.best)
        assert rate_errors.halved <= best + 1e-9 <= rate_errors.largest.error(1.0) + 2e-9
        assert (
            rate_errors.drawn.error(rate_errors.drawn.best)
            <= rate_errors.drawn.error(1 / (1 - rate_errors.rate)) + 1e-9
        )
    nothing = errors.rates[0]
    assert [nothing.largest.error(1), nothing.drawn.error(1), nothing.weights] == pytest.approx(
        [0, 0, 0], abs=1e-6
    )
    assert nothing.halves == pytest.approx((1, 1))


def test_what_cannot_be_measured(zoo_env: Path) -> None:
    profile = cached_profile("zoo:base", "zoo:math")
    with pytest.raises(InvalidValue, match="Pruning rate"):
        output_errors("zoo:base", "zoo:math", MODULE, profile, (1.0,))
    with pytest.raises(UnknownName, match=r"layers\.7"):
        output_errors("zoo:base", "zoo:math", "layers.7.mlp.up_proj", profile, (0.5,))
