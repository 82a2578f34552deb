"""Facts about models before their weights are read, and findings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import partial, partialmethod
from typing import Any

from dppa_core.checkpoints.formats import WeightFormat, format_of
from dppa_core.checkpoints.vocabulary.tokens import Vocabulary
from dppa_core.checkpoints.weight_file import TensorInfo
from dppa_core.errors import many
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS
from dppa_core.pruning.tensor_names import find_embedding, find_head, is_buffer


class Severity(StrEnum):
    """Weight of a finding, the least first."""

    OK = "ok"
    """As it should be."""
    NOTE = "note"
    """Good to know; nothing to do."""
    WARNING = "warning"
    """The merge runs; what comes out may not be what was meant."""
    BLOCKER = "blocker"
    """The merge would fail."""


ORDER = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding."""

    severity: Severity
    topic: str
    """Its subject in one word: "tensors", "vocabulary", "licence"."""
    model: str
    """Reference of the model; empty if it is about all of them."""
    what: str
    """The finding itself, as a sentence."""
    why: str = ""
    """Why it matters, or the usual cause; empty if that is plain."""
    remedy: str = ""
    """Advice; empty if there is nothing to do."""

    def to_json(self) -> dict[str, str]:
        """All fields, as text."""
        return {**asdict(self), "severity": self.severity.value}


ok, note, warning, blocker = (partial(Finding, severity) for severity in Severity)
"""Make a finding of that severity from topic, model, what, why and remedy."""


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """A model's tokenizer."""

    kind: str = ""
    """The class named by its tokenizer_config.json; empty if it names none."""
    files: tuple[str, ...] = ()
    """Those of tokenizer.json, tokenizer.model, vocab.json and vocab.txt that exist."""
    identities: frozenset[str] = frozenset()
    """Hashes of the vocabulary's file: two files are the same if one hash is in both sets."""
    vocabulary: Vocabulary | None = field(default=None, repr=False)
    """Its tokens; None if they were not needed, or cannot be read."""
    template: str = field(default="", repr=False)
    """The chat template, several as JSON; empty if there is none."""


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """A LoRA adapter on a model."""

    reference: str
    base: str = ""
    """The base that its configuration names."""
    rank: int = 0
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model, from its configuration and headers."""

    reference: str
    """As requested."""
    source: str = "local"
    """"zoo", "hub", "local" or "stack"."""
    commit: str = ""
    """Of the Hub: the commit that was read."""
    revision: str = ""
    """Of the Hub: the requested branch, tag or commit; empty for the main branch."""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Values of its config.json; empty if it cannot be read."""
    tensors: Mapping[str, TensorInfo] = field(default_factory=dict, repr=False)
    """Name -> dtype and shape; empty if no header can be read."""
    files: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Every file a merge needs -> bytes."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Those of `files` that are not on this disk yet."""
    tokenizer: TokenizerFacts = field(default_factory=TokenizerFacts)
    licence: str | None = None
    """Identifier of the Hub; None if it states none."""
    gated: str = ""
    """"auto" or "manual" if its authors want their terms accepted first."""
    stated_bases: tuple[str, ...] = ()
    """Base models named by its card, as owner/name."""
    adapters: tuple[AdapterFacts, ...] = ()
    low_bit: str = ""
    """The format of few bits in which most weights are stored; `tensors` has them as float32."""
    unreadable: bool = False
    """Weights of few bits that cannot be read; a finding says why."""
    folded: frozenset[str] = frozenset()
    """Names of the tensors that are stored in it."""
    beside: int = 0
    """Bytes of its tensors that belong to no weight, as scales of activations."""
    stacked: tuple[ModelFacts, ...] = ()
    """The models of a stack, each once."""

    def names(self) -> tuple[str, ...]:
        """Names of all tensors."""
        return tuple(self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""
        return self.tensors[name].shape

    def _finding(self, severity: Severity, topic: str, *texts: str) -> Finding:
        return Finding(severity, topic, self.reference, *texts)

    # Findings about this model, from topic, what, why and remedy.
    ok = partialmethod(_finding, Severity.OK)
    note = partialmethod(_finding, Severity.NOTE)
    warning = partialmethod(_finding, Severity.WARNING)
    blocker = partialmethod(_finding, Severity.BLOCKER)

    @property
    def hub_name(self) -> str:
        """owner/name of a Hub model, without revision and adapters."""
        return self.reference.removeprefix("hub:").partition("+")[0].partition("@")[0]

    @property
    def parameters(self) -> int:
        """Elements of all tensors but buffers."""
        return sum(map(math.prod, self.shapes.values()))

    @property
    def bytes_of_weights(self) -> int:
        """Bytes of all stored tensors; if they are unread, of the files."""
        files = sum(self.files[name] for name in self._top_files if format_of([name]))
        return sum(info.size for info in self.tensors.values()) + self.beside or files

    @property
    def format(self) -> WeightFormat | None:
        """The format of its weight files; None if they are unknown."""
        return format_of(self._top_files)

    @property
    def _top_files(self) -> list[str]:
        """The files beside each other, without those of modules behind an encoder."""
        return [name for name in self.files if "/" not in name]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor but buffers."""
        shapes = {name: info.shape for name, info in self.tensors.items()}
        return {name: shape for name, shape in shapes.items() if not is_buffer(name, shape)}

    @property
    def dtypes(self) -> dict[str, int]:
        """Dtypes of the weights -> elements, the most frequent first; counters left out."""
        counts: dict[str, int] = {}
        for name, shape in self.shapes.items():
            dtype = self.tensors[name].dtype
            counts[dtype] = counts.get(dtype, 0) + math.prod(shape)
        weights = {dtype: count for dtype, count in counts.items() if dtype in FLOATS} or counts
        return dict(sorted(weights.items(), key=lambda pair: -pair[1]))

    @property
    def formats(self) -> set[str]:
        """Dtypes of the weights as stored, and the format of few bits in place of float32."""
        return {self.low_bit if self.low_bit and d == "F32" else d for d in self.dtypes}

    @property
    def stored_dtype(self) -> str:
        """Name of the dtype of most weights; where no header was read, that of its configuration,
        else bfloat16."""
        names = {code: name for name, code in DTYPE_CODES.items()}
        stated = self.config.get("dtype", self.config.get("torch_dtype"))
        stored = [names[code] for code in self.dtypes if code in names]
        stored = ["bfloat16"] if self.low_bit else stored
        return (*stored, *(name for name in DTYPE_CODES if name == stated), "bfloat16")[0]

    @property
    def rows(self) -> int | None:
        """Rows of the embedding; None if there is none."""
        name = find_embedding(self.tensors)
        return self.tensors[name].shape[0] if name and self.tensors[name].shape else None

    @property
    def head(self) -> str | None:
        """The LM head, if the files hold a separate one."""
        return find_head(self.tensors)

    def to_json(self) -> dict[str, Any]:
        """Main facts as JSON values."""
        return {
            "reference": self.reference,
            "source": self.source,
            "commit": self.commit,
            "model_type": self.config.get("model_type"),
            "parameters": self.parameters,
            "dtypes": sorted(self.formats) if self.low_bit else list(self.dtypes),
            "bytes": sum(self.files.values()),
            "missing_bytes": sum(self.missing.values()),
            "vocabulary": self.rows,
            "tokenizer": self.tokenizer.kind,
            "chat_template": bool(self.tokenizer.template),
            "head_of_its_own": self.head is not None,
            "licence": self.licence,
            "gated": self.gated,
        }


@dataclass(frozen=True, slots=True)
class CollectedFacts:
    """Facts about a model and findings; either may be missing."""

    facts: ModelFacts | None
    findings: tuple[Finding, ...] = ()


def listed(names: list[str]) -> str:
    """The first three names of a list, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def counted(number: float) -> str:
    """A number of parameters in words: "494 million", "6.74 billion"."""
    for size, word in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= size:
            return f"{number / size:.3g}{word}"
    return f"{number:.0f}"


def in_bytes(number: float) -> str:
    """Bytes in words: "988 MB", "13.5 GB"; powers of 1000."""
    for size, word in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return many(round(number), "byte")
