"""Facts about a Hub model: the Hub's description, small files, headers by ranges; no weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.adapters.lora_files import CONFIG, WEIGHTS, read_lora_config
from dppa_core.checkpoints.folders.architectures import with_model_type
from dppa_core.checkpoints.folders.sentence_files import sentence_names
from dppa_core.checkpoints.folders.small_files import CONFIGS, read_config, read_object
from dppa_core.checkpoints.formats import format_of
from dppa_core.checkpoints.sources.download import fetch_files, needed_weights
from dppa_core.checkpoints.sources.hub import HubModel, cached_folder
from dppa_core.checkpoints.sources.remote_headers import hub_tensors
from dppa_core.checkpoints.vocabulary.tokenizer_files import TOKENIZER_FILES, read_vocabulary
from dppa_core.checkpoints.vocabulary.tokens import Vocabulary
from dppa_core.checkpoints.weight_file import TensorInfo
from dppa_core.errors import MissingCheckpoint, Unreachable
from dppa_core.preflight_checks.facts import (
    AdapterFacts,
    CollectedFacts,
    ModelFacts,
    TokenizerFacts,
    blocker,
    note,
)
from dppa_core.preflight_checks.local_facts import (
    SMALL,
    LookNotes,
    bases_in,
    local_tensors,
    look_at_folder,
    tokenizer_in,
    with_low_bit,
)
from dppa_core.preflight_checks.provenance import licence_in

MAX_SMALL_BYTES = 64 << 20
"""Most bytes of a small file; larger ones are not what their name says."""
_SETTINGS = (
    *CONFIGS,
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
)


def hub_adapter(reference: str, model: HubModel) -> tuple[AdapterFacts, int]:
    """Facts about an adapter of the Hub, and its bytes that are not fetched yet."""
    needed_weights(model, adapter=True)
    folder = fetch_files(model, (CONFIG,))
    facts = adapter_facts(reference, folder, licence_in(model.card, reference))
    return facts, 0 if _is_fetched(model, WEIGHTS) else model.sizes[WEIGHTS]


def hub_vocabulary(model: HubModel) -> Vocabulary | None:
    """The tokens of a tokenizer; its files are fetched, which a merge needs anyway."""
    names = [file for file in TOKENIZER_FILES if _is_small(model, file)]
    return read_vocabulary(fetch_files(model, names)) if names else None


def adapter_facts(reference: str, folder: Path, licence: str | None) -> AdapterFacts:
    """Facts in the configuration of an adapter."""
    config, values = read_lora_config(folder), read_object(folder / CONFIG)
    base = values.get("base_model_name_or_path")
    return AdapterFacts(reference, base if isinstance(base, str) else "", config.r, licence)


def facts_from_hub(reference: str, model: HubModel, revision: str) -> CollectedFacts:
    """All facts about a Hub model; errors become findings."""
    notes = LookNotes(reference)
    folder = notes.attempt(lambda: _settings(model), None)
    closed = folder is None and notes.findings  # gated: the Hub gives no other file either
    weights: list[str] = [] if closed else notes.attempt(lambda: needed_weights(model), [])
    small = [name for name in SMALL if name in model.sizes]
    names = [*small, *sentence_names(model.sizes), *weights]
    files = {name: model.sizes[name] for name in names}
    explained = closed or ("config.json" not in model.sizes and notes.findings)
    tensors: dict[str, TensorInfo] = notes.attempt(lambda: _tensors(model, weights), {})
    config: dict[str, Any] = {} if explained else notes.attempt(lambda: _config(model, folder), {})
    facts = ModelFacts(
        reference,
        "hub",
        commit=model.commit,
        revision=revision,
        config=with_model_type(config, tensors),
        tensors=tensors,
        files=files,
        missing={n: s for n, s in files.items() if not _is_fetched(model, n)},
        tokenizer=notes.attempt(lambda: tokenizer_in(folder, model.hashes), TokenizerFacts())
        if folder
        else TokenizerFacts(),
        licence=licence_in(model.card, reference),
        gated=model.gated,
        stated_bases=bases_in(model.card),
    )
    facts = with_low_bit(facts, notes, _fetched(model, weights))
    # The finding that it is gated stands once, with the way in.
    kept = [f for f in notes.findings if not (closed and model.gated and f.topic == "access")]
    return CollectedFacts(facts, tuple(kept))


def _tensors(model: HubModel, weights: Sequence[str]) -> dict[str, TensorInfo]:
    """Headers by ranges; files without one, as .bin files, are read once they are on this disk."""
    folder = _fetched(model, weights)
    if folder is not None:
        return local_tensors(folder)
    formats = {name: format_of([name]) for name in weights}
    return hub_tensors(model, [name for name, row in formats.items() if row and row.has_header])


def _fetched(model: HubModel, weights: Sequence[str]) -> Path | None:
    """The folder of the weights, if all are on this disk."""
    folder = cached_folder(model.name, model.commit, weights[0]) if weights else None
    return folder if all(_is_fetched(model, name) for name in weights) else None


def _settings(model: HubModel) -> Path | None:
    """The folder with the small files that describe a model."""
    names = [name for name in _SETTINGS if _is_small(model, name)]
    return fetch_files(model, names) if names else None


def _is_small(model: HubModel, file: str) -> bool:
    return model.sizes.get(file, MAX_SMALL_BYTES + 1) <= MAX_SMALL_BYTES


def _config(model: HubModel, folder: Path | None) -> dict[str, Any]:
    if folder is None or not _is_small(model, "config.json"):
        raise MissingCheckpoint(f"{model}: no config.json, or one too large to be one.")
    return read_config(folder)


def _is_fetched(model: HubModel, file: str) -> bool:
    return cached_folder(model.name, model.commit, file) is not None


def facts_from_disk(reference: str, name: str, revision: str, error: Unreachable) -> CollectedFacts:
    """Facts about a Hub model from this disk, while the Hub is unreachable."""
    folder = cached_folder(name, revision)
    if folder is None:
        why = str(error).partition(": ")[2] or str(error)
        finding = blocker(
            "network",
            reference,
            "The Hub is not reachable, and the model is not on this disk.",
            why[:1].upper() + why[1:],
            "Try again with a network, or name a folder that holds the model.",
        )
        return CollectedFacts(None, (finding,))
    local = look_at_folder(reference, folder, "hub")
    facts = local.facts and replace(local.facts, commit=folder.name, revision=revision)
    finding = note(
        "network",
        reference,
        f"The Hub is not reachable; looked at what is on this disk, commit {folder.name[:8]}.",
        "A newer commit may be there.",
    )
    return CollectedFacts(facts, (*local.findings, finding))
