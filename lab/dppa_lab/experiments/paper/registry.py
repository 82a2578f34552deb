"""All experiments, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from dppa_core.errors import UnknownName, did_you_mean
from dppa_lab.experiments.paper.ablation import ABLATION
from dppa_lab.experiments.paper.beyond import BEYOND
from dppa_lab.experiments.paper.merges import MERGES, PAIR
from dppa_lab.experiments.paper.offsets import OFFSETS
from dppa_lab.experiments.paper.pruning import PRUNING
from dppa_lab.experiments.paper.recovery import RECOVERY
from dppa_lab.experiments.paper.significances import SIGNIFICANCE
from dppa_lab.experiments.paper.sizes import MODEL_SIZES
from dppa_lab.experiments.paper.strength import STRENGTH
from dppa_lab.experiments.paper.why.one_factor import GAIN
from dppa_lab.experiments.paper.why.two_factors import BANDS
from dppa_lab.experiments.steps import Declared

EXPERIMENTS: tuple[Declared, ...] = (
    PRUNING,
    RECOVERY,
    PAIR,
    MERGES,
    ABLATION,
    SIGNIFICANCE,
    BEYOND,
    MODEL_SIZES,
    OFFSETS,
    STRENGTH,
    GAIN,
    BANDS,
)


def experiments_named(names: Sequence[str]) -> tuple[Declared, ...]:
    """Experiments by key, in the order of the registry; raises UnknownName with the closest one."""
    keys = {experiment.key: experiment for experiment in EXPERIMENTS}
    for name in names:
        if name not in keys:
            raise UnknownName(f"No experiment {name!r}. {did_you_mean(name, keys)}")
    return tuple(experiment for experiment in EXPERIMENTS if experiment.key in names)
