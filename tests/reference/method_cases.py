"""Every method that combines deltas, with settings that reach all its branches."""

from dppa_core.methods import (
    arcee_fusion,
    breadcrumbs,
    cabs,
    consensus,
    dare_ties,
    della,
    della_linear,
    emr,
    karcher,
    linear,
    lines,
    localize_and_stitch,
    magmax,
    model_stock,
    multislerp,
    nearswap,
    nuslerp,
    pcb,
    ram,
    ramplus_tl,
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
        ties.TiesParameters(0.1, semantics="mergekit", rescale="yes"),
    ),
    "dare_ties": (
        dare_ties.DareTiesParameters(0.3, 0.5),
        dare_ties.DareTiesParameters(0.3, semantics="mergekit"),
        dare_ties.DareTiesParameters(
            0.3, semantics="mergekit", rescale="no", divide="coefficients"
        ),
    ),
    "breadcrumbs": (
        breadcrumbs.BreadcrumbsParameters(0.5, 0.2),
        breadcrumbs.BreadcrumbsParameters(0.5, 0.2, "row"),
        breadcrumbs.BreadcrumbsParameters(0.5, 0.15, semantics="mergekit", rescale="yes"),
        breadcrumbs.BreadcrumbsParameters(
            0.35, 0.2, semantics="mergekit", signs="elected", divide="coefficients"
        ),
    ),
    "della": (
        della.DellaParameters(0.5, 0.6),
        della.DellaParameters(0.5, 0.6, semantics="mergekit"),
        della.DellaParameters(0.5, 0.0, 0.7, "mergekit", "no", "nothing"),
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
    "model_stock": (model_stock.ModelStockParameters(), model_stock.ModelStockParameters("row")),
    "nuslerp": (
        nuslerp.NuslerpParameters(),
        nuslerp.NuslerpParameters("models", "row"),
        nuslerp.NuslerpParameters("models", "column"),
    ),
    "multislerp": (
        multislerp.MultislerpParameters(),
        multislerp.MultislerpParameters("models", "nothing"),
    ),
    "karcher": (karcher.KarcherParameters(),),
    "nearswap": (nearswap.NearswapParameters(0.4),),
    "arcee_fusion": (arcee_fusion.ArceeFusionParameters(),),
    "della_linear": (
        della_linear.DellaLinearParameters(0.5, 0.6),
        della_linear.DellaLinearParameters(0.5, 0.6, semantics="mergekit", divide="coefficients"),
    ),
    "cabs": (cabs.CabsParameters(1, 3), cabs.CabsParameters(2, 4, 0.5)),
    "localize_and_stitch": (
        localize_and_stitch.LocalizeAndStitchParameters(0.3, 0.7),
        localize_and_stitch.LocalizeAndStitchParameters(1.0),
    ),
    "magmax": (magmax.MagmaxParameters(0.7),),
    "lines": (lines.LinesParameters(0.4, 1.3),),
    "ram": (ram.RamParameters(0.6),),
    "ramplus_tl": (ramplus_tl.RamplusTlParameters(0.3, 1.5, 0.6),),
}
PAIRS = ("slerp", "nuslerp", "nearswap", "arcee_fusion")
"""Methods of at most two models."""
ORDERED = ("slerp", "nearswap", "arcee_fusion", "cabs")
"""Methods that go from the first model to the next."""
COMBINATIONS = {name: get_method(name).combination for name in CASES}
EVERY = [(name, parameters) for name, cases in CASES.items() for parameters in cases]
