"""What the parts of a merge were told: a file beside its folder, which the first part makes.

A part, or the joining of all, that is told otherwise is refused by what differs.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.merging.cluster.parts import start_of
from dppa_core.merging.inputs import references
from dppa_core.merging.merger import TensorMerger
from dppa_core.recipes.plain_yaml import read_mapping
from dppa_core.recipes.yaml_text import dump_recipe

_MOST = 3
"""Differences that an error names."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a part was told, as far as its bytes depend on it."""

    folder: str
    """Name of the folder where its files wait."""
    parts: int
    """All of them; 0 for the joining."""
    format: str
    """plain or same."""
    shard_size: int
    recipe: str
    """As YAML, with the commits of Hub models, and the dtype by name."""
    weights: Mapping[str, str]
    """Model -> hash of its weights."""

    @classmethod
    def of(cls, merger: TensorMerger, folder: Path, shard_size: int, parts: int = 0) -> Terms:
        """What a part of this merge is told whose files wait in a folder."""
        models = zip(references(merger.recipe), (merger.base, *merger.inputs.tuned), strict=True)
        hashes = {name: model.content_hash() for name, model in models}
        kind = "same" if merger.target else "plain"
        return cls(folder.name, parts, kind, shard_size, dump_recipe(merger.recipe), hashes)

    def against(self, other: Terms) -> Iterator[str]:
        """How it differs from what other parts were told, one sentence part each."""
        if self.parts and self.parts != other.parts:
            yield f"--part is of {self.parts} here, of {other.parts} there"
        if self.format != other.format:
            yield f"--format is {self.format} here, {other.format} there"
        if self.shard_size != other.shard_size:
            yield f"--shard-size is {self.shard_size} bytes here, {other.shard_size} bytes there"
        for key, here, there in _differences(read_mapping(self.recipe), read_mapping(other.recipe)):
            yield f"recipe: {key} is {here} here, {there} there"
        for name in self.weights.keys() & other.weights.keys():
            hashes = [terms.weights[name][:12] for terms in (self, other)]
            if hashes[0] != hashes[1]:
                yield f"weights of {name} are {hashes[0]}… here, {hashes[1]}… there"


def earlier_terms(target: Path) -> Terms | None:
    """What the parts of a merge to a folder were told; None if there are none."""
    try:
        values = json.loads(_claim_of(target).read_text("utf-8"))
        terms = Terms(**values)
        waiting = target.with_name(terms.folder).is_dir()  # ValueError for a path
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InvalidValue(
            f"{_claim_of(target)}: what the parts of this merge were told cannot be read. A file "
            "system that is full is the usual cause: remove it, and run the parts again."
        ) from error
    return terms if waiting else None


def claim(target: Path, terms: Terms) -> None:
    """Let the first part decide for all.

    Raises:
        InvalidValue: other parts were told otherwise.
    """
    path = _claim_of(target)
    while True:
        before = earlier_terms(target)
        if before is not None:
            check_terms(target, terms, before)
            return
        with suppress(FileNotFoundError):
            path.unlink()  # its folder is gone
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        try:
            new.write_text(json.dumps(asdict(terms)), "utf-8")
            _make(new, path)
        except FileExistsError:
            continue  # another part was first
        finally:
            new.unlink(missing_ok=True)
        return


def check_terms(target: Path, terms: Terms, before: Terms) -> None:
    """Raise InvalidValue if a part was told otherwise than others before."""
    differing = list(islice(terms.against(before), _MOST))
    if differing:
        raise InvalidValue(
            f"{target}: {'this part' if terms.parts else 'joining'} is refused, since the parts in "
            f"{target.with_name(before.folder)} were told otherwise: {'; '.join(differing)}. Give "
            "what they were given, or remove that folder to begin anew."
        )


def release(target: Path) -> None:
    """Forget what the parts were told: they are joined."""
    _claim_of(target).unlink(missing_ok=True)


def _claim_of(target: Path) -> Path:
    return target.with_name(f"{start_of(target)}.json")


def _make(new: Path, path: Path) -> None:
    """Give a complete file its name; FileExistsError if there is one."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with path.open("x", encoding="utf-8") as opened:
            opened.write(new.read_text("utf-8"))


def _differences(here: Any, there: Any, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, and value on either side, wherever two recipes differ."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        names = dict.fromkeys((*here, *there))
        pairs = [(name, here.get(name), there.get(name)) for name in names]
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        pairs = [(index, *pair) for index, pair in enumerate(zip(here, there, strict=True))]
    else:
        if here != there:
            yield key, _value(here), _value(there)
        return
    for name, mine, theirs in pairs:
        yield from _differences(mine, theirs, f"{key}.{name}".removeprefix("."))


def _value(value: Any) -> str:
    return "not set" if value is None else shown(value)
