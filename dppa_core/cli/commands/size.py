"""`dppa size`: what each form of a delta keeps, in how many bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.charts.tables import text_table
from dppa_core.checkpoints.sources.references import whole_model
from dppa_core.cli.commands.smallest_file import (
    bound_of_enough,
    check_pack_folder,
    place_of_enough,
    spelled,
    write_enough,
)
from dppa_core.cli.evaluation_text import MASKED_WORDS
from dppa_core.cli.options import (
    ItemsOption,
    JsonFlag,
    OverwriteFlag,
    ScorerOption,
    WorkersOption,
    base_and_model,
    dataclass_command,
    domains_in,
    names_in,
    recipe_or_models,
)
from dppa_core.cli.output import emit, progress_line
from dppa_core.errors import DppaError, InvalidValue, shown
from dppa_core.evaluation.form_sizes import (
    BASE,
    USUAL_STORES,
    FormSize,
    form_sizes,
    form_title,
    frontier,
    whole_size,
)
from dppa_core.forms.store import Store, parse_store_text
from dppa_core.parameter_fields import check_number
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_size import relative_size
from dppa_core.recipes.yaml_text import load_recipe

if TYPE_CHECKING:
    from dppa_core.evaluation.form_scores import FormScore


@dataclass(frozen=True)
class SizeOptions:
    """The options of `dppa size`."""

    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[BASE] MODEL",
            help="A fine-tune, its base before it (if none, a shipped one's own, else zoo:base); "
            "or a recipe.",
        ),
    ]
    forms: Annotated[
        str | None,
        typer.Option(
            help="Forms to compare, as 'low_rank(rank=8);bits(bits=1)'; a + sums two; twenty usual "
            "ones if unset."
        ),
    ] = None
    tasks: Annotated[
        str | None, typer.Option(help="Score answers in these domains, as math,law.")
    ] = None
    items: ItemsOption = None
    scorer: ScorerOption = None
    text: Annotated[
        Path | None,
        typer.Option(
            help="A text: its perplexity, or an encoder's masked loss, with each form. Without "
            "questions it stands for them; its first half then chooses factors."
        ),
    ] = None
    factors: Annotated[
        str,
        typer.Option(
            help="Factors of what is kept, as 1 or 0.5,1,2; from the one nearest 1 each form goes "
            "on while the loss on search items falls."
        ),
    ] = "1,1.5,2,3"
    limit: Annotated[int | None, typer.Option(min=1, help="Test items per domain.")] = None
    out: Annotated[
        Path | None,
        typer.Option(help="Also write the smallest file that is enough, into this new folder."),
    ] = None
    overwrite: OverwriteFlag = False
    workers: WorkersOption = None
    as_json: JsonFlag = False


@dataclass_command
def size(options: SizeOptions) -> None:
    """Show how much of a fine-tune each form keeps, and in how many bytes.

    Sparse, drawn at random, low rank, few bits, and sums of these; with --tasks, --items or --text
    also how well each answers, or predicts a text.
    """
    pairs = _pairs(options.models)
    if options.out:
        check_pack_folder(options.out, overwrite=options.overwrite)
    stores = _stores(options.forms)
    factors = [
        check_number("--factors", _number(text), 0, 100) for text in names_in(options.factors) or ()
    ]
    domains = domains_in(options.tasks, options.items, options.scorer) or []
    values, texts = [], []
    for base, model in pairs:
        with progress_line() as progress:
            profile = cached_profile(base, model, workers=options.workers, progress=progress)
            if relative_size(profile.modules) == 0:
                raise InvalidValue(f"{model} equals its base {base}: there is no change to keep.")
            sizes = form_sizes(base, model, stores, workers=options.workers, progress=progress)
            scores: dict[str, FormScore] = {}
            if domains or options.text:
                scores = _scores(options, base, model, sizes, domains, factors, progress)
        change = {"relative_change": relative_size(profile.modules)}
        values.append(change | _values(base, model, sizes, scores))
        texts.append(_text(values[-1]))
    files = []
    if options.out:
        files = write_enough(values, options.out, options.workers, overwrite=options.overwrite)
    if files:
        texts.append("\n".join(f"as a model: {file}" for file in files))
    elif options.out:
        texts.append(f"{options.out}: not written, since no form is enough, or the base alone is")
    emit({"models": values, "files": files}, "\n\n".join(texts), as_json=options.as_json)


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    path, names = recipe_or_models(words)
    if path is None:
        return [base_and_model(names, None)]
    recipe = load_recipe(path)
    return [(recipe.base, whole_model(model.model)) for model in recipe.models]


def _stores(text: str | None) -> tuple[Store, ...]:
    if text is None:
        return USUAL_STORES
    parts = ["".join(part.split()) for part in text.split(";")]
    try:
        stores = tuple(parse_store_text(part) for part in parts if part)
    except DppaError as error:
        raise type(error)(f"--forms: {error} A ; separates several.") from error
    if not stores:
        raise InvalidValue("--forms names no form, such as 'low_rank(rank=8);bits(bits=1)'.")
    return stores


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidValue(f"--factors must be numbers, as 1,1.5,2; got {shown(text)}.") from None


def _scores(
    options: SizeOptions,
    base: str,
    model: str,
    sizes: Sequence[FormSize],
    domains: Sequence[str],
    factors: Sequence[float],
    progress: Any,
) -> dict[str, FormScore]:
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluation.form_scores import form_scores  # noqa: PLC0415
    from dppa_core.evaluation.perplexity import read_text  # noqa: PLC0415

    text = read_text(options.text) if options.text else ""
    stores = [BASE, "", *(row.store for row in sizes)]
    control: dict[str, Any] = {"factors": factors, "limit": options.limit, "progress": progress}
    rows = form_scores(Examiner(), base, model, stores, domains, text=text, **control)
    return {row.store: row for row in rows}


def _values(
    base: str, model: str, sizes: Sequence[FormSize], scores: Mapping[str, FormScore]
) -> dict[str, Any]:
    """Every form's bytes, energy and scores, by bytes."""
    rows = sorted((*sizes, whole_size(model)), key=lambda row: row.nbytes)
    rows = [*([FormSize(BASE, form_title(BASE), 0, 0.0)] if scores else []), *rows]
    files = [n for n, row in enumerate(rows) if row.store != BASE and (scores or row.energy >= 0)]
    points = [(rows[n].nbytes, _loss(rows[n], scores)) for n in files]
    best = {files[place] for place in frontier(points)}
    return {
        "base": base,
        "model": model,
        "enough": place_of_enough(rows, scores),
        "forms": [
            {**_stated(row, scores), "best": n in best, **_score_values(scores.get(row.store))}
            for n, row in enumerate(rows)
        ],
    }


def _stated(row: FormSize, scores: Mapping[str, FormScore]) -> dict[str, Any]:
    """The row with its best factor in the store and in the title."""
    factor = scores[row.store].factor if row.store in scores else 1.0
    store = row.store
    if store not in ("", BASE):
        store = str(parse_store_text(store).times(factor))
    return {**asdict(row), "store": store, "title": form_title(row.store, factor)}


def _loss(row: FormSize, scores: Mapping[str, FormScore]) -> float:
    return scores[row.store].loss if scores else 1 - row.energy


def _score_values(score: FormScore | None) -> dict[str, Any]:
    if score is None:
        return {}
    values: dict[str, Any] = {"factor": score.factor, "loss": score.loss}
    if score.scores:
        domains = {
            domain: found.figures() | {"loss": found.loss} for domain, found in score.scores.items()
        }
        values |= {"accuracy": score.accuracy, "domains": domains}
    if score.masked:
        values["masked_tokens"] = score.masked
    elif score.text_loss is not None:
        values["perplexity"] = math.exp(score.text_loss)
    return values


_SCORES = {"loss": ".4f", "accuracy": ".1%", "perplexity": ".4g"}


def _text(values: Mapping[str, Any]) -> str:
    """One line a form, by bytes; a star marks those that no smaller one beats."""
    scored = {name: form for name, form in _SCORES.items() if name in values["forms"][0]}
    head = ["", "form", "MB", "energy", *scored]
    rows = [
        [
            "*" if row["best"] else "",
            row["title"],
            f"{row['nbytes'] / 1e6:.3f}",
            f"{row['energy']:.3f}" if row["energy"] >= 0 else "-",
            *(format(row[name], form) for name, form in scored.items()),
        ]
        for row in values["forms"]
    ]
    measure = "loss" if scored else "energy lost"
    enough = values["forms"][values["enough"]]
    return (
        f"{values['model']} against {values['base']}: its changes are "
        f"{values['relative_change']:.2%} as long as the weights (‖d‖/‖W‖)\n"
        f"{text_table(head, rows)}\n"
        f"* no smaller or equal file has less {measure}; MB without names, some "
        "kB; energy: share of the delta's squares that "
        "is kept, - where draws are enlarged"
        f"{_masks(values['forms'][0])}\n"
        f"smallest file {bound_of_enough(scored)}: {enough['title']}, "
        f"{enough['nbytes'] / 1e6:.3f} MB{spelled(enough['store'])}"
    )


def _masks(row: Mapping[str, Any]) -> str:
    if "masked_tokens" not in row:
        return ""
    return (
        f"; loss: masked-language loss in nats, the mean of {row['masked_tokens']} masked tokens "
        f"({MASKED_WORDS.rstrip(',')})"
    )
