"""Merges, packs, profiles and analyses of every kind, run in a fresh interpreter."""

import sys
from pathlib import Path
from typing import Any

from dppa_core.evaluation.analysis.matrix import look_closely
from dppa_core.evaluation.analysis.output_error import output_errors
from dppa_core.evaluation.analysis.overlap_pass import count_meetings
from dppa_core.evaluation.analysis.rounding import count_rounded
from dppa_core.kernels import cuda_backend, ready
from dppa_core.merging import tensor_tasks
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import CALIBRATED_KINDS, PruningParameters
from dppa_core.recipes.yaml_text import parse_recipe
from tests.helpers.tiny_models import random_llama, tuned_llama
from tests.reference.recorded_bytes import recipes, recorded, records


def merge_without_numba() -> None:
    cuda_backend.PIECE_ELEMENTS = 1024  # tensors of tiny models take several
    for number, (about, text) in enumerate(recipes().items()):
        assert recorded(text, Path(str(number))) == records()[about], about
    assert "numba" not in sys.modules


def compiled() -> dict[str, list[Any]]:
    """Every loop, and the kinds of arrays it is compiled for."""
    kernels = [mod for name, mod in sys.modules.items() if name.startswith("dppa_core.kernels.")]
    loops = [loop for module in kernels for loop in vars(module).values()]
    return {
        f"{loop.py_func.__module__}.{loop.py_func.__name__}": list(loop.signatures)
        for loop in loops
        if hasattr(loop, "py_func")
    }


def use_every_loop() -> None:
    from dppa_core.kernels import numba_backend  # noqa: PLC0415  (numba)

    numba_backend.main()
    marker = ready.marker_file()
    assert ready.is_ready(marker)
    before = compiled()
    for number, text in enumerate(recipes().values()):
        recorded(text, Path(str(number)))
    save_other_dtypes()
    merge_other_dtypes()
    analyse()
    new = {name: set(kinds) - set(before[name]) for name, kinds in compiled().items()}
    assert not any(new.values()), {name: kinds for name, kinds in new.items() if kinds}


def save_other_dtypes() -> None:

    base = random_llama(seed=0)
    for dtype in ("F32", "F16"):
        base.save(Path(f"base-{dtype}"), dtype=dtype)
        for number, name in enumerate(("math", "law")):
            tuned_llama(base, seed=number + 1).save(Path(f"{name}-{dtype}"), dtype=dtype)


def merge_other_dtypes() -> None:

    texts = [text for about, text in recipes().items() if about not in ("fisher", "regmean")]
    for number, text in enumerate(text for text in texts if "zoo:finance" not in text):
        for dtype in ("F32", "F16"):
            for base, law in ((f"./base-{dtype}", "zoo:law"), ("zoo:base", f"./law-{dtype}")):
                changed_text = text.replace("zoo:base", base).replace("zoo:law", law)
                merge_to_folder(
                    parse_recipe(changed_text), f"other-{number}-{law[-3:]}-{dtype}-{base[:3]}"
                )
    tensor_tasks.WHOLE_MIN_NUMEL = 0  # whole tensors
    for number, text in enumerate(texts):
        merge_to_folder(parse_recipe(text), f"whole-{number}")
    pool = ModelPool()
    for text in texts[:4]:
        with pool.lend(parse_recipe(text)):
            pass


def analyse() -> None:

    module = "layers.0.mlp.down_proj"
    for base, law in (
        ("zoo:base", "zoo:law"),
        ("./base-F32", "./law-F32"),
        ("zoo:base", "./law-F16"),
    ):
        profile = cached_profile(base, law)
        plan = plan_pruning(profile, (0.9, 0.8))
        count_rounded(plan, (1.5, 1.0))
        selection = plan.modules[0].levels[0].selection
        look_closely(base, law, plan.modules[0].name, selection)
        calibrated_kinds = CALIBRATED_KINDS if law == "zoo:law" else ()  # only it has a text
        for kind in ("magnitude", "random", *calibrated_kinds):
            count_meetings(base, (law, "zoo:math"), PruningParameters(significance=kind))
    output_errors("zoo:base", "zoo:law", module, cached_profile("zoo:base", "zoo:law"), (0.5, 0.9))
