"""A report of a merge as one self-contained web page: numbers, plots, recipe, hashes, commands.

Text of people and models is escaped. The page's policy forbids every request, and its only scripts
are Plotly and its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import plotly.io
import plotly.offline

from dppa_core.checkpoints.sources.references import short_name
from dppa_core.figures.matrices import (
    Shares,
    axes_of,
    heatmap,
    kept_shares,
    planned_shares,
)
from dppa_core.merging.cards.card import requantised_text, stack_summaries, worst_matrices
from dppa_core.merging.cards.record import MergeRecord, Requantised
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.contract import paper_address
from dppa_core.preflight_checks.licences import merged_licence
from dppa_core.pruning.plan import PruningPlan
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, short_hash

FOLDER = Path(__file__).parent
BLUES = ("#0b4f8a", "#3f86c0", "#86b6df", "#c3daef")
"""Colours of partitions: one hue, darker is more significant."""
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


@dataclass(frozen=True, slots=True)
class Reported:
    """The content of a report."""

    recipe: MergeRecipe
    record: MergeRecord
    """Record of the merge, with its hashes."""
    plans: tuple[PruningPlan, ...]
    """Plan of every domain model; empty if the method has no plan."""
    warnings: tuple[str, ...] = ()


def report_html(about: Reported) -> str:
    """The HTML page. The same merge gives the same text."""
    recipe = about.recipe
    names = " + ".join(short_name(model.model) for model in recipe.models)
    title = f"{names} on {short_name(recipe.base)}"
    figures: list[str] = []
    body = [
        _head(about, title),
        _models(about),
        *(_model(about, index, figures) for index in range(len(recipe.models))),
        _licences(about.record),
        _rounding(about.record.requantised),
        _hashes(about.record),
        _again(recipe, about.record),
    ]
    style = (FOLDER / "report.css").read_text("utf-8")
    script = (FOLDER / "report.js").read_text("utf-8")
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{style}</style></head><body><main>",
            *body,
            "</main>",
            f'<script type="application/json" id="figures">[{",".join(figures)}]</script>',
            f"<script>{plotly.offline.get_plotlyjs()}</script>",
            f"<script>{script}</script></body></html>\n",
        ]
    )


def _head(about: Reported, title: str) -> str:
    method = get_method(about.recipe.method)
    address = paper_address(method)
    paper = f' (<a href="{escape(address)}">paper</a>)' if address else ""
    warned = "".join(f'<p class="warning">{escape(text)}</p>' for text in about.warnings)
    return (
        '<header><button type="button" id="theme">Light or dark</button>'
        f"<h1>{escape(title)}</h1><p>A merge by {escape(method.title)}{paper}, recipe "
        f"<code>{short_hash(about.recipe)}</code>. {escape(method.summary)}</p></header>{warned}"
    )


def _models(about: Reported) -> str:
    rows = []
    for index, model in enumerate(about.recipe.models):
        density = about.record.density(index)
        energy = about.record.energies[index] if about.record.energies else None
        rows.append(
            [
                model.model,
                ", ".join(f"{100 * level:g}\N{NO-BREAK SPACE}%" for level in model.levels),
                ", ".join(f"{factor:g}\N{NO-BREAK SPACE}×" for factor in model.amplification),
                coefficient_text(model),
                _share(density),
                _share(energy),
            ]
        )
    head = ["domain model", "pruning rates", "factors", "coefficient", "changes kept", "energy"]
    return (
        "<section><h2>What is merged</h2>"
        f"<p>Base: <code>{escape(about.recipe.base)}</code>. Changes kept are of the linear "
        "matrices; energy is the share of the squared changes that stays.</p>"
        f"{_table(head, rows)}{_stacks(about.recipe)}</section>"
    )


def _stacks(recipe: MergeRecipe) -> str:
    """The sources of the layers of each stack."""
    lines = (
        f"<p><code>{escape(name)}</code> is a stack of {escape(words)}.</p>"
        for name, words in stack_summaries(recipe)
    )
    return "".join(lines)


def _model(about: Reported, index: int, figures: list[str]) -> str:
    """The plots of one domain model; empty if all of its changes are kept."""
    shares = about.record.shares(index)
    if not shares:
        return ""
    name = short_name(about.recipe.models[index].model)
    plan = about.plans[index] if index < len(about.plans) else None
    parts = [
        f"<section><h2>{escape(name)}</h2>",
        _plot(figures, heatmap(shares, "kept"), _most(name, shares, "keeps most, {} of it")),
        _twin(shares),
    ]
    if plan is not None:
        shares_of_outliers = planned_shares(plan, "significance")
        words = f"Kept in each layer of {name}, the strongest partition darkest"
        parts += [
            _plot(figures, kept_shares(plan, BLUES), words),
            _plot(
                figures,
                heatmap(shares_of_outliers, "significance"),
                _most(name, shares_of_outliers, "is most significant, {} of it outliers"),
            ),
        ]
    return "".join([*parts, "</section>"])


def _plot(figures: list[str], figure: Any, title: str) -> str:
    text = str(plotly.io.to_json(figure, validate=False))
    figures.append(text.replace("<", "\\u003c"))
    number = len(figures) - 1
    return f'<h3>{escape(title)}</h3><div class="plot" data-figure="{number}"></div>'


def _most(name: str, shares: Shares, words: str) -> str:
    (layer, kind), share = max(shares.items(), key=lambda item: (item[1], item[0]))
    return f"Of {name}, {kind} of layer {layer} {words.format(f'{100 * share:.3g} %')}"


def _twin(shares: Shares) -> str:
    """The heatmap as a table, for readers who cannot see it."""
    layers, kinds = axes_of(shares)
    rows = [[str(n), *(_share(shares.get((n, kind))) for kind in kinds)] for n in layers]
    return f"<details><summary>As a table</summary>{_table(['layer', *kinds], rows)}</details>"


def _licences(record: MergeRecord) -> str:
    stated = {parent.reference: parent.licence for parent in record.parents}
    warned = "".join(f'<p class="warning">{escape(w)}</p>' for w in merged_licence(stated).warnings)
    rows = [[reference, licence or "not stated"] for reference, licence in stated.items()]
    return f"<section><h2>Licences</h2>{_table(['model', 'licence'], rows)}{warned}</section>"


def _hashes(record: MergeRecord) -> str:
    count = sum(math.prod(tensor.shape) for tensor in record.tensors)
    rows = [[file, sha256] for file, sha256 in sorted(record.files.items())]
    return (
        f"<section><h2>Weights</h2><p>{len(record.tensors)} tensors, {count:,} elements. Together "
        f"they have the hash <code>{escape(record.digest)}</code>, the same in any number of "
        f"files.</p>{_table(['file', 'SHA-256'], rows)}</section>"
    )


def _rounding(rounded: Requantised | None) -> str:
    """What rounding to few bits took; empty for plain numbers."""
    if rounded is None:
        return ""
    rows = [[name, f"{share:.3g}"] for name, share in worst_matrices(rounded)]
    return (
        f"<section><h2>Rounded to {escape(rounded.format)}</h2><p>{requantised_text(rounded)} "
        f"These lost most:</p>{_table(['matrix', 'share of ‖W‖'], rows)}</section>"
    )


def _again(recipe: MergeRecipe, record: MergeRecord) -> str:
    same = " --format same" if record.requantised else ""
    return (
        "<section><h2>Make it again</h2><p>Save this as <code>recipe.yaml</code>:</p>"
        f"<pre>{escape(dump_recipe(recipe))}</pre>"
        f"<pre>dppa merge recipe.yaml --out merged{same}\ndppa card merged --check</pre>"
        "<p>The same recipe on the same checkpoints gives the same bytes, and so the hashes "
        "above.</p></section>"
    )


def coefficient_text(model: DomainModel) -> str:
    """A coefficient in a cell: the number, or a note that it differs."""
    return f"{model.coefficient:g}" if isinstance(model.coefficient, float) else "see the recipe"


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
