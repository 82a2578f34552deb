"""All merge methods, by name."""

from __future__ import annotations

from dppa_core.errors import UnknownName, did_you_mean, shown
from dppa_core.methods import (
    breadcrumbs,
    consensus,
    dare,
    dare_ties,
    darex_q,
    della,
    dppa,
    emr,
    fisher,
    linear,
    magnitude,
    owl,
    pcb,
    regmean,
    sce,
    slerp,
    task_arithmetic,
    ties,
)
from dppa_core.methods.shared.contract import Method

__all__ = ["METHODS", "Method", "get_method", "method_names"]

METHODS = (
    dppa.METHOD,
    magnitude.METHOD,
    owl.METHOD,
    dare.METHOD,
    darex_q.METHOD,
    task_arithmetic.METHOD,
    linear.METHOD,
    slerp.METHOD,
    ties.METHOD,
    dare_ties.METHOD,
    breadcrumbs.METHOD,
    della.METHOD,
    pcb.METHOD,
    sce.METHOD,
    consensus.METHOD,
    emr.METHOD,
    fisher.METHOD,
    regmean.METHOD,
)
"""Methods that prune single deltas come first, then those that combine them."""


def method_names() -> tuple[str, ...]:
    """Names of all methods, in the order they are shown."""
    return tuple(method.name for method in METHODS)


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        UnknownName: the message has the closest known name.
    """
    for method in METHODS:
        if method.name == name:
            return method
    raise UnknownName(f"No merge method {shown(name)}. {did_you_mean(str(name), method_names())}")
