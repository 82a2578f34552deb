"""All merge methods, by name.

Knows their names, titles, papers and parameters; the arithmetic is theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from dppa_core.density import PruningParameters
from dppa_core.errors import UnknownName, did_you_mean, shown
from dppa_core.methods.dare import DareParameters, dare
from dppa_core.methods.dppa import dppa
from dppa_core.methods.magnitude import MagnitudeParameters, magnitude
from dppa_core.methods.task_arithmetic import TaskArithmeticParameters, task_arithmetic
from dppa_core.methods.treatment import Request, Treatments


@dataclass(frozen=True, slots=True)
class Method:
    """One way of turning deltas into a merged model."""

    name: str
    """The word in recipes."""
    title: str
    paper: str
    """arXiv number, or empty."""
    parameters: type[Any]
    """Frozen dataclass whose fields describe themselves (title, help, unit, range)."""
    summary: str
    """One sentence for people."""
    levels: Literal["many", "one", "none"]
    """How many pruning rates a domain model may have; "none" wants [0]."""
    needs_profile: bool
    treat: Callable[[Request, Any], Treatments]


_METHODS = (
    Method(
        "dppa",
        "DPPA",
        "arXiv:2403.02799",
        PruningParameters,
        "Keeps the largest delta entries, more of them in significant layers and modules, "
        "in partitions with an amplification factor each.",
        "many",
        True,
        dppa,
    ),
    Method(
        "magnitude",
        "Magnitude pruning",
        "",
        MagnitudeParameters,
        "Keeps the largest delta entries of every module, all modules at the same rate.",
        "many",
        True,
        magnitude,
    ),
    Method(
        "dare",
        "DARE",
        "arXiv:2311.03099",
        DareParameters,
        "Drops delta entries at random and rescales the others so that their mean stays.",
        "one",
        False,
        dare,
    ),
    Method(
        "task_arithmetic",
        "Task arithmetic",
        "arXiv:2212.04089",
        TaskArithmeticParameters,
        "Adds the whole delta of every domain model, times its coefficient.",
        "none",
        False,
        task_arithmetic,
    ),
)


def method_names() -> tuple[str, ...]:
    """Names of all methods, in the order they are shown."""
    return tuple(method.name for method in _METHODS)


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        UnknownName: with the closest name there is.
    """
    for method in _METHODS:
        if method.name == name:
            return method
    raise UnknownName(f"No merge method {shown(name)}. {did_you_mean(str(name), method_names())}")
