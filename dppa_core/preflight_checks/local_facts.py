"""Facts about a model in a folder: its configuration, headers, tokenizer and card.

An error becomes a finding, and all that can be read is kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.folders.architectures import with_model_type
from dppa_core.checkpoints.folders.sentence_files import names_within, sentence_home
from dppa_core.checkpoints.folders.small_files import (
    COMPANIONS,
    read_config,
    read_file,
    read_object,
)
from dppa_core.checkpoints.formats import weight_files
from dppa_core.checkpoints.low_bit.formats import find_low_bit, low_bit_format, plain_config
from dppa_core.checkpoints.vocabulary.chat_templates import read_template
from dppa_core.checkpoints.vocabulary.tokenizer_files import FAST, LINES, PIECES, TABLE
from dppa_core.checkpoints.weight_file import TensorInfo, WeightFile
from dppa_core.errors import (
    DamagedCheckpoint,
    DppaError,
    IncompatibleCheckpoints,
    InvalidValue,
    NonFiniteWeights,
    NotAllowed,
    UnknownName,
    UnmergedStage,
    Unreachable,
)
from dppa_core.preflight_checks.facts import (
    CollectedFacts,
    Finding,
    ModelFacts,
    TokenizerFacts,
    blocker,
)
from dppa_core.preflight_checks.provenance import front_matter, licence_in

T = TypeVar("T")
SMALL = ("config.json", "README.md", *COMPANIONS)
"""Files of a model beside its weights."""
_VOCABULARIES = (FAST, PIECES, TABLE, LINES)
_TOPICS: dict[str, tuple[type[DppaError], ...]] = {
    "reference": (InvalidValue, UnknownName),
    "access": (NotAllowed,),
    "network": (Unreachable,),
    "format": (IncompatibleCheckpoints,),
    "files": (DppaError,),
}
_REMEDIES = {
    "reference": "Write zoo:NAME, owner/name of the Hub, or a folder.",
    "access": "Get access, or take another model.",
    "format": "Use the model it was made from.",
    "files": "Correct the name; a folder must be on the machine that runs this program.",
    "network": "Try again with a network, or name a folder that holds the model.",
}
_REPAIRS = {
    UnmergedStage: "Run `dppa merge` with the recipe, not this check: it merges its stages first.",
    NonFiniteWeights: "Take another version of the model: its weights were saved broken.",
    DamagedCheckpoint: "Fetch the model again.",
}


@dataclass
class LookNotes:
    """Errors met while the facts of one model were collected."""

    model: str
    findings: list[Finding] = field(default_factory=list)

    def attempt(self, work: Callable[[], T], otherwise: T) -> T:
        """The result of some work; if it fails as foreseen, the error is noted."""
        try:
            return work()
        except DppaError as error:
            finding = trouble(self.model, error)
            if finding not in self.findings:
                self.findings.append(finding)
            return otherwise


def trouble(model: str, error: DppaError) -> Finding:
    """An error as a finding: its first sentence, and the rest of it as the reason."""
    name = re.escape(model.removeprefix("hub:").partition("@")[0])
    text = re.sub(rf"^(?:hub:)?{name}(?:@\S+)?: ", "", str(error))  # the finding names it already
    sentence, stop, rest = text.partition(". ")
    first = sentence.partition(" ")[0].rstrip(":,")
    if not re.search(r"[._/]", first):  # a tensor's or a file's name stays as it is
        sentence = sentence[:1].upper() + sentence[1:]
    sentence += stop.rstrip()
    topic = next(topic for topic, kinds in _TOPICS.items() if isinstance(error, kinds))
    return blocker(topic, model, sentence, rest.strip(), _remedy(topic, error))


def _remedy(topic: str, error: DppaError) -> str:
    if "no such file. A shard" in str(error):
        return _REPAIRS[DamagedCheckpoint]
    damaged = next((remedy for kind, remedy in _REPAIRS.items() if isinstance(error, kind)), None)
    return damaged or _REMEDIES[topic]


def look_at_folder(reference: str, folder: Path, source: str = "local") -> CollectedFacts:
    """Facts about a model in a folder of this computer."""
    notes = LookNotes(reference)
    config: dict[str, Any] = notes.attempt(lambda: read_config(folder), {})
    if notes.findings:  # missing, or no model: nothing else can be read
        return CollectedFacts(None, tuple(notes.findings))
    front: dict[str, object] = notes.attempt(
        lambda: front_matter(sentence_home(folder) / "README.md"), {}
    )
    tensors: dict[str, TensorInfo] = notes.attempt(lambda: local_tensors(folder), {})
    facts = ModelFacts(
        reference,
        source,
        config=with_model_type(config, tensors),
        tensors=tensors,
        files=notes.attempt(lambda: _files(folder), {}),
        tokenizer=notes.attempt(lambda: tokenizer_in(folder), TokenizerFacts()),
        licence=licence_in(front, reference),
        stated_bases=bases_in(front),
    )
    facts = with_low_bit(facts, notes, folder)
    return CollectedFacts(facts, tuple(notes.findings))


def with_low_bit(facts: ModelFacts, notes: LookNotes, folder: Path | None) -> ModelFacts:
    """The facts with tensors of few bits as a merge reads them.

    Args:
        folder: Where the weights are; None if only headers are here.
    """
    row = low_bit_format(facts.config)
    if row is None or not (facts.tensors or notes.findings):
        return facts
    known = facts.reference, facts.config, facts.tensors
    facts = replace(facts, config=plain_config(facts.config), low_bit=row.title)
    if not facts.tensors:
        return replace(facts, unreadable=True)
    read = _stored_in(folder)
    few = notes.attempt(lambda: find_low_bit(*known, read), None)
    if few is None:  # the notes say what is wrong, or shapes are in weights that are not here
        return replace(facts, tensors={}, unreadable=bool(read or row.has_shapes))
    tensors = {name: facts.tensors[name] for name in few.names() if name not in few.tensors}
    for name, folded in few.tensors.items():
        size = sum(facts.tensors[part].size for part in folded.parts.values())
        tensors[name] = TensorInfo("F32", folded.shape, 0, size)
    beside = sum(facts.tensors[name].size for name in few.beside)
    return replace(facts, tensors=tensors, folded=frozenset(few.tensors), beside=beside)


def local_tensors(folder: Path) -> dict[str, TensorInfo]:
    """Name -> dtype and shape of every tensor in a folder's weights."""
    return {name: file.tensors[name] for name, file in _places(folder).items()}


def _stored_in(folder: Path | None) -> Callable[[str], Shaped[ndarray, " n"]] | None:
    """Reads tensors of a folder, as they are stored."""
    places = None if folder is None else _places(folder)
    return None if places is None else lambda name: places[name].raw(name)


def _places(folder: Path) -> dict[str, WeightFile]:
    """Tensor -> its file."""
    files = weight_files(folder)
    opened = [files.format.open(path) for path in files.paths]
    return {name: file for file in opened for name in file.tensors}


def _files(folder: Path) -> dict[str, int]:
    """Every file that a merge reads -> bytes."""
    names = [*SMALL, *names_within(folder), *(path.name for path in weight_files(folder).paths)]
    return {name: (folder / name).stat().st_size for name in names if (folder / name).is_file()}


def tokenizer_in(folder: Path, hashes: Mapping[str, str] | None = None) -> TokenizerFacts:
    """The tokenizer in a folder, without its tokens.

    `hashes` are the Hub's, of files that need not be in the folder.
    """
    hub_hashes, settings = hashes or {}, folder / "tokenizer_config.json"
    values = read_object(settings) if settings.is_file() else {}
    template, kind = read_template(folder) or "", values.get("tokenizer_class")
    files = tuple(n for n in _VOCABULARIES if n in hub_hashes or (folder / n).is_file())
    return TokenizerFacts(
        kind if isinstance(kind, str) else "",
        files,
        _identities(folder / files[0], hub_hashes.get(files[0])) if files else frozenset(),
        template=template if isinstance(template, str) else json.dumps(template),
    )


def _identities(path: Path, hub_hash: str | None) -> frozenset[str]:
    """Hashes by which the Hub may know a file: SHA-256, and git's."""
    if hub_hash is not None:
        return frozenset({hub_hash} - {""})
    data = read_file(path)
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
    return frozenset({f"sha256:{hashlib.sha256(data).hexdigest()}", f"git:{git.hexdigest()}"})


def bases_in(front: Mapping[str, Any]) -> tuple[str, ...]:
    """The base models that a card names, as owner/name."""
    named = front.get("base_model")
    several = named if isinstance(named, list) else [named]
    return tuple(base for base in several if isinstance(base, str) and base)
