"""Puts a base and its domain models into one vocabulary, rows matched by token.

Models with the base's tokenizer stay unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dppa_core.checkpoints.aligned_checkpoint import RowMap
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.vocabulary.rows import (
    BASE,
    OwnVocabulary,
    Target,
    of_all,
    rows_in,
    wrap_base,
    wrap_model,
)
from dppa_core.checkpoints.vocabulary.token_rows import (
    UNSET,
    TokenRows,
    row_maps,
    row_rules,
)
from dppa_core.checkpoints.vocabulary.tokenizer_files import (
    TOKENIZER_FILES,
    OtherTokenizer,
    read_vocabulary,
    same_tokenizer,
    tokenizer_folder,
)
from dppa_core.checkpoints.vocabulary.tokens import Vocabulary, compare_vocabularies, examples
from dppa_core.checkpoints.weight_file import file_identity
from dppa_core.errors import IncompatibleCheckpoints, many
from dppa_core.pruning.tensor_names import find_embedding

Choice = int | str | OtherTokenizer
"""The vocabulary of a merge: "base", "union", the index of a domain model, or another tokenizer."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """A base and its domain models in the same vocabulary."""

    base: Checkpoint
    tuned: tuple[Checkpoint, ...]
    target: Target | None
    """The vocabulary of the merge; None if every model has the base's."""
    notes: tuple[str, ...] = ()
    """Notes on matched, filled and omitted rows."""
    vocabularies: tuple[Vocabulary, ...] = ()
    """Row maps of the base and of the domain models, if there is a target."""
    foreign: frozenset[int] = frozenset()
    """Indices of the domain models whose tokenizer differs from the base's."""


def align(
    base: Checkpoint,
    tuned: Sequence[Checkpoint],
    names: Sequence[str],
    choice: Choice = "base",
    rows: TokenRows = UNSET,
) -> Alignment:
    """Put all models into one vocabulary.

    Raises:
        IncompatibleCheckpoints: rows that cannot be matched, or that `rows` does not name rightly.
        DamagedCheckpoint: an unreadable tokenizer.
    """
    unchanged, plain = Alignment(base, tuple(tuned), None), choice == "base" and not rows
    if plain and all(_alike(base, model) for model in tuned):
        return unchanged
    tokenizers = _Tokenizers.read(base, tuned, names)
    if tokenizers is None and not plain:
        raise IncompatibleCheckpoints(
            "vocabulary: the base has no embedding or no tokenizer files beside its config.json, "
            "so that rows cannot be matched by token. Copy them there, or choose "
            "`vocabulary: base`."
        )
    if tokenizers is None or (plain and all(tokenizers.same)):
        return unchanged
    if rows.pad_to_multiple_of is not None and choice in ("base", "union"):
        tokenizers = tokenizers.of_rows()
    target, every = rows.applied(tokenizers.target(choice)), tokenizers.every
    rules = row_rules(rows, target, every, names)
    maps = row_maps(rules, target, every, tokenizers.owned(target))
    key, models = rules.key(maps), (base, *tuned)
    if not _moves_nothing(maps[0], every[0]):
        base = wrap_base(models, maps, rules, key)
    tuned = tuple(
        model
        if _moves_nothing(maps[n], every[n])
        else wrap_model(n, models, base, maps, rules, key, names[n - 1])
        for n, model in enumerate(models[1:], 1)
    )
    vocabularies = tuple(model.vocabulary for model in every)
    foreign = frozenset(
        index for index, tokens in enumerate(vocabularies[1:]) if tokens.ids != vocabularies[0].ids
    )
    return Alignment(base, tuned, target, tokenizers.notes(target), vocabularies, foreign)


def _moves_nothing(rows: RowMap, model: OwnVocabulary) -> bool:
    return np.array_equal(rows, np.arange(model.rows))


@dataclass(frozen=True, slots=True)
class _Tokenizers:
    """The vocabularies of all models of a merge."""

    base: OwnVocabulary
    models: tuple[OwnVocabulary, ...]
    names: tuple[str, ...]
    same: tuple[bool, ...]
    """For each model, True if it has the base's tokens and number of rows."""
    whole: OwnVocabulary | None = None
    """The base's vocabulary if `base` lacks tokens of it."""

    @staticmethod
    def read(
        base: Checkpoint, tuned: Sequence[Checkpoint], names: Sequence[str]
    ) -> _Tokenizers | None:
        """Read them; None if the base has no embedding, or no model has its own tokenizer."""
        rows = [embedding_rows(model) for model in (base, *tuned)]
        if not all(rows):
            return None
        home = tokenizer_folder(base.folders)
        folders = [tokenizer_folder(model.folders) for model in tuned]
        vocabulary = None if home is None else read_vocabulary(home)
        if vocabulary is None:
            _need_tokenizer(rows, ("the base", *names), "the base")
            return None
        base_tokens = OwnVocabulary(vocabulary, rows[0])
        models = []
        for name, folder, count in zip(names, folders, rows[1:], strict=True):
            if folder is None:
                _need_tokenizer((rows[0], count), ("the base", name), name)
            alike = folder is None or same_tokenizer(home, folder)
            theirs = vocabulary if alike or folder is None else read_vocabulary(folder)
            models.append(OwnVocabulary(theirs or vocabulary, count))
        same = tuple(model.alike(base_tokens) for model in models)
        return _Tokenizers(base_tokens, tuple(models), tuple(names), same)

    @property
    def every(self) -> tuple[OwnVocabulary, ...]:
        """The vocabularies of the base and of the models."""
        return self.base, *self.models

    def owned(self, target: Target) -> OwnVocabulary:
        """The vocabulary that a merge's is made of."""
        if target.other:
            return OwnVocabulary(target.vocabulary, target.rows)
        return self.base if target.source == BASE else self.models[target.source]

    def of_rows(self) -> _Tokenizers:
        """With the base's tokens that have a row."""
        return replace(self, base=self.base.of_rows(), whole=self.base)

    def target(self, choice: Choice) -> Target:
        """The chosen vocabulary."""
        if choice == "union":
            target = of_all(self.base, self.models)
        elif isinstance(choice, OtherTokenizer):
            words = choice.vocabulary()
            target = Target(words, words.rows, len(self.models), other=choice)
        else:
            source = BASE if choice == "base" else int(choice)
            model = (*self.models, self.base)[source]
            target = Target(model.vocabulary, model.rows, source)
        whole = self.whole.vocabulary.ids if self.whole else ()
        removed = (token for token in whole if token not in self.base.vocabulary.ids)
        return replace(target, removed=tuple(removed))

    def _literal_notes(self, target: Target) -> Iterator[str]:
        """Notes on new tokens of a tokenizer's own table, which cut text otherwise in a union."""
        for index, (model, name) in enumerate(zip(self.models, self.names, strict=True)):
            tokens = [
                token
                for token, source in target.added
                if source == index and token not in model.vocabulary.added
            ]
            if tokens:
                yield (
                    f"{name}: its tokenizer cuts text by {many(len(tokens), 'token')} the base "
                    f"lacks ({examples(tokens)}). In the union they are added tokens: text is cut "
                    f"at each of them first. `vocabulary: {name}` has its own way."
                )

    def notes(self, target: Target) -> tuple[str, ...]:
        """Notes for the user on the merged vocabulary and on each model."""
        notes = []
        new = [token for token in target.vocabulary.ids if not self.base.has(token)]
        if target.source != BASE or target.added or target.rows != self.base.rows:
            names = (*self.names, target.other.name if target.other else "")
            owner = "base" if target.source == BASE else names[target.source]
            owner = "union" if any(source >= 0 for _, source in target.added) else owner
            notes.append(
                f"vocabulary {owner}: {many(len(target.vocabulary.ids), 'token')}, "
                f"{many(target.rows, 'row')}"
                + (f"; {len(new)} the base lacks ({examples(new)})" if new else "")
            )
        pairs = zip(self.models, self.names, self.same, strict=True)
        for model, name, same in pairs:
            notes += [] if same else [f"{name}: {text}." for text in self._row_notes(model, target)]
        notes += self._literal_notes(target)
        left_out = [
            token
            for token in (*self.base.vocabulary.ids, *target.removed)
            if token not in target.vocabulary.ids
        ]
        if left_out:
            notes.append(
                f"the base: {many(len(left_out), 'token is', 'tokens are')} left out "
                f"({examples(left_out)})."
            )
        return tuple(notes)

    def _row_notes(self, model: OwnVocabulary, target: Target) -> list[str]:
        difference = compare_vocabularies(target.vocabulary, model.vocabulary)
        if difference.same and model.rows == target.rows:
            return []
        if difference.same:
            return [
                f"the same tokens in {many(model.rows, 'row')}, not {target.rows}: rows without "
                "a token are padding and are not merged"
            ]
        notes = []
        if difference.extra:
            notes.append(
                f"{many(len(difference.extra), 'of its tokens is', 'of its tokens are')} not in "
                f"the merged vocabulary ({examples(difference.extra)}) and left out"
            )
            if target.source == BASE and {*difference.extra} <= model.vocabulary.added:
                notes[-1] += "; `vocabulary: union` keeps them"
        if difference.missing:
            notes.append(
                f"it lacks {many(len(difference.missing), 'token')} "
                f"({examples(difference.missing)}): what the merge has there is left as it is"
            )
        if difference.moved:
            notes.append(
                f"{many(len(difference.moved), 'token stands', 'tokens stand')} in other rows "
                f"({examples(difference.moved)}), matched by their text"
            )
        return notes


def tokenizer_identities(model: Checkpoint | OtherTokenizer) -> tuple[str, ...]:
    """Texts that change when a file of the model's tokenizer is written or replaced."""
    folder = tokenizer_folder(model.folders)
    return tuple(file_identity(folder / name) for name in TOKENIZER_FILES) if folder else ()


def embedding_rows(checkpoint: Checkpoint) -> int:
    """Rows of the embedding; 0 if there is none."""
    embedding = find_embedding(checkpoint.names())
    return checkpoint.shape(embedding)[0] if embedding else 0


def rows_of_tokens(owner: Checkpoint, model: Checkpoint) -> RowMap | None:
    """For each row of a model the row of its token in another one, -1 if that lacks it.

    None if both have the same tokens in the same rows, or one has no tokenizer.
    """
    if owner is model or _alike(owner, model):
        return None
    folders = [tokenizer_folder(each.folders) for each in (owner, model)]
    first, second = (read_vocabulary(folder) if folder else None for folder in folders)
    if first is None or second is None:
        return None
    own = OwnVocabulary(first, embedding_rows(owner))
    theirs = OwnVocabulary(second, embedding_rows(model))
    target = Target(own.vocabulary, own.rows, BASE)
    return None if own.alike(theirs) else rows_in(target, theirs, padding=False)


def _alike(base: Checkpoint, tuned: Checkpoint) -> bool:
    """Return True if a model has the base's rows, and its tokenizer byte for byte or none."""
    folder = tokenizer_folder(tuned.folders)
    same = folder is None or same_tokenizer(tokenizer_folder(base.folders), folder)
    return same and embedding_rows(tuned) == embedding_rows(base)


def _need_tokenizer(rows: Sequence[int], names: Sequence[str], lacking: str) -> None:
    for count, name in zip(rows, names, strict=True):
        if count != rows[0]:
            raise IncompatibleCheckpoints(
                f"{name}: its embedding has {many(count, 'row')}, the base's {rows[0]}, and "
                f"{lacking} has no tokenizer files, so that rows cannot be matched by token. Copy "
                "them beside its config.json."
            )
