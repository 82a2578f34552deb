"""The options of `dppa size`, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dppa_core.checkpoints.sources.references import whole_model
from dppa_core.cli.options import (
    ItemsOption,
    JsonFlag,
    OverwriteFlag,
    ScorerOption,
    WorkersOption,
    base_and_model,
    domains_in,
    names_in,
    recipe_or_models,
)
from dppa_core.errors import DppaError, InvalidValue, shown
from dppa_core.evaluation.form_sizes import USUAL_STORES
from dppa_core.forms.store import Store, parse_store_text
from dppa_core.parameter_fields import is_number
from dppa_core.recipes.yaml_text import load_recipe
from dppa_core.tasks import OwnDomain, items

MOST_FACTOR = 100
USUAL_FACTORS = "1,1.5,2,3"


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
    out: Annotated[
        Path | None,
        typer.Option(help="Write the smallest file that is enough, into this new folder."),
    ] = None
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
        str | None,
        typer.Option(
            help="Factors of what is kept, as 1 or 0.5,1,2; from the one nearest 1 each form goes "
            f"on while the loss on search items falls. {USUAL_FACTORS} if unset."
        ),
    ] = None
    limit: Annotated[
        int | None, typer.Option(min=1, help="Questions per domain; all if unset.")
    ] = None
    overwrite: OverwriteFlag = False
    workers: WorkersOption = None
    as_json: JsonFlag = False

    def pairs(self) -> list[tuple[str, str]]:
        """Base and model of each model that is measured."""
        path, names = recipe_or_models(self.models)
        if path is None:
            return [base_and_model(names, None)]
        recipe = load_recipe(path)
        return [(recipe.base, whole_model(model.model)) for model in recipe.models]

    def stores(self) -> tuple[Store, ...]:
        """The forms to compare.

        Raises:
            InvalidValue: none is named.
            DppaError: see `parse_store_text`.
        """
        if self.forms is None:
            return USUAL_STORES
        parts = ["".join(part.split()) for part in self.forms.split(";")]
        try:
            stores = tuple(parse_store_text(part) for part in parts if part)
        except DppaError as error:
            raise type(error)(f"--forms: {error} A ; separates several.") from error
        if not stores:
            raise InvalidValue("--forms names no form, such as 'low_rank(rank=8);bits(bits=1)'.")
        return stores

    def domains(self) -> Sequence[str]:
        """Domains of the questions; empty without any.

        Raises:
            InvalidValue: an option that counts for nothing, or more questions than there are.
            UnknownName: no such domain.
        """
        domains = domains_in(self.tasks, self.items, self.scorer) or []
        if self.overwrite and self.out is None:
            raise InvalidValue("--overwrite replaces the folder of --out: name one.")
        if self.limit is not None and not domains:
            raise InvalidValue("--limit counts the questions of --tasks or --items: give one.")
        if self.factors is not None and not domains and self.text is None:
            raise InvalidValue(
                "--factors are chosen by what --tasks, --items or --text measure: give one."
            )
        for domain in domains:
            items(domain, "test", self.limit)
        return domains

    def notes(self, domains: Sequence[str]) -> list[str]:
        """How many of a user's own questions are asked, a sentence for each domain."""
        return [
            f"{domain}: {len(items(domain, 'test', self.limit))} of {len(domain.items)} questions "
            "are asked; half of all are kept for choosing factors."
            for domain in domains
            if isinstance(domain, OwnDomain)
        ]

    def ladder(self) -> list[float]:
        """The factors; raises InvalidValue for one out of range."""
        texts = names_in(self.factors or USUAL_FACTORS, "--factors names no number, such as 1,2.")
        return [_factor(text) for text in texts or ()]


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not is_number(factor) or not 0 < factor <= MOST_FACTOR:
        raise InvalidValue(
            f"--factors must be numbers above 0, at most {MOST_FACTOR}; got {shown(text)}. 1 keeps "
            "a form as it is."
        )
    return factor
