"""Opens checkpoints by reference: embedded models, the Hub, folders, with adapters or packs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Unpack

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint
from dppa_core.checkpoints.adapters.lora import LoraCheckpoint
from dppa_core.checkpoints.adapters.packs import SUFFIX, find_pack, open_pack
from dppa_core.checkpoints.adapters.stack import StackCheckpoint, StackedLayers
from dppa_core.checkpoints.checkpoint import Checkpoint, FolderCheckpoint
from dppa_core.checkpoints.folders.sentence_files import local_encoder
from dppa_core.checkpoints.sources.download import (
    fetch,
    fetch_tokenizer,
    is_here,
    opens_offline,
)
from dppa_core.checkpoints.sources.hub import check_name, is_commit, resolve
from dppa_core.checkpoints.sources.references import (
    KeptDelta,
    LayerRange,
    checked_reference,
    is_stack,
    kept_delta,
    kept_reference,
    layer_ranges,
    stack_reference,
    stacked_models,
)
from dppa_core.checkpoints.sources.zoo import (
    checked_zoo_name,
    needs_fetch,
    zoo_base,
    zoo_folder,
    zoo_names,
)
from dppa_core.checkpoints.vocabulary.alignment import rows_of_tokens
from dppa_core.errors import InvalidValue, NotAllowed, shown
from dppa_core.forms.store import parse_store_text
from dppa_core.progress import RunControl

_MAX_ADAPTERS = 8
_HUB = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A reference to a checkpoint: "zoo:math", "hub:owner/name@revision", a folder.

    With a base, it is an adapter or a delta pack on it: "zoo:base+FOLDER", "zoo:base+FILE". A
    shipped adapter knows its base: "zoo:smollm2-math". Layers of several models are a stack:
    "stack:zoo:base[0:3],zoo:math[1:4]". What a form keeps of a model is "kept:bits() of zoo:math on
    zoo:base".
    """

    source: Literal["zoo", "hub", "local", "stack", "kept"]
    location: str
    """Name in the zoo or on the Hub, or path of a folder; empty for a stack; the forms that keep a
    delta."""
    revision: str = ""
    """Branch, tag or commit on the Hub; empty for the main branch."""
    base: ModelRef | None = None
    """The model below an adapter or a pack; None for a whole model."""
    slices: tuple[tuple[ModelRef, int, int], ...] = ()
    """Of a stack: each model with its first layer and the one after its last."""
    kept: tuple[ModelRef, ...] = ()
    """Of a kept delta: the domain model, and its base."""

    @staticmethod
    def parse(text: str, *, public: bool = False) -> ModelRef:
        """Parse a reference.

        Args:
            public: True if a visitor of a public page wrote it; then no path is looked up.

        Raises:
            InvalidValue: empty or too long text, unprintable characters, half a reference, or a
                name the Hub cannot have.
            UnknownName: no embedded model has that name.
            NotAllowed: `public`, and the model is not embedded.
        """
        text = checked_reference(text)
        kept = kept_delta(text)
        if kept:
            pair = tuple(ModelRef.parse(part, public=public) for part in kept[1:])
            return ModelRef("kept", str(parse_store_text(kept.store)), kept=pair)
        if is_stack(text):
            return _stack(text, public)
        if public:
            return _embedded(text)
        # os.path, not Path: it does not raise for impossible paths.
        if "+" in text and not os.path.exists(os.path.expanduser(text)):
            return _on_adapter(text)
        if text.startswith("zoo:"):
            return _zoo(text[4:])
        if text.startswith("hub:") or _looks_like_hub(text):
            name, _, revision = text.removeprefix("hub:").partition("@")
            check_name(name, revision)
            return ModelRef("hub", name, revision)
        return ModelRef("local", text)

    def parts(self) -> tuple[str, ...]:
        """The whole model, then one reference for each adapter and pack on it.

        Of a stack, those of all models, the first model's last: its tokenizer is the stack's.
        """
        if self.source == "stack":
            return tuple(part for model in reversed(self.models) for part in model.parts())
        if self.source == "kept":
            return self.kept[0].parts()
        below = () if self.base is None else self.base.parts()
        return (*below, str(replace(self, base=None)))

    @property
    def models(self) -> tuple[ModelRef, ...]:
        """The models of a stack, each once, or of a kept delta; of another reference itself."""
        return tuple(dict.fromkeys(model for model, *_ in self.slices)) or self.kept or (self,)

    def __str__(self) -> str:
        if self.source == "stack":
            return stack_reference(LayerRange(str(model), *span) for model, *span in self.slices)
        if self.source == "kept":
            return kept_reference(KeptDelta(self.location, *map(str, self.kept)))
        text = self.location if self.source == "local" else f"{self.source}:{self.location}"
        text += f"@{self.revision}" if self.revision else ""
        return text if self.base is None or self.source == "zoo" else f"{self.base}+{text}"


def pinned(text: str, *, public: bool = False) -> str:
    """The reference with its Hub revisions replaced by commits, which never change."""
    ref = ModelRef.parse(text, public=public)
    fixed = _pin(ref)
    return text if fixed == ref else str(fixed)


def _pin(ref: ModelRef) -> ModelRef:
    base = None if ref.base is None else _pin(ref.base)
    slices = tuple((_pin(model), start, stop) for model, start, stop in ref.slices)
    revision = resolve(ref.location, ref.revision) if ref.source == "hub" else ref.revision
    kept = tuple(map(_pin, ref.kept))
    return replace(ref, base=base, slices=slices, revision=revision, kept=kept)


def open_checkpoint(ref: str, *, public: bool = False, **control: Unpack[RunControl]) -> Checkpoint:
    """Map the weights of a reference; only headers are read.

    A model of the Hub is fetched first, unless it is on this disk.

    Args:
        public: True if visitors of a public page choose it; then only embedded models open.
        progress: Called with bytes of downloads.
        stop: Ends a download.

    Raises:
        InvalidValue: not a reference, or the home folder of an unknown user.
        NotAllowed: `public`, and not embedded or not safetensors; a gated model.
        CheckpointError: no readable checkpoint.
        Unreachable: a Hub model is not on this disk and cannot be fetched.
    """
    return _open(ModelRef.parse(ref, public=public), public, control)


def tokenizer_place(text: str, *, public: bool = False) -> Path:
    """The folder of a model, as it is without adapters; of a stack, that of its first model. Of a
    model of the Hub only the small files are fetched."""
    ref = ModelRef.parse(text, public=public)
    while ref.slices or ref.kept or (ref.base and ref.source != "zoo"):
        ref = ref.base or ref.models[0]
    if ref.source == "hub":
        return fetch_tokenizer(ref.location, resolve(ref.location, ref.revision))
    return _folder(ref, {})


def _open(ref: ModelRef, public: bool, control: RunControl) -> Checkpoint:
    if ref.source == "stack":
        opened = {model: _open(model, public, control) for model in ref.models}
        ranges = [StackedLayers(opened[model], str(model), *span) for model, *span in ref.slices]
        return StackCheckpoint(ranges, rows_of_tokens(ranges[0].model, ranges[-1].model))
    if ref.source == "kept":
        tuned, base = (_open(model, public, control) for model in ref.kept)
        return KeptCheckpoint(base, tuned, parse_store_text(ref.location), str(ref.kept[0]))
    place = _folder(ref, control)
    if ref.base is None:
        _refuse_file(place)
        return FolderCheckpoint(place, may_hold_code=not public)
    base, pack = _open(ref.base, public, control), find_pack(place)
    return LoraCheckpoint(base, place) if pack is None else open_pack(base, pack)


def _refuse_file(place: Path) -> None:
    if place.suffix == SUFFIX and place.is_file():
        raise InvalidValue(
            f"{place}: a file, not a model. A model is a folder with config.json; a delta pack "
            f"stands behind its base, as zoo:base+{place}."
        )


def needs_download(ref: ModelRef) -> bool:
    """Return True if opening a model would fetch weights; its commit must be pinned."""
    if any(needs_download(part) for part in _within(ref)):
        return True
    if ref.source == "zoo":
        return needs_fetch(ref.location)
    adapter = ref.base is not None
    return ref.source == "hub" and not is_here(ref.location, ref.revision, adapter=adapter)


def asks_hub(ref: ModelRef) -> bool:
    """Return True if opening a model that needs no download would still ask the Hub."""
    if any(asks_hub(part) for part in _within(ref)):
        return True
    if ref.source != "hub":
        return False
    if not is_commit(ref.revision):
        return True
    adapter = ref.base is not None
    offline = opens_offline(ref.location, ref.revision, adapter=adapter)
    return not needs_download(ref) and not offline


def _within(ref: ModelRef) -> tuple[ModelRef, ...]:
    """The model below an adapter, or those of a stack or of a kept delta."""
    inside = ref.models if ref.slices or ref.kept else ()
    return (*([ref.base] if ref.base else ()), *inside)


def _stack(text: str, public: bool) -> ModelRef:
    ranges = layer_ranges(text)
    parsed = {name: ModelRef.parse(name, public=public) for name in stacked_models(text)}
    slices = tuple((parsed[name], start, stop) for name, start, stop in ranges)
    return ModelRef("stack", "", slices=slices)


def _embedded(text: str) -> ModelRef:
    if not text.startswith("zoo:") or "+" in text:
        raise NotAllowed(
            "Folders of this computer and models of the Hub are not offered on a public page; "
            f"allowed are {', '.join('zoo:' + name for name in zoo_names())}. Others work in your "
            "own copy."
        )
    name = checked_zoo_name(text[4:])
    if needs_fetch(name):
        raise NotAllowed(
            f"zoo:{name} is not fetched on this page. Its owner can do so with DPPA_FETCH="
            f"{zoo_base(name) or name}; in your own copy you can."
        )
    return _zoo(name)


def _zoo(name: str) -> ModelRef:
    below = zoo_base(checked_zoo_name(name))
    return ModelRef("zoo", name, base=ModelRef("zoo", below) if below else None)


def _folder(ref: ModelRef, control: RunControl) -> Path:
    if ref.source == "local":
        return local_encoder(_path(ref.location))
    if ref.source == "hub":
        commit = resolve(ref.location, ref.revision)
        return fetch(ref.location, commit, adapter=ref.base is not None, **control)
    return zoo_folder(ref.location, **control)


def _on_adapter(text: str) -> ModelRef:
    base, _, adapter = (part.strip() for part in text.rpartition("+"))
    if not base or not adapter or adapter.startswith("zoo:"):
        raise InvalidValue(
            f"{text}: a + stands between a model and its adapter or pack, as zoo:base+FOLDER."
        )
    if base.count("+") >= _MAX_ADAPTERS:
        raise InvalidValue(f"{shown(text)}: more than {_MAX_ADAPTERS} adapters on one model.")
    # packs/math.safetensors could be a Hub name, but Hub models are not files
    is_file = adapter.endswith(SUFFIX) and not adapter.startswith("hub:")
    ref = ModelRef("local", adapter) if is_file else ModelRef.parse(adapter)
    return replace(ref, base=ModelRef.parse(base))


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InvalidValue(
            f"{text}: no user of that name, so no home folder. Write the whole path."
        ) from None


def _looks_like_hub(text: str) -> bool:
    if text.startswith(("/", ".", "~")) or not _HUB.fullmatch(text):
        return False
    return not os.path.exists(text)
