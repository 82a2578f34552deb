"""All merge methods, by name."""

from __future__ import annotations

from dppa_core.errors import UnknownName, did_you_mean, shown
from dppa_core.methods import (
    arcee_fusion,
    breadcrumbs,
    cabs,
    consensus,
    dare,
    dare_ties,
    darex_q,
    della,
    della_linear,
    dppa,
    emr,
    fisher,
    karcher,
    linear,
    lines,
    localize_and_stitch,
    magmax,
    magnitude,
    model_stock,
    multislerp,
    nearswap,
    nuslerp,
    owl,
    passthrough,
    pcb,
    ram,
    ramplus_tl,
    regmean,
    sce,
    slerp,
    task_arithmetic,
    ties,
)
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.spectral import (
    core_space,
    doge_ta,
    iso_c,
    iso_cts,
    knots,
    subspace_boosting,
    tsv_m,
    wudi,
)

_TREATING = (dppa, magnitude, owl, dare, darex_q, task_arithmetic, passthrough)
_COMBINING = (linear, slerp, ties, dare_ties, breadcrumbs, della, pcb, sce, consensus, emr)
_BY_TEXT = (fisher, regmean)
_BY_ANGLE = (model_stock, nuslerp, multislerp, karcher)
_SELECTING = (nearswap, arcee_fusion, della_linear, ram, ramplus_tl, magmax, lines)
_SPARSE = (cabs, localize_and_stitch)
_BY_DIRECTION = (tsv_m, iso_c, iso_cts, subspace_boosting, wudi, core_space, knots, doge_ta)
METHODS: tuple[Method, ...] = tuple(
    m.METHOD
    for m in (*_TREATING, *_COMBINING, *_BY_TEXT, *_BY_ANGLE, *_SELECTING, *_SPARSE, *_BY_DIRECTION)
)
"""Methods that treat single deltas come first, then those that combine all of them."""


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
