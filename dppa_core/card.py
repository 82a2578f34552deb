"""The model card of a merge: what it is made of, and how to make it again.

Knows recipes and plans, not weights or time: the same recipe gives the same card.
"""

from __future__ import annotations

from collections.abc import Sequence

from dppa_core.methods.registry import get_method
from dppa_core.plan import PruningPlan
from dppa_core.recipe import DomainModel, MergeRecipe, dump_recipe, recipe_hash

_FRONT = """---
library_name: transformers
pipeline_tag: text-generation
{licence}tags:
- merge
- dppa
---
"""


def model_card(recipe: MergeRecipe, plans: Sequence[PruningPlan] = ()) -> str:
    """Markdown with the front matter the Hub reads.

    Args:
        recipe: Of the merge.
        plans: Of its domain models, where its method makes plans.
    """
    method = get_method(recipe.method)
    embedded = all(
        ref.startswith("zoo:") for ref in (recipe.base, *(m.model for m in recipe.models))
    )
    paper = f" ([{method.paper}](https://arxiv.org/abs/{method.paper[6:]}))" if method.paper else ""
    title = " + ".join(_short(model.model) for model in recipe.models)
    parts = [
        _FRONT.format(licence="license: apache-2.0\n" if embedded else ""),
        f"# {_short(recipe.base)} merged with {title}\n",
        f"A merge by {method.title}{paper}, recipe `{recipe_hash(recipe)}`. {method.summary}\n",
        _models_table(recipe, plans),
        "## Make it again\n",
        "The recipe, as `recipe.yaml`:\n",
        f"```yaml\n{dump_recipe(recipe)}```\n",
        "```\ndppa merge recipe.yaml --out DIR\n```\n",
        "The same recipe on the same checkpoints gives the same bytes.\n",
    ]
    return "\n".join(parts)


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


def _short(reference: str) -> str:
    return reference.removeprefix("zoo:").rstrip("/").rsplit("/", 1)[-1]


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _coefficient(model: DomainModel) -> str:
    if isinstance(model.coefficient, float):
        return f"{model.coefficient:g}"
    return ", ".join(f"{layer}: {value:g}" for layer, value in model.coefficient.items())
