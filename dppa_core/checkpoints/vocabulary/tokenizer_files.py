"""Reads the vocabulary of a model's folder from its tokenizer files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dppa_core.checkpoints.folders.small_files import read_file, read_object, text_of
from dppa_core.checkpoints.vocabulary.tokenizer_growth import check_growth
from dppa_core.checkpoints.vocabulary.tokens import Vocabulary, checked, vocabulary_of_json
from dppa_core.errors import DamagedCheckpoint, IncompatibleCheckpoints, NotAllowed, shown
from dppa_core.system.error_translation import ForeignCode

FAST, PIECES, TABLE, ADDED = "tokenizer.json", "tokenizer.model", "vocab.json", "added_tokens.json"
LINES = "vocab.txt"
SETTINGS = "tokenizer_config.json"
T = TypeVar("T")
_VERSIONS = "fast_tokenizer_files"
_MAX_VERSIONS = 20
TOKENIZER_FILES = (FAST, PIECES, TABLE, LINES, ADDED, SETTINGS)
"""Files that `read_vocabulary` reads."""


def tokenizer_folder(folders: Sequence[Path]) -> Path | None:
    """The last folder with a tokenizer, so that an adapter's comes before its base's."""
    for folder in reversed(folders):
        if any((folder / name).is_file() for name in (FAST, TABLE, PIECES, LINES)):
            return folder
    return None


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """The tokens of a folder's tokenizer; None if there is no tokenizer.

    tokenizer.json is sufficient. Without it, vocab.json, the pieces of tokenizer.model or the lines
    of vocab.txt are used, plus added_tokens.json and the tokens that tokenizer_config.json adds.
    """
    if (folder / FAST).is_file():
        return _within(folder / FAST, lambda: vocabulary_of_json(read_object(folder / FAST)))
    if (folder / TABLE).is_file():
        ids: Mapping[Any, Any] = read_object(folder / TABLE)
    elif (folder / PIECES).is_file():
        ids = _pieces(folder / PIECES)
    elif (folder / LINES).is_file():
        lines = text_of(folder / LINES, read_file(folder / LINES)).split("\n")
        ids = {token: row for row, token in enumerate(lines[:-1] if not lines[-1] else lines)}
    else:
        return None
    added = read_object(folder / ADDED) if (folder / ADDED).is_file() else {}
    return _within(folder, lambda: checked(ids, [*_settled(folder, ids), *added.items()]))


def same_tokenizer(base_folder: Path | None, folder: Path) -> bool:
    """Return True if two folders hold the same tokenizer byte for byte."""
    if base_folder is None:
        return False
    # tokenizer.json is sufficient
    names = (FAST,) if (base_folder / FAST).is_file() else TOKENIZER_FILES
    pairs = ((_content(base_folder / name), _content(folder / name)) for name in names)
    return base_folder == folder or all(first == second for first, second in pairs)


def _content(path: Path) -> bytes | None:
    return read_file(path) if path.is_file() else None


class OtherTokenizer(NamedTuple):
    """The tokenizer of a model that is not merged."""

    name: str
    """The model's reference."""
    folder: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        """As of a checkpoint."""
        return (self.folder,)

    def vocabulary(self) -> Vocabulary:
        """Its tokens. Raises IncompatibleCheckpoints if the folder has no tokenizer."""
        words = read_vocabulary(self.folder)
        if words is None:
            raise IncompatibleCheckpoints(
                f"vocabulary: {self.name}: no tokenizer files in {self.folder}. Copy them there, "
                "or choose another vocabulary."
            )
        return words


def check_named_files(folder: Path) -> None:
    """Check the files that transformers reads before it reads them.

    Raises:
        NotAllowed: settings that name a file of another folder as a version of the tokenizer, or
            too many.
        DamagedCheckpoint: unreadable settings, or a tokenizer that makes texts too long.
    """
    path = folder / SETTINGS
    listed = (read_object(path) if path.is_file() else {}).get(_VERSIONS) or []
    names = listed if isinstance(listed, list) else [listed]
    odd = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    if odd:
        raise NotAllowed(
            f"{path}: {_VERSIONS} lists {shown(odd[0])}. Allowed are names of files in the same "
            "folder. A file edited by hand is the usual cause."
        )
    if (count := len(set(names))) > _MAX_VERSIONS:
        raise NotAllowed(
            f"{path}: {_VERSIONS} lists {count} names. At most {_MAX_VERSIONS} are read. A file "
            "edited by hand is the usual cause."
        )
    for file in (folder / name for name in dict.fromkeys((FAST, *names))):
        if file.is_file():
            _within(file, partial(check_growth, read_object(file)))


def _settled(folder: Path, ids: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Tokens that tokenizer_config.json adds, with their rows."""
    if not (folder / SETTINGS).is_file():
        return
    listed = read_object(folder / SETTINGS).get("added_tokens_decoder")
    for row, entry in listed.items() if isinstance(listed, Mapping) else ():
        if not isinstance(entry, Mapping) or not row.isdecimal():
            continue
        token = entry.get("content")
        if not isinstance(token, str) or token not in ids:
            yield token, int(row)


def _pieces(path: Path) -> dict[str, int]:
    """Piece -> id of a sentencepiece model."""
    from sentencepiece import SentencePieceProcessor  # noqa: PLC0415  (rarely needed)

    with ForeignCode(f"{path}: cannot be read", "An interrupted download is the usual cause."):
        pieces = SentencePieceProcessor()
        pieces.LoadFromSerializedProto(read_file(path))
        return {pieces.IdToPiece(row): row for row in range(pieces.GetPieceSize())}


def _within(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise DamagedCheckpoint(
            f"{path}: not a readable tokenizer: {error}. A file of another kind, or one "
            "edited by hand, is the usual cause."
        ) from error
