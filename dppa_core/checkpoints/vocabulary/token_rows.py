"""Rows of embedding and head that a recipe sets: by token, and how many there are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from dppa_core.checkpoints.aligned_checkpoint import RowMap
from dppa_core.checkpoints.vocabulary.rows import OwnVocabulary, RowRules, Target, rows_in
from dppa_core.errors import IncompatibleCheckpoints, InvalidValue, shown

ZERO, BASE_WORD = "zero", "base"
LACKING = ("base", "mean")
MAX_MULTIPLE = 65_536
PLAIN = -2
"""The source of a token that a recipe adds, which no tokenizer defines."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The row of one token in models that lack it, or in all."""

    source: str
    """The model whose row it is: `base` or a domain model by reference; or `zero`."""
    token: str | None = None
    """That model's token with this row; the same token if unset."""
    token_id: int | None = None
    """The number of that row, instead of a token."""
    force: bool = False
    """True to set the row in models that have the token, too."""

    def __post_init__(self) -> None:
        if self.token is not None and self.token_id is not None:
            raise InvalidValue(
                f"token {shown(self.token)} and token_id {self.token_id}: name the row by one of "
                "them."
            )
        if self.source == ZERO and (self.token is not None or self.token_id is not None):
            raise InvalidValue("source zero has no token or token_id: its row is all zeros.")
        if self.token_id is not None and not 0 <= self.token_id < 2**31:
            raise InvalidValue(f"token_id must be a row from 0, got {self.token_id}.")


@dataclass(frozen=True, slots=True)
class TokenRows:
    """What a recipe says of the rows of the merged vocabulary."""

    tokens: Mapping[str, TokenRow] = field(default_factory=dict)
    """Token -> its row; one that the vocabulary lacks is added to it."""
    pad_to_multiple_of: int | None = None
    """Rows are the tokens, up to a multiple of this; those without a token are the mean of all
    others. If unset, the source of the vocabulary has its own padding."""
    lacking: str = "base"
    """A row that a domain model lacks is the base's; or the `mean` of those that have it."""

    def __post_init__(self) -> None:
        size = self.pad_to_multiple_of
        if size is not None and not 1 <= size <= MAX_MULTIPLE:
            raise InvalidValue(f"pad_to_multiple_of must be 1 to {MAX_MULTIPLE}, got {size}.")
        if self.lacking not in LACKING:
            raise InvalidValue(
                f"lacking must be {' or '.join(LACKING)}, got {shown(self.lacking)}."
            )

    def __hash__(self) -> int:
        return hash(json.dumps(self.values()))

    def __bool__(self) -> bool:
        return bool(self.values())

    def values(self) -> dict[str, Any]:
        """Plain values, without the defaults."""
        tokens = {
            token: {
                "source": row.source,
                **({} if row.token is None else {"token": row.token}),
                **({} if row.token_id is None else {"token_id": row.token_id}),
                **({"force": True} if row.force else {}),
            }
            for token, row in self.tokens.items()
        }
        size = self.pad_to_multiple_of
        return {
            **({"lacking": self.lacking} if self.lacking != "base" else {}),
            **({"tokens": tokens} if tokens else {}),
            **({} if size is None else {"pad_to_multiple_of": size}),
        }

    def described(self, source: str) -> str | dict[str, Any]:
        """The value of a recipe's key vocabulary."""
        return {"source": source, **self.values()} if self else source

    def applied(self, target: Target) -> Target:
        """A vocabulary with the tokens added that it lacks, and as many rows."""
        ids, first = dict(target.vocabulary.ids), target.vocabulary.rows
        new = [token for token in self.tokens if token not in ids]
        ids |= {token: first + number for number, token in enumerate(new)}
        return target.with_tokens(ids, [(token, PLAIN) for token in new], self.pad_to_multiple_of)


UNSET = TokenRows()


def row_rules(
    rows: TokenRows, target: Target, models: Sequence[OwnVocabulary], names: Sequence[str]
) -> RowRules:
    """The rules of a recipe for the rows of a vocabulary.

    Args:
        models: The base, then the domain models.
        names: References of the domain models.

    Raises:
        IncompatibleCheckpoints: a token that its model lacks, or a row beyond its last.
    """
    given: dict[int, RowMap] = {}
    zero: Bool[ndarray, " rows"] = np.zeros(target.rows, bool)
    forced = zero.copy()
    for token, rule in rows.tokens.items():
        place = target.vocabulary.ids[token]
        if place >= target.rows or (not rule.force and all(m.has(token) for m in models)):
            continue  # nobody needs it
        forced[place] = rule.force
        if rule.source == ZERO:
            zero[place] = True
            continue
        index = 0 if rule.source == BASE_WORD else 1 + names.index(rule.source)
        own = given.setdefault(index, np.full(target.rows, -1, np.int64))
        own[place] = _row_of(token, rule, models, index)
    tokens = target.rows if rows.pad_to_multiple_of is None else target.vocabulary.rows
    return RowRules(given, zero, forced, tokens, mean=rows.lacking == "mean")


def _row_of(token: str, rule: TokenRow, models: Sequence[OwnVocabulary], index: int) -> int:
    model = models[index]
    place = f"vocabulary: tokens: {shown(token)}: source {rule.source}"
    if rule.token_id is not None:
        if rule.token_id < model.rows:
            return rule.token_id
        raise IncompatibleCheckpoints(
            f"{place}: token_id {rule.token_id} is beyond its {model.rows} rows, which are "
            f"numbered from 0. The number of another model's token is the usual cause."
        )
    name = token if rule.token is None else rule.token
    if model.has(name):
        return model.vocabulary.ids[name]
    others = sum(other.has(name) for other in models)
    raise IncompatibleCheckpoints(
        f"{place} has no row for the token {shown(name)}; {others} of the {len(models)} models "
        "have one. Choose another source, name the row by `token` or `token_id`, or write "
        "`source: zero`."
    )


def row_maps(
    rules: RowRules, target: Target, models: Sequence[OwnVocabulary], owner: OwnVocabulary
) -> list[RowMap]:
    """For each model its rows in the vocabulary, see `rows_in`; -1 where a rule sets them."""
    # Rows without a token are padding of their model and of models with the same vocabulary.
    padded = rules.tokens == target.rows
    maps = [rows_in(target, model, padding=padded and model.alike(owner)) for model in models]
    return [np.where(rules.forced, -1, rows) for rows in maps]
