"""Every method that combines deltas, with settings that reach all its branches."""

from dppa_core.methods import (
    breadcrumbs,
    consensus,
    dare_ties,
    della,
    emr,
    linear,
    pcb,
    sce,
    slerp,
    ties,
)
from dppa_core.methods.registry import get_method

CASES = {
    "linear": (linear.LinearParameters(), linear.LinearParameters(divide="nothing")),
    "slerp": (slerp.SlerpParameters(0.3),),
    "ties": (
        ties.TiesParameters(0.4),
        ties.TiesParameters(0.4, "tensor", 0.7, "number"),
        ties.TiesParameters(0.4, semantics="mergekit"),
        ties.TiesParameters(0.4, "tensor", 1.0, "nothing", "mergekit"),
    ),
    "dare_ties": (
        dare_ties.DareTiesParameters(0.3, 0.5),
        dare_ties.DareTiesParameters(0.3, semantics="mergekit"),
    ),
    "breadcrumbs": (
        breadcrumbs.BreadcrumbsParameters(0.5, 0.2),
        breadcrumbs.BreadcrumbsParameters(0.5, 0.2, "row"),
    ),
    "della": (
        della.DellaParameters(0.5, 0.6),
        della.DellaParameters(0.5, 0.6, semantics="mergekit"),
    ),
    "pcb": (
        pcb.PcbParameters(0.4),
        pcb.PcbParameters(0.4, "tensor"),
        pcb.PcbParameters(0.4, semantics="reference"),
    ),
    "sce": (
        sce.SceParameters(0.4),
        sce.SceParameters(0.4, "reference"),
        sce.SceParameters(0.4, "mergekit"),
    ),
    "consensus": (consensus.ConsensusParameters(0.37),),
    "emr": (emr.EmrParameters("a"), emr.EmrParameters("a", "reference")),
}
COMBINATIONS = {name: get_method(name).combination for name in CASES}
EVERY = [(name, parameters) for name, cases in CASES.items() for parameters in cases]
