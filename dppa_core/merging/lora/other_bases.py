"""Adapters on another base than their configuration names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dppa_core.checkpoints.adapters.lora_files import CONFIG, names_another
from dppa_core.checkpoints.sources.hub import cached_folder
from dppa_core.checkpoints.sources.open import ModelRef
from dppa_core.preflight_checks.hub_facts import adapter_facts


def adapters_of_others(references: Iterable[str]) -> Iterator[str]:
    """A sentence for each adapter among references that names another base."""
    for reference in dict.fromkeys(references):
        ref = ModelRef.parse(reference)
        carrier = ref.parts()[0]
        while ref.base is not None:
            folder = _folder(ref)
            if folder is not None and (folder / CONFIG).is_file():
                named = adapter_facts(str(folder), folder, None).base
                if names_another(named, carrier):
                    yield (
                        f"{ref.location} was trained on {named}, says its configuration; here it "
                        f"is put on {carrier}. Another model ruins the merge."
                    )
            ref = ref.base


def _folder(ref: ModelRef) -> Path | None:
    """Where an adapter lies on this disk."""
    if ref.source == "hub":
        return cached_folder(ref.location, ref.revision, CONFIG)
    return Path(ref.location).expanduser() if ref.source == "local" else None
