"""Facts by hand: tiny models as seen by preflight, without files."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dppa_core.checkpoints.weight_file import TensorInfo
from dppa_core.preflight_checks.facts import Finding, ModelFacts, Severity, TokenizerFacts
from tests.helpers.tiny_models import Shape

SHAPE = Shape()


def tensors(
    shapes: Mapping[str, tuple[int, ...]] | None = None, dtype: str = "BF16"
) -> dict[str, TensorInfo]:
    """Headers of tensors, one behind the other."""
    infos, start = {}, 0
    for name, shape in (SHAPE.tensors() if shapes is None else shapes).items():
        size = 2 * math.prod(shape)
        infos[name] = TensorInfo(dtype, shape, start, size)
        start += size
    return infos


def model(reference: str = "acme/math", **changes: Any) -> ModelFacts:
    """A tiny Llama of the Hub, from its headers."""
    facts = ModelFacts(
        reference,
        "hub",
        commit="a" * 40,
        revision="a" * 40,
        config=SHAPE.config("BF16"),
        tensors=tensors(),
        tokenizer=TokenizerFacts("Fast", ("tokenizer.json",), frozenset({"git:1"})),
        licence="mit",
    )
    return replace(facts, **changes)


def base(**changes: Any) -> ModelFacts:
    """The base of `model`."""
    return model("acme/base", **changes)


def of_severity(severity: Severity, findings: list[Finding]) -> list[Finding]:
    """The findings of one severity."""
    return [finding for finding in findings if finding.severity is severity]


def topics(severity: Severity, findings: list[Finding]) -> set[str]:
    """The topics of the findings of one severity."""
    return {finding.topic for finding in of_severity(severity, findings)}
