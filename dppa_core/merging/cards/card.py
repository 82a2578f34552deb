"""The model card of a merge: its parts, and how to make it again.

The same recipe and record give the same card.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dppa_core.checkpoints.folders.sentence_files import library_name
from dppa_core.checkpoints.sources.references import hub_parts, short_name, stack_summary
from dppa_core.merging.cards.record import MergeRecord, Requantised
from dppa_core.methods.registry import get_method
from dppa_core.preflight_checks.licences import merged_licence
from dppa_core.preflight_checks.provenance import Parent
from dppa_core.pruning.coefficients import Gradient, Layered
from dppa_core.pruning.share_plot import share_svg
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    calibration_texts,
    dump_recipe,
    short_hash,
)

_MOST_ROWS = 10
"""Matrices that the card lists with what rounding took of them."""

_FRONT = """---
library_name: {library}
{optional}tags:
- merge
- dppa
{tag}---
"""


@dataclass(frozen=True, slots=True)
class CardSubject:
    """What a card is of: a checkpoint, unless it says otherwise."""

    library: str = ""
    """The one that loads it; that of its pipeline tag if empty."""
    relation: str = "merge"
    """Of the Hub: its relation to the base."""
    tags: tuple[str, ...] = ()
    command: str = "dppa merge recipe.yaml --out DIR"
    """Makes it again."""
    sections: tuple[str, ...] = ()
    """Markdown, before the weights."""


def model_card(
    recipe: MergeRecipe, record: MergeRecord | None = None, subject: CardSubject | None = None
) -> str:
    """Markdown with the front matter the Hub reads.

    Args:
        record: The outcome of the merge, or what is known beforehand.
        subject: What it is of; a checkpoint if None.
    """
    subject = subject or CardSubject()
    record = record or MergeRecord()
    method = get_method(recipe.method)
    paper = f" ([{method.paper}](https://arxiv.org/abs/{method.paper[6:]}))" if method.paper else ""
    names = [short_name(model.model) for model in recipe.models]
    if len(set(names)) < len(names):
        names = [model.model for model in recipe.models]
    title = " + ".join(names)
    text = dump_recipe(recipe)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    tags = ("" if method.name == "dppa" else method.name, *subject.tags)
    parts = [
        _FRONT.format(
            library=subject.library or library_name(record.pipeline),
            optional=_optional_front(recipe, record, subject.relation),
            tag="".join(f"- {tag}\n" for tag in tags if tag),
        ),
        f"# {_label(short_name(recipe.base))} merged with {_label(title)}\n",
        f"A merge by {method.title}{paper}, recipe `{short_hash(recipe)}`. {method.summary}"
        f"{_stage(recipe)}\n",
        *(f"**{_label(warning)}**\n" for warning in record.warnings),
        _models_table(recipe, record),
        *_calibrations(recipe),
        *_plots(recipe, record),
        *_origins(record),
        *_licences(record.parents),
        *subject.sections,
        *_weights(record),
        "## Make it again\n",
        "The recipe, as `recipe.yaml`:\n",
        f"{fence}yaml\n{text}{fence}\n",
        f"```\n{subject.command}{' --format same' if record.requantised else ''}\n```\n",
        "The same recipe on the same checkpoints gives the same bytes.\n",
    ]
    return "\n".join(parts)


def card_plots(recipe: MergeRecipe, record: MergeRecord) -> dict[str, str]:
    """File name -> SVG of the card's plots, one for each pruned model."""
    return {file: share_svg(name, shares) for file, name, shares in _pruned(recipe, record)}


def _pruned(
    recipe: MergeRecipe, record: MergeRecord
) -> Iterator[tuple[str, str, dict[tuple[int, str], float]]]:
    """(file of its plot, short name, shares kept) of each pruned model."""
    for index, model in enumerate(recipe.models):
        shares = record.shares(index)
        if shares:
            yield f"density-{index + 1}.svg", short_name(model.model), shares


def _plots(recipe: MergeRecipe, record: MergeRecord) -> list[str]:
    return [
        f"![{_label(name)}: share of each matrix's changes kept]({file})\n"
        for file, name, _ in _pruned(recipe, record)
    ]


def _label(text: str) -> str:
    """A name in a line of text, without Markdown and markup."""
    return re.sub(r"([\\\[\]`*_<>&|])", r"\\\1", " ".join(text.split()))


def _weights(record: MergeRecord) -> list[str]:
    if not record.tensors:
        return []
    count = sum(math.prod(tensor.shape) for tensor in record.tensors)
    lines = [f"{sha256}  {file}" for file, sha256 in sorted(record.files.items())]
    return [
        *_requantised(record.requantised),
        "## Weights\n",
        f"{len(record.tensors)} tensors, {count:,} elements. Together they have the hash "
        f"`{record.digest}`, the same in any number of files; `merge.json` lists that of each "
        "tensor, and what was kept of every matrix. SHA-256 of the files:\n",
        "\n".join(["```", *lines, "```", ""]),
    ]


def _requantised(rounded: Requantised | None) -> list[str]:
    """What rounding to few bits took, the matrices that lost most first."""
    if rounded is None:
        return []
    rows = [f"| `{name}` | {share:.3g} |" for name, share in worst_matrices(rounded)]
    return [
        f"## Rounded to {rounded.format}\n",
        f"{requantised_text(rounded)} `merge.json` lists each. These lost most:\n",
        "\n".join(["| matrix | share of ‖W‖ |", "| --- | --- |", *rows, ""]),
    ]


def requantised_text(rounded: Requantised) -> str:
    """What rounding to few bits took, in two sentences."""
    added, count = rounded.of_added, len(rounded.tensors)
    and_added = "" if added is None else f", and {added:.3g} of what the merge adds to the base"
    return (
        f"The merge was computed in float32 and rounded. That took {rounded.error:.3g} of ‖W‖ over "
        f"{count} matrices{and_added}."
    )


def worst_matrices(rounded: Requantised) -> list[tuple[str, float]]:
    """The matrices that lost most by rounding, and what share of each."""
    return sorted(rounded.tensors.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_ROWS]


def _optional_front(recipe: MergeRecipe, record: MergeRecord, relation: str) -> str:
    """Front matter that not every merge has: pipeline tag, licence, and parents on the Hub."""
    parents = record.parents
    licence = merged_licence({parent.reference: parent.licence for parent in parents}).identifier
    packed = [model for parent in parents for model in parent.made_of]
    models = (recipe.base, *(model.model for model in recipe.models), *packed)
    models = models if relation == "merge" else models[:1]
    hub = [part[4:].partition("@")[0] for model in models for part in hub_parts(model)]
    lines = [f"pipeline_tag: {_scalar(record.pipeline)}"] if record.pipeline else []
    if licence and licence.startswith("other ("):
        lines += ["license: other", f"license_name: {_scalar(licence[7:-1])}"]
    elif licence:
        lines += [f"license: {_scalar(licence)}"]
    if hub:
        lines += ["base_model:", *(f"- {name}" for name in dict.fromkeys(hub))]
        lines += [f"base_model_relation: {relation}"]
    return "".join(f"{line}\n" for line in lines)


def _scalar(text: str) -> str:
    """A text as a value of YAML, in quotes unless it is one word."""
    return text if re.fullmatch(r"[\w.-]+", text) else json.dumps(text)


def _calibrations(recipe: MergeRecipe) -> list[str]:
    texts = [f"{_cell(model)} on {_label(text)}" for model, text in calibration_texts(recipe)]
    return [f"Calibrated: {'; '.join(texts)}.\n"] if texts else []


def _origins(record: MergeRecord) -> list[str]:
    origins = record.origins
    if origins is None:
        return []
    return [
        f"Tokenizer: {_cell(origins.tokenizer)}. Chat template: {_label(origins.chat_template)}. "
        f"Generation settings: {_cell(origins.generation_config)}.\n"
    ]


def _licences(parents: Sequence[Parent]) -> list[str]:
    if not parents:
        return []
    stated = {parent.reference: parent.licence for parent in parents}
    rows = [f"| {_cell(name)} | {_label(text or 'not stated')} |" for name, text in stated.items()]
    table = "\n".join(["| model | licence |", "| --- | --- |", *rows, ""])
    licence = merged_licence(stated)
    warnings = [f"**{_label(warning)}**\n" for warning in licence.warnings]
    if licence.unstated:
        warnings.append("Ask the authors of those that state none before passing this merge on.\n")
    return ["## Licences\n", table, *warnings]


def _stage(recipe: MergeRecipe) -> str:
    if recipe.prune is None:
        return ""
    return f" Every delta is pruned by {get_method(recipe.prune.method).title} before."


def _models_table(recipe: MergeRecipe, record: MergeRecord) -> str:
    rows = [
        "| domain model | pruning rates | amplification | coefficient | delta kept | energy kept |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for index, model in enumerate(recipe.models):
        density = record.density(index)
        kept = "-" if density is None else f"{density:.2%}"
        energy = f"{record.energies[index]:.2%}" if record.energies else "-"
        rows.append(
            f"| {_cell(model.model)} | {_numbers(model.levels)} | "
            f"{_numbers(model.amplification)} | {_coefficient(model)} | {kept} | {energy} |"
        )
    note = f"Base: {_cell(recipe.base)}. Kept shares are of the linear modules' delta"
    if get_method(recipe.method).combination is not None:
        note += ": what goes into the combination"
    stacks = [f"{_cell(n)} is a stack of {_label(w)}.\n" for n, w in stack_summaries(recipe)]
    return "\n".join([*rows, "", f"{note}.\n", *stacks])


def stack_summaries(recipe: MergeRecipe) -> tuple[tuple[str, str], ...]:
    """Each stack of a recipe, and the sources of its layers."""
    names = dict.fromkeys((recipe.base, *(model.model for model in recipe.models)))
    summaries = ((name, stack_summary(name)) for name in names)
    return tuple((name, words) for name, words in summaries if words)


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _coefficient(model: DomainModel) -> str:
    parts = model.coefficient
    if not isinstance(parts, tuple):
        return _layered(parts)
    named = ((_cell(part.part) if part.part else "rest", _layered(part.value)) for part in parts)
    return "; ".join(f"{name} {value}" for name, value in named)


def _layered(coefficient: Layered | Gradient) -> str:
    if isinstance(coefficient, float):
        return f"{coefficient:g}"
    if isinstance(coefficient, tuple):
        return f"from the first layer to the last {', '.join(map('{:g}'.format, coefficient))}"
    return ", ".join(f"{layer}: {value:g}" for layer, value in coefficient.items())
