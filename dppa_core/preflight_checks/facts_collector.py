"""Facts about models, wherever they lie, adapters included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dppa_core.checkpoints.adapters.lora_files import WEIGHTS
from dppa_core.checkpoints.adapters.packs import find_pack
from dppa_core.checkpoints.adapters.stack import StackedLayers
from dppa_core.checkpoints.folders.sentence_files import local_encoder
from dppa_core.checkpoints.sources.hub import HubModel, look_up
from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint
from dppa_core.checkpoints.sources.references import stack_summary
from dppa_core.checkpoints.sources.zoo import needs_fetch, zoo_base, zoo_folder
from dppa_core.checkpoints.vocabulary.tokenizer_files import read_vocabulary
from dppa_core.errors import DppaError, MissingCheckpoint, Unreachable
from dppa_core.forms.store import parse_store_text
from dppa_core.preflight_checks.facts import AdapterFacts, CollectedFacts, ModelFacts, note
from dppa_core.preflight_checks.hub_facts import (
    adapter_facts,
    facts_from_disk,
    facts_from_hub,
    hub_adapter,
    hub_vocabulary,
)
from dppa_core.preflight_checks.local_facts import LookNotes, look_at_folder, trouble
from dppa_core.preflight_checks.provenance import parent_of
from dppa_core.preflight_checks.stacked_facts import stacked_facts


class FactsCollector:
    """Collects facts about models. Remembers the Hub's answers, and that it is unreachable."""

    def __init__(self) -> None:
        self._unreachable: Unreachable | None = None
        self._models: dict[tuple[str, str], HubModel] = {}

    def _find(self, ref: ModelRef) -> HubModel:
        """The Hub's description of a model, see `look_up`."""
        if self._unreachable is not None:
            raise Unreachable(str(self._unreachable))
        key = ref.location, ref.revision
        if key not in self._models:
            try:
                self._models[key] = look_up(*key)
            except Unreachable as error:
                self._unreachable = error
                raise
        return self._models[key]

    def look(self, reference: str) -> CollectedFacts:
        """All facts about a model without its weights; foreseen errors become findings."""
        try:
            ref = ModelRef.parse(reference)
        except DppaError as error:
            return CollectedFacts(None, (trouble(reference, error),))
        collected = self._look(reference, ref)
        if collected.facts is None or not collected.facts.adapters or collected.facts.missing:
            return collected
        if any(finding.severity == "blocker" for finding in collected.findings):
            return collected
        notes = LookNotes(reference)  # all files are here: does the adapter fit?
        notes.attempt(lambda: open_checkpoint(reference), None)
        return CollectedFacts(collected.facts, (*collected.findings, *notes.findings))

    def _look_at_stack(self, reference: str, ref: ModelRef) -> CollectedFacts:
        looks = {model: self._look(str(model), model) for model in ref.models}
        findings = tuple(finding for look in looks.values() for finding in look.findings)
        facts = [look.facts for look in looks.values() if look.facts is not None]
        if len(facts) < len(looks):
            return CollectedFacts(None, findings)
        models = dict(zip(looks, facts, strict=True))
        ranges = [StackedLayers(models[model], str(model), *span) for model, *span in ref.slices]
        notes = LookNotes(reference)
        stack = notes.attempt(lambda: stacked_facts(reference, ranges), None)
        layers = note("layers", reference, f"A stack of {stack_summary(reference)}.")
        return CollectedFacts(stack, (*findings, layers, *notes.findings))

    def _look_at_kept(self, reference: str, ref: ModelRef) -> CollectedFacts:
        looks = [self._look(str(model), model) for model in ref.kept]
        findings = tuple(dict.fromkeys(item for look in looks for item in look.findings))
        if looks[0].facts is None or looks[1].facts is None:
            return CollectedFacts(None, findings)
        forms = parse_store_text(ref.location).title()
        said = note("forms", reference, f"Of its changes is kept: {forms}.")
        return CollectedFacts(replace(looks[0].facts, reference=reference), (*findings, said))

    def _look(self, reference: str, ref: ModelRef) -> CollectedFacts:
        if ref.slices:
            return self._look_at_stack(reference, ref)
        if ref.kept:
            return self._look_at_kept(reference, ref)
        if ref.base is not None:
            return self._look_at_adapter(self._look(reference, ref.base), replace(ref, base=None))
        try:
            if ref.source == "hub":
                return facts_from_hub(reference, self._find(ref), ref.revision)
            return look_at_folder(reference, local_folder(ref), ref.source)
        except DppaError as error:
            if ref.source == "hub" and isinstance(error, Unreachable):
                return facts_from_disk(reference, ref.location, ref.revision, error)
            return CollectedFacts(None, (trouble(reference, error),))

    def _look_at_adapter(self, below: CollectedFacts, ref: ModelRef) -> CollectedFacts:
        if below.facts is None:
            return below
        notes = LookNotes(str(ref))
        find = self._hub_adapter if ref.source == "hub" else _local_adapter
        nothing: tuple[AdapterFacts | None, int] = (None, 0)
        adapter, absent = notes.attempt(lambda: find(ref), nothing)
        if adapter is None:
            return CollectedFacts(below.facts, (*below.findings, *notes.findings))
        missing = {**below.facts.missing, f"{ref}/{WEIGHTS}": absent} if absent else {}
        facts = replace(
            below.facts,
            adapters=(*below.facts.adapters, adapter),
            missing=missing or below.facts.missing,
        )
        return CollectedFacts(facts, below.findings)

    def _hub_adapter(self, ref: ModelRef) -> tuple[AdapterFacts, int]:
        return hub_adapter(str(ref), self._find(ref))

    def with_vocabulary(self, facts: ModelFacts) -> ModelFacts:
        """The same model with the tokens of its tokenizer, if they can be read.

        The tokenizer of a Hub model is fetched, which a merge needs anyway.
        """
        ref = ModelRef.parse(facts.reference).models[0]
        while ref.base is not None:
            ref = ref.base
        try:
            words = (
                hub_vocabulary(self._find(ref))
                if ref.source == "hub"
                else read_vocabulary(local_folder(ref))
            )
        except DppaError:
            return facts
        return replace(facts, tokenizer=replace(facts.tokenizer, vocabulary=words))


def local_folder(ref: ModelRef) -> Path:
    """The folder of an embedded or local model."""
    if ref.source == "zoo":
        if needs_fetch(ref.location):
            whole = zoo_base(ref.location) or ref.location
            raise Unreachable(
                f"{ref}: not on this disk yet. Its contents are known and fit together; `dppa zoo "
                f"fetch {whole}` fetches it, then everything is checked."
            )
        return zoo_folder(ref.location)
    try:
        return local_encoder(Path(ref.location).expanduser())
    except RuntimeError:
        raise MissingCheckpoint(f"{ref}: no user of that name, so no home folder.") from None


def _local_adapter(ref: ModelRef) -> tuple[AdapterFacts, int]:
    place = local_folder(ref)
    licence = parent_of(str(ref), place).licence
    if find_pack(place) is not None:
        return AdapterFacts(str(ref), licence=licence), 0
    return adapter_facts(str(ref), place, licence), 0
