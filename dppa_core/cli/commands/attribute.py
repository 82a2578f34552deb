"""The command that shows which part of a merge an answer needs."""

from __future__ import annotations

from typing import Annotated

import typer

from dppa_core.charts.tables import text_table
from dppa_core.cli.options import JsonFlag, MemoryOption, RecipeFile
from dppa_core.cli.output import emit, progress_line
from dppa_core.errors import InvalidValue, many, shown
from dppa_core.evaluation.analysis.attribution import (
    CHOICES,
    OUTSIDE,
    Attribution,
    attribution_sentence,
)
from dppa_core.pruning.module_groups import order_kinds
from dppa_core.recipes.yaml_text import load_recipe


def attribute(
    recipe: RecipeFile,
    prompt: Annotated[str, typer.Option(help="The question to the merge.")],
    answer: Annotated[
        str | None, typer.Option(help="The answer to look at; the merge's own if unset.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="Part to leave out at a time: layer or module.")
    ] = "layer",
    memory: MemoryOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how an answer's loss changes without the delta of each layer, or module."""
    merge = load_recipe(recipe)
    if by not in CHOICES:  # before a model is loaded
        raise InvalidValue(f"--by must be one of {', '.join(CHOICES)}, got {shown(by)}.")
    from dppa_core.evaluation.analysis.attribution_run import attribute as run  # noqa: PLC0415  (imports torch)
    from dppa_core.merging.in_memory.model_pool import ModelPool  # noqa: PLC0415  (imports torch)

    with progress_line() as progress:
        resident = ModelPool().get(merge, progress=progress)
        attribution = run(merge, resident, prompt, answer, by=by, progress=progress)
    emit(attribution.to_json(), attribution_text(attribution), as_json=as_json)


def attribution_text(attribution: Attribution) -> str:
    """The answer, its loss, and the change without each part, in nats per token."""
    by, base_loss = attribution.by, attribution.base_loss
    label = "the merge's own answer" if attribution.own else "the answer"
    answer, tokens = " ".join(attribution.answer.split()), many(attribution.tokens, "token")
    base = "" if base_loss is None else f", of the base {base_loss:.4f}"
    lines = [
        f"{label}: {answer!r} ({tokens})",
        f"loss of the merge {attribution.loss:.4f} nats per token{base}",
        f"change of the loss, in nats per token, without the delta of each {by}:",
    ]
    table = _by_layer(attribution) if by == "layer" else _by_module(attribution)
    return "\n".join([*lines, table, attribution_sentence(attribution)])


def _by_layer(attribution: Attribution) -> str:
    rows = [
        [OUTSIDE if effect.part.layer is None else str(effect.part.layer), f"{effect.change:+.4f}"]
        for effect in attribution.effects
    ]
    return text_table(["layer", "change"], rows)


def _by_module(attribution: Attribution) -> str:
    changes = {(e.part.layer, e.part.kind): f"{e.change:+.4f}" for e in attribution.effects}
    kinds = order_kinds(kind for _, kind in changes if kind)
    layers = dict.fromkeys(layer for layer, _ in changes)
    rows = [[str(layer), *(changes.get((layer, kind), "-") for kind in kinds)] for layer in layers]
    return text_table(["layer", *kinds], rows)
