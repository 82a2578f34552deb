"""Facts about a stack, from those about its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dppa_core.checkpoints.adapters.stack import StackedLayers, stacked_config, stacked_names
from dppa_core.checkpoints.weight_file import TensorInfo
from dppa_core.preflight_checks.facts import ModelFacts
from dppa_core.pruning.tensor_names import token_tensors


def stacked_facts(reference: str, ranges: Sequence[StackedLayers[ModelFacts]]) -> ModelFacts:
    """Those of the first model, with the stack's tensors and configuration, and all files.

    Raises:
        IncompatibleCheckpoints: the models do not fit together.
    """
    first = ranges[0].model
    models = {part.label: part.model for part in ranges}
    tensors, config = first.tensors, first.config
    if all(model.tensors for model in models.values()):
        places = stacked_names(ranges)
        tensors = {name: ranges[n].model.tensors[stored] for name, (n, stored) in places.items()}
        rows = {role: name for name, role in token_tensors(tensors).items()}
        if "embedding" in rows:  # the head's rows follow the first model's tokens
            count = tensors[rows.pop("embedding")].shape[0]
            tensors |= {n: _with_rows(tensors[n], count) for n in rows.values()}
        config = stacked_config(ranges)
    return replace(
        first,
        reference=reference,
        source="stack",
        config=config,
        tensors=tensors,
        files=_all_files({label: model.files for label, model in models.items()}),
        missing=_all_files({label: model.missing for label, model in models.items()}),
        adapters=tuple(adapter for model in models.values() for adapter in model.adapters),
        stacked=tuple(models.values()),
    )


def _with_rows(tensor: TensorInfo, count: int) -> TensorInfo:
    return replace(tensor, shape=(count, *tensor.shape[1:]))


def _all_files(files: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {f"{model}/{name}": size for model in files for name, size in files[model].items()}
