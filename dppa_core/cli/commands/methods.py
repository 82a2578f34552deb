"""The list of merge methods: for people, as JSON, and as the page of the documentation."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

import typer

from dppa_core.cli.options import JsonFlag
from dppa_core.cli.output import emit
from dppa_core.methods.registry import METHODS
from dppa_core.methods.shared.contract import Method, method_values, paper_address

_PAGE = """# Merge methods

Written by `dppa methods --markdown > docs/methods.md`. A recipe names a method by `method:` and
sets its parameters by `parameters:`. Defaults are those of the papers, or of their authors'
programs, where these name one. Ours are: `ties` and `other_tensors` of methods that prune; `q` of
`darex_q` and `threshold` and `scale` of `consensus`, which the papers find on held-out data;
`position` of `slerp`; the drop of `della_linear`. Methods from `model_stock` to `ramplus_tl` are
mergekit's.

Those from `tsv_m` on take each linear module as one matrix, as it is stored.

A method that *prunes* takes pruning rates (`levels`) and factors (`amplification`) for every domain
model. It may come before one that *combines* deltas: `prune: dppa`, or
`prune: {method: dppa, strength: 0.1}`. `fisher`, `regmean` and the scores `fisher` and `activation`
of `significance` need a text that the models read: [calibration.md](calibration.md). One that
*replaces* adds nothing: the only model's weights take the place of the base's, as those of a
[stack](reference/recipe.md#stacks).

`coefficient` multiplies the delta of a domain model, in `linear` the model itself
([by layer or part](reference/recipe.md#coefficients)). In `slerp` and `nearswap` that of the model
it goes to multiplies `position` and `t`, in `nuslerp`, `multislerp` and `karcher` it is the model's
weight; that of `emr`'s domain must not be 0.

A default comes first, then other choices, or the range. *By model*: a model may have its own value,
a number, or by layer or part as a coefficient: `{model: zoo:math, parameters: {density: 0.3}}`.

| method | | paper | what it does |
| --- | --- | --- | --- |
"""


def methods(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write the page of the documentation.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the merge methods with their papers and parameters; loads nothing."""
    listed = {"methods": [method_values(method) for method in METHODS]}
    text = methods_page() if markdown else "\n\n".join(map(_described, METHODS))
    emit(listed, text, as_json=as_json)


def _described(method: Method) -> str:
    values = method_values(method)
    lines = [f"{method.name}: {method.title}{f' ({method.paper})' if method.paper else ''}"]
    lines += [f"  {method.summary}", f"  For: {method.home}"]
    lines += [f"  {item['name']} {_setting(item)}" for item in values["parameters"]]
    return "\n".join(lines)


def _setting(item: dict[str, Any]) -> str:
    """The default, or the default and the other choices; the range, and the help."""
    default, own = _default(item), ", by model" if item.get("own") else ""
    others = [f" | {choice}" for choice in item.get("choices", ()) if choice != item["default"]]
    span = f" ({item['min']:g}…{item['max']:g}{_unit(item)})" if "min" in item else ""
    return f"= {default}{''.join(others)}{span}{own}. {item['help']}"


def _default(item: dict[str, Any]) -> str:
    value = item["default"]
    return (f"{value:g}" if isinstance(value, float) else str(value)) or "(must be set)"


def _unit(item: dict[str, Any]) -> str:
    return f" {item['unit']}" if item["unit"] else ""


def methods_page() -> str:
    """The page of the documentation, in Markdown."""
    rows = "".join(f"| `{m.name}` | {_kind(m)} | {_paper(m)} | {m.summary} |\n" for m in METHODS)
    earlier: dict[str, str] = {}
    sections = [_section(method, earlier) for method in METHODS if fields(method.parameters)]
    return f"{_PAGE}{rows}\n" + "\n".join(sections)


def _kind(method: Method) -> str:
    if method.combination or method.replaces:
        return "combines" if method.combination else "replaces"
    return "prunes" if method.prunes else "adds"


def _paper(method: Method) -> str:
    number = method.paper.removeprefix("arXiv:")
    return f"[{number}]({paper_address(method)})" if number else "–"


def _section(method: Method, earlier: dict[str, str]) -> str:
    """A method's parameters; what an `earlier` method has, but for its default, is not repeated."""
    lines, known = [], []
    for item in method_values(method)["parameters"]:
        first = earlier.setdefault(
            f"{item['help']} {item.get('choices') or (item.get('min'), item.get('max'))}",
            method.name,
        )
        if first == method.name:
            lines.append(f"- `{item['name']}` {_setting(item)}\n")
        else:
            known.append(f"`{item['name']}` = {_default(item)} (`{first}`)")
    if known:
        lines.append(f"- As in: {', '.join(known)}.\n")
    return f"## {method.title} (`{method.name}`)\n\n{''.join(lines)}"
