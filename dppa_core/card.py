"""The model card of a merge: what it is made of, and how to make it again.

Knows recipes, plans and what the parents say of themselves, not weights or time: the same recipe
gives the same card.
"""

from __future__ import annotations

from collections.abc import Sequence

from dppa_core.coefficients import Layered
from dppa_core.licences import merged_licence
from dppa_core.methods.registry import get_method
from dppa_core.plan import PruningPlan
from dppa_core.provenance import Parent
from dppa_core.recipe import DomainModel, MergeRecipe, dump_recipe, recipe_hash
from dppa_core.references import hub_parts, short_name

_FRONT = """---
library_name: transformers
pipeline_tag: text-generation
{known}tags:
- merge
- dppa
---
"""


def model_card(
    recipe: MergeRecipe, plans: Sequence[PruningPlan] = (), parents: Sequence[Parent] = ()
) -> str:
    """Markdown with the front matter the Hub reads.

    Args:
        recipe: Of the merge.
        plans: Of its domain models, where its method makes plans.
        parents: Base and domain models, where their folders are at hand.
    """
    method = get_method(recipe.method)
    paper = f" ([{method.paper}](https://arxiv.org/abs/{method.paper[6:]}))" if method.paper else ""
    title = " + ".join(short_name(model.model) for model in recipe.models)
    parts = [
        _FRONT.format(known=_known(recipe, parents)),
        f"# {short_name(recipe.base)} merged with {title}\n",
        f"A merge by {method.title}{paper}, recipe `{recipe_hash(recipe)}`. {method.summary}"
        f"{_stage(recipe)}\n",
        _models_table(recipe, plans),
        *_licences(parents),
        "## Make it again\n",
        "The recipe, as `recipe.yaml`:\n",
        f"```yaml\n{dump_recipe(recipe)}```\n",
        "```\ndppa merge recipe.yaml --out DIR\n```\n",
        "The same recipe on the same checkpoints gives the same bytes.\n",
    ]
    return "\n".join(parts)


def _known(recipe: MergeRecipe, parents: Sequence[Parent]) -> str:
    """Front matter that not every merge can have: licence, and the parents the Hub knows."""
    licence = merged_licence({parent.reference: parent.licence for parent in parents}).identifier
    models = (recipe.base, *(model.model for model in recipe.models))
    hub = [part[4:].partition("@")[0] for model in models for part in hub_parts(model)]
    lines = [f"license: {licence}"] if licence else []
    if licence and licence.startswith("other ("):
        lines = ["license: other", f"license_name: {licence[7:-1]}"]
    if hub:
        lines += ["base_model:", *(f"- {name}" for name in dict.fromkeys(hub))]
        lines += ["base_model_relation: merge"]
    return "".join(f"{line}\n" for line in lines)


def _licences(parents: Sequence[Parent]) -> list[str]:
    if not parents:
        return []
    stated = {parent.reference: parent.licence for parent in parents}
    rows = [f"| {_cell(ref)} | {licence or 'not stated'} |" for ref, licence in stated.items()]
    table = "\n".join(["| model | licence |", "| --- | --- |", *rows, ""])
    found = merged_licence(stated)
    warnings = [f"**{warning}**\n" for warning in found.warnings]
    if found.unstated:
        warnings.append("Ask the authors of those that state none before passing this merge on.\n")
    return ["## Licences\n", table, *warnings]


def _stage(recipe: MergeRecipe) -> str:
    if recipe.prune is None:
        return ""
    return f" Every delta is pruned by {get_method(recipe.prune.method).title} before."


def _models_table(recipe: MergeRecipe, plans: Sequence[PruningPlan]) -> str:
    rows = [
        "| domain model | pruning rates | amplification | coefficient | delta kept | energy kept |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    known: list[PruningPlan | None] = list(plans) or [None] * len(recipe.models)
    for model, plan in zip(recipe.models, known, strict=True):
        kept = f"{plan.density:.2%} | {plan.energy:.2%}" if plan else "- | -"
        rows.append(
            f"| {_cell(model.model)} | {_numbers(model.levels)} | "
            f"{_numbers(model.amplification)} | {_coefficient(model)} | {kept} |"
        )
    note = f"Base: {_cell(recipe.base)}. Kept shares are of the linear modules' delta.\n"
    return "\n".join([*rows, "", note])


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _coefficient(model: DomainModel) -> str:
    given = model.coefficient
    if not isinstance(given, tuple):
        return _layered(given)
    named = ((_cell(part.part) if part.part else "rest", _layered(part.value)) for part in given)
    return "; ".join(f"{name} {value}" for name, value in named)


def _layered(coefficient: Layered) -> str:
    if isinstance(coefficient, float):
        return f"{coefficient:g}"
    return ", ".join(f"{layer}: {value:g}" for layer, value in coefficient.items())
