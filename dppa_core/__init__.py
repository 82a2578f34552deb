"""Prune, amplify and merge fine-tuned models: the library behind DPPA Studio.

Its packages in order; each imports only those before it:

    system       files, threads, memory and disk of the machine
    charts       tables, charts and reports as plain values, and as SVG
    pruning      the paper's arithmetic on plain numbers
    methods      merge methods, one per file
    kernels      the fast inner loops
    forms        what is kept of a delta, and in how many bytes
    checkpoints  tensors in files
    tasks        questions, reference answers and scoring
    recipes      a merge as a checked value, and as YAML
    models       torch models: loaded, generating
    profiling    measurements of the deltas
    preflight_checks  what is said before a merge: facts, findings, estimates
    merging      merges, tensor by tensor
    answering    answers to many users, from a separate process
    evaluation   scores of models on tasks
    tab          what a browser's tab needs to merge and to answer by itself
    figures      Plotly figures of profiles, plans and scores
    tuning       search for coefficients and settings
    teaching     small merges with every step shown, and failures on purpose
    cli          the command line
    interface    functions of `import dppa_core` over what commands put together

Every package may import `errors`, `extras`, `progress` and `parameter_fields`.

Arguments with these names mean the same everywhere: `progress` is called for each piece of work;
`stop` raises Cancelled between two pieces; `public` says that untrusted users chose the models, so
local folders are refused; `workers` are threads, one per core if None, and never change a result.

The names in `__all__` are the library's interface; everything else may change with any release.
Each is imported when it is first used, so that `import dppa_core` loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dppa_core.errors import DppaError as DppaError
    from dppa_core.evaluation.diff.model_diff import diff_models as diff
    from dppa_core.interface import evaluate as evaluate
    from dppa_core.interface import merge as merge
    from dppa_core.interface import pack as pack
    from dppa_core.interface import preflight as preflight
    from dppa_core.interface import search as search
    from dppa_core.profiling.profile import cached_profile as profile
    from dppa_core.pruning.plan import plan_pruning as plan
    from dppa_core.recipes.yaml_text import DomainModel as DomainModel
    from dppa_core.recipes.yaml_text import MergeRecipe as MergeRecipe
    from dppa_core.recipes.yaml_text import dump_recipe as dump_recipe
    from dppa_core.recipes.yaml_text import load_recipe as load_recipe
    from dppa_core.recipes.yaml_text import parse_recipe as parse_recipe

__version__ = "0.2.0"
__all__ = [
    "DomainModel",
    "DppaError",
    "MergeRecipe",
    "diff",
    "dump_recipe",
    "evaluate",
    "load_recipe",
    "merge",
    "pack",
    "parse_recipe",
    "plan",
    "preflight",
    "profile",
    "search",
]
_PLACES = {
    "DppaError": ("errors", "DppaError"),
    "diff": ("evaluation.diff.model_diff", "diff_models"),
    "evaluate": ("interface", "evaluate"),
    "merge": ("interface", "merge"),
    "pack": ("interface", "pack"),
    "plan": ("pruning.plan", "plan_pruning"),
    "preflight": ("interface", "preflight"),
    "profile": ("profiling.profile", "cached_profile"),
    "search": ("interface", "search"),
}
"""Name -> module and name there, of those that are not in `recipes.yaml_text` by their own name."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, own = _PLACES.get(name, ("recipes.yaml_text", name))
    return getattr(import_module(f"{__name__}.{module}"), own)


def __dir__() -> list[str]:
    """The public names, before they are imported too."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
