"""Files beside merged weights and their owners: tokenizer, chat template, generation settings."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.architectures import pipeline_tag
from dppa_core.checkpoints.folders.sentence_files import MODULES, SENTENCE_SIMILARITY
from dppa_core.checkpoints.folders.small_files import COMPANIONS, read_companion, read_object
from dppa_core.checkpoints.vocabulary.alignment import Alignment
from dppa_core.checkpoints.vocabulary.chat_templates import (
    FORMATS,
    default_template,
    is_template,
    read_template,
    tokens_of,
    without_template,
)
from dppa_core.checkpoints.vocabulary.rows import BASE, Target
from dppa_core.checkpoints.vocabulary.token_ids import (
    json_bytes,
    moved_ids,
    with_added,
    without_tokens,
)
from dppa_core.checkpoints.vocabulary.token_rows import PLAIN
from dppa_core.checkpoints.vocabulary.tokenizer_files import (
    FAST,
    SETTINGS,
    read_vocabulary,
    tokenizer_folder,
)
from dppa_core.checkpoints.vocabulary.tokens import examples
from dppa_core.errors import many
from dppa_core.merging.cards.record import Origins
from dppa_core.merging.cards.sentence_companions import sentence_companions

_GENERATION = "generation_config.json"
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id")


@dataclass(frozen=True, slots=True)
class Companions:
    """The files beside merged weights."""

    files: Mapping[str, bytes]
    """Name -> content."""
    config: Mapping[str, Any]
    """Values of config.json."""
    origins: Origins
    """Models the files come from."""
    warnings: tuple[str, ...]
    changed: bool
    """True if any file differs from the base's."""

    @property
    def pipeline(self) -> str:
        """The Hub's tag of the merge; empty if its card names none."""
        return SENTENCE_SIMILARITY if MODULES in self.files else pipeline_tag(self.config)

    @property
    def key(self) -> str:
        """Distinguishes merges of one base with different files; empty for the base's own."""
        if not self.changed:
            return ""
        parts = (dict(self.config), {name: text.hex() for name, text in self.files.items()})
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def companions_of(
    alignment: Alignment, names: Sequence[str], chat_template: str = "auto"
) -> Companions:
    """Collect the files that make merged weights a working model.

    Args:
        names: References: of the base, then of the domain models.
        chat_template: See `MergeRecipe`. A model whose template it is gives the generation
            settings too.

    Raises:
        DamagedCheckpoint: a file cannot be read.
    """
    return _Sources(alignment, tuple(names), chat_template).gather()


class _Sources:
    """Base and domain models, by index: the base is 0, the first domain model 1."""

    def __init__(self, alignment: Alignment, names: tuple[str, ...], template: str) -> None:
        self._alignment, self._names, self._template = alignment, names, template
        self._models: tuple[Checkpoint, ...] = (alignment.base, *alignment.tuned)
        self._folders = [model.folders for model in self._models]
        self._homes = [model.folder for model in self._models]
        self._target = alignment.target
        other = None if self._target is None else self._target.other
        if other:
            self._names = (*names, other.name)
            self._folders.append((other.folder,))
            self._homes.append(other.folder)
        source = BASE if self._target is None else self._target.source
        self._tokenizer = source - BASE
        self._text, self._why = self._text_of(template)
        self._warnings: list[str] = []

    def gather(self) -> Companions:
        folder = self._folder(self._tokenizer)
        owner, why = self._template_of()
        files = self._tokenizer_files(folder, owner)
        speaker = self._generation(files, owner or 0)
        sentences, notes = sentence_companions(self._homes[: len(self._models)], self._names)
        added = self._target.added if self._target is not None else ()
        tokenizer = self._names[self._tokenizer]
        if added:
            tokens = f"{many(len(added), 'token')} added to {tokenizer}"
            union = any(source >= 0 for _, source in added)
            tokenizer = f"union ({tokens})" if union else tokens
        return Companions(
            files | sentences,
            self._config(),
            Origins(tokenizer, why, self._names[speaker]),
            (*self._warnings, *notes),
            changed=bool(
                (self._tokenizer or owner or speaker or added or self._text is not None)
                or (self._target is not None and self._target.removed)
                or folder != self._models[0].folder
            ),
        )

    def _tokenizer_files(self, folder: Path, owner: int | None) -> dict[str, bytes]:
        """The files of a tokenizer, with the tokens of a union and the template of its owner."""
        files = {n: read_companion(folder / n) for n in COMPANIONS if (folder / n).is_file()}
        files.pop(_GENERATION, None)
        if self._text is not None:
            files = self._with_text(self._text, without_template(files), folder)
        if self._target is not None and self._target.removed:
            files = without_tokens(files, self._target.removed)
        if self._target is not None and self._target.added:
            files = with_added(files, self._target, self._definitions(self._target))
        if self._text is not None:
            return files
        source = None if owner is None else self._template_folder(owner)
        if owner is None or source is None:
            return files if read_template(folder) is None else without_template(files)
        if source == folder:  # already among the files
            return files
        files, template = without_template(files), read_template(source)
        settings = json.loads(files.get(SETTINGS, b"{}"))
        files[SETTINGS] = json_bytes({**settings, "chat_template": template})
        self._check_template(owner, template)
        return files

    def _text_of(self, template: str) -> tuple[str | None, str]:
        """The template, if the recipe names a text instead of a model, and a description of it."""
        if template in FORMATS or template == "none":
            return FORMATS.get(template, ""), f"{template}, as the recipe says"
        if template != "common":
            return (template, "a text of the recipe") if is_template(template) else (None, "")
        folders = (self._template_folder(n) for n in range(len(self._models)))
        texts = [(default_template(folder) or "").strip() if folder else "" for folder in folders]
        counts = Counter(filter(None, texts))
        if not counts:
            return "", "none: no model has one"
        text, count = counts.most_common(1)[0]
        owner = self._names[texts.index(text)]
        return text, f"of {owner}, one of {count} with this template, the most"

    def _with_text(self, template: str, files: dict[str, bytes], folder: Path) -> dict[str, bytes]:
        """The files with a template, if it is not empty; warns of tokens that the merge lacks."""
        if not template:
            return files
        vocabulary = self._target.vocabulary if self._target else read_vocabulary(folder)
        lost = [t for t in tokens_of(template) if vocabulary and t not in vocabulary.ids]
        if lost:
            name = f" {self._template}" if self._template in FORMATS else ""
            self._warnings.append(
                f"The chat template{name} writes {examples(lost)}, which the merged vocabulary "
                "lacks: text will be cut into other tokens there."
            )
        settings = json.loads(files.get(SETTINGS, b"{}"))
        return {**files, SETTINGS: json_bytes({**settings, "chat_template": template})}

    def _folder(self, index: int) -> Path:
        return tokenizer_folder(self._folders[index]) or self._homes[index]

    def _template_folder(self, index: int) -> Path | None:
        """The last folder of a model that has a chat template; None if none has."""
        folders = reversed(self._folders[index])
        return next((folder for folder in folders if read_template(folder) is not None), None)

    def _template_of(self) -> tuple[int | None, str]:
        """Index of the chat template's model, and a description of it."""
        if tokenizer_folder(self._folders[self._tokenizer]) is None:
            return None, f"none: {self._names[self._tokenizer]} has no tokenizer"
        if self._text is not None:
            return None, self._why
        if self._template != "auto":
            index = 0 if self._template == "base" else self._names.index(self._template, 1)
            if self._template_folder(index):
                return index, f"of {self._names[index]}, as the recipe says"
            return None, f"none: {self._names[index]} has none, and the recipe names it"
        first = next((n for n in range(len(self._models)) if self._template_folder(n)), None)
        if first is None:
            return None, "none: no model has one"
        if first == 0:
            return 0, f"of {self._names[0]}, the base"
        return first, f"of {self._names[first]}, the first that has one; the base has none"

    def _check_template(self, index: int, template: Any) -> None:
        """Warn if the template writes tokens that the merged vocabulary lacks."""
        if self._target is None or index == len(self._models):
            return
        ids, text = self._target.vocabulary.ids, str(template)
        added = self._alignment.vocabularies[index].added
        lost = sorted(token for token in added if token not in ids and token in text)
        if lost:
            self._warnings.append(
                f"The chat template of {self._names[index]} writes {examples(lost)}, which the "
                "merged vocabulary lacks: text will be cut into other tokens there. "
                "`vocabulary: union` keeps them."
            )

    def _definitions(self, target: Target) -> dict[str, Mapping[str, Any]]:
        """Definition of each added token in its own tokenizer.json."""
        definitions: dict[str, Mapping[str, Any]] = {}
        for token, model in target.added:
            if model == PLAIN or token not in self._alignment.vocabularies[model + 1].added:
                definitions[token] = {"special": False, "normalized": True}
                continue
            path = self._folder(model + 1) / FAST
            entries = read_object(path).get("added_tokens", []) if path.is_file() else []
            definitions[token] = next((e for e in entries if e.get("content") == token), {})
        return definitions

    def _generation(self, files: dict[str, bytes], owner: int) -> int:
        """Add generation settings to the files, and return their owner."""
        paths = {n: self._homes[n] / _GENERATION for n in (owner, 0)}
        index = next((n for n, path in paths.items() if path.is_file()), 0)
        if not paths[index].is_file():
            return 0
        files[_GENERATION] = read_companion(paths[index])
        target = self._target
        if target is None or index == len(self._models):  # the same vocabulary
            return index
        vocabulary = self._alignment.vocabularies[index]
        if vocabulary != target.vocabulary:
            values, lost = moved_ids(read_object(paths[index]), vocabulary, target.vocabulary)
            files[_GENERATION] = json_bytes(values)
            if lost:
                self._warnings.append(
                    f"{_GENERATION} of {self._names[index]} names {examples(lost)}, which the "
                    "merged vocabulary lacks; left out."
                )
        return index

    def _config(self) -> Mapping[str, Any]:
        """The base's, with the rows and special tokens of the merged vocabulary."""
        config = dict(self._models[0].config)
        target = self._target
        if target is None:
            return config
        inner = config.get("text_config")
        if "vocab_size" not in config and isinstance(inner, Mapping) and "vocab_size" in inner:
            config["text_config"] = {**inner, "vocab_size": target.rows}
        else:
            config["vocab_size"] = target.rows
        theirs: Mapping[str, Any] = {}
        if target.other:
            path = target.other.folder / "config.json"
            theirs = read_object(path) if path.is_file() else {}
        elif self._tokenizer:
            theirs = self._models[self._tokenizer].config
        config |= {key: theirs[key] for key in _IDS if key in theirs}
        return config
