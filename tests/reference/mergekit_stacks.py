"""mergekit's recipes of slices and by part, as people write them, of models of three layers."""

_ALL = "merge_method: {method}\nslices:\n{slices}dtype: float32\n"
_SOURCE = "{{model: {0}, layer_range: [{1}, {2}]{3}}}"


def _slice(*sources: tuple[str, int, int, str] | tuple[str, int, int], more: str = "") -> str:
    listed = ", ".join(_SOURCE.format(*source, *("",) * (4 - len(source))) for source in sources)
    return f"- sources: [{listed}]\n{more}"


def _recipe(method: str, *slices: str, more: str = "") -> str:
    return _ALL.format(method=method, slices="".join(slices)) + more


_SCALE = """, parameters: {scale: [{filter: o_proj, value: 0.0}, {filter: down_proj, value: 0.3},
  {value: 1.0}]}"""
_T = """  parameters:
    t: [{filter: self_attn, value: [0, 0.5, 1]}, {filter: mlp, value: 0.7}, {value: 0.25}]
"""
_GAMMA = """merge_method: breadcrumbs
base_model: base
models:
- {model: a, parameters: {weight: 1, density: 0.93, gamma: 0.1}}
- {model: b, parameters: {weight: 0.5, density: [0.97, 0.41], gamma: 0.03}}
dtype: float32
"""


def by_part(method: str, key: str) -> str:
    """A recipe in which a parameter of all models differs by part and layer."""
    value = "[{filter: mlp, value: [0.2, 0.9]}, {filter: self_attn, value: 1}, {value: 0.4}]"
    models = "base_model: base\nmodels: [{model: a}, {model: b}]\n"
    shared = "weight: 0.7, density: 0.6, " if key == "lambda" else ""
    parameters = f"parameters: {{{shared}{key}: {value}}}\n"
    return f"merge_method: {method}\n{models}{parameters}dtype: float32\n"


def stacks() -> dict[str, str]:
    """Recipes by name."""
    a, b = ("base", 0, 2), ("a", 0, 2)
    return {
        "ties, lambda by part": by_part("ties", "lambda"),
        "breadcrumbs, lambda by part": by_part("breadcrumbs", "lambda"),
        "task arithmetic, lambda by part": by_part("task_arithmetic", "lambda"),
        "breadcrumbs, gamma above what is left": _GAMMA,
        "sce, share by part": by_part("sce", "select_topk"),
        "passthrough": _recipe("passthrough", _slice(("a", 0, 3))),
        "passthrough, fewer layers": _recipe(
            "passthrough", _slice(("a", 0, 1)), _slice(("a", 2, 3))
        ),
        "passthrough, overlapping": _recipe(
            "passthrough", _slice(("a", 0, 2)), _slice(("a", 1, 3)), _slice(("a", 1, 3))
        ),
        "passthrough, two models": _recipe(
            "passthrough", _slice(("a", 0, 2)), _slice(("b", 0, 3)), more="base_model: base\n"
        ),
        "passthrough, scale by filter": _recipe(
            "passthrough", _slice(("a", 0, 2)), _slice(("b", 0, 3, _SCALE)), _slice(("a", 1, 2))
        ),
        "passthrough, scale by gradient": _recipe(
            "passthrough",
            _slice(("a", 0, 3), more="  parameters: {scale: [0.5, 1.5]}\n"),
            _slice(("b", 2, 3), more="  parameters: {scale: [0.25, 0.75]}\n"),
        ),
        "slerp of other layers": _recipe(
            "slerp",
            _slice(a, ("a", 1, 3)),
            _slice(("base", 1, 3), b),
            more="base_model: base\nparameters: {t: 0.3}\n",
        ),
        "slerp by slice": _recipe(
            "slerp",
            _slice(a, b, more=_T),
            _slice(("base", 1, 3), ("a", 1, 3), more="  parameters: {t: [0.2, 0.6]}\n"),
            more="base_model: base\n",
        ),
        "task arithmetic, a slice of one source": _recipe(
            "task_arithmetic",
            _slice(("b", 1, 3, ", parameters: {weight: 0.5}"), ("base", 0, 2)),
            _slice(("base", 1, 3)),
            more="base_model: base\n",
        ),
        "task arithmetic of slices": _recipe(
            "task_arithmetic",
            _slice(a, ("a", 1, 3, ", parameters: {weight: 0.5}"), ("b", 0, 2)),
            _slice(("base", 2, 3), ("b", 0, 1, ", parameters: {weight: 2}"), ("a", 2, 3)),
            more="base_model: base\nparameters: {weight: [0.25, 0.75]}\n",
        ),
        "linear of slices": _recipe(
            "linear",
            _slice(("a", 0, 2, ", parameters: {weight: 0.5}"), ("b", 1, 3)),
            _slice(("a", 2, 3), ("b", 0, 1, ", parameters: {weight: 3}")),
            more="parameters: {weight: 1}\n",
        ),
    }
