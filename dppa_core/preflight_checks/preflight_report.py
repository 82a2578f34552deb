"""Preflight of a merge: reads the facts of every model, and puts the findings in order.

Every error that can be reported becomes a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dppa_core.errors import DppaError
from dppa_core.preflight_checks.estimate import Estimate, estimate
from dppa_core.preflight_checks.facts import (
    ORDER,
    CollectedFacts,
    Finding,
    ModelFacts,
    Severity,
    note,
)
from dppa_core.preflight_checks.facts_collector import FactsCollector
from dppa_core.preflight_checks.local_facts import trouble
from dppa_core.preflight_checks.merge_findings import (
    about_licences,
    about_resources,
    about_same_format,
    sizes_of,
)
from dppa_core.preflight_checks.model_findings import about_model
from dppa_core.preflight_checks.pair_findings import about_pair
from dppa_core.preflight_checks.weight_findings import (
    BaseDistance,
    about_distance,
    about_weights,
    exact_reference,
    measure_distance,
)
from dppa_core.profiling.profile import cached_profile, remembered_profile
from dppa_core.progress import Progress, Stop
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.frames import html_table
from dppa_core.system.machine import Machine, this_machine
from dppa_core.system.threads import worker_count


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """Result of a preflight."""

    base: str
    models: tuple[str, ...]
    facts: tuple[ModelFacts, ...]
    """Of the models that could be read."""
    findings: tuple[Finding, ...]
    """The most severe first; within one severity in the order of the models."""
    estimate: Estimate | None
    """None if the base could not be read."""
    distances: tuple[tuple[str, BaseDistance], ...]
    """Domain model -> distance from the base, if the weights are here and measured."""

    def __repr__(self) -> str:
        counts = Counter(finding.severity for finding in self.findings)
        summary = ", ".join(
            f"{counts[kind]} {kind.value}" for kind in reversed(ORDER) if counts[kind]
        )
        ready = "cannot be merged as they are" if self.blockers else "can be merged"
        return f"PreflightReport({self.base} and {', '.join(self.models)} {ready}: {summary})"

    def _repr_html_(self) -> str:
        """For notebooks: a table of the findings, the most severe first."""
        rows = [
            (finding.severity.value, finding.topic, finding.model, finding.what, finding.remedy)
            for finding in self.findings
        ]
        return html_table(repr(self), ("severity", "topic", "model", "finding", "do"), rows)

    @property
    def blockers(self) -> tuple[Finding, ...]:
        """Findings that would make the merge fail."""
        return tuple(f for f in self.findings if f.severity is Severity.BLOCKER)

    def to_json(self) -> dict[str, Any]:
        """All fields, as JSON values."""
        return {
            "base": self.base,
            "models": list(self.models),
            "ready": not self.blockers,
            "findings": [finding.to_json() for finding in self.findings],
            "facts": [facts.to_json() for facts in self.facts],
            "estimate": asdict(self.estimate) if self.estimate else None,
            "distances": {name: distance.to_json() for name, distance in self.distances},
        }


def preflight_recipe(recipe: MergeRecipe, **settings: Any) -> PreflightReport:
    """Preflight of a recipe's merge; settings as in `preflight_models`."""
    models = tuple(model.model for model in recipe.models)
    of_recipe: dict[str, Any] = {
        "coefficients": tuple(model.coefficient for model in recipe.models),
        "dtype": recipe.dtype,
        "method": recipe.method,
        "rounds": recipe.arithmetic != "float32",
        "vocabulary": recipe.vocabulary,
        "heads": recipe.heads,
    }
    return preflight_models(recipe.base, models, **of_recipe | settings)


def preflight_models(
    base: str,
    models: Sequence[str],
    *,
    coefficients: Sequence[Coefficient] | None = None,
    dtype: str = "base",
    few_bits: bool = False,
    method: str = "dppa",
    rounds: bool = False,
    vocabulary: str = "base",
    heads: str = "match",
    measure: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> PreflightReport:
    """Check whether models can be merged, before any weight is fetched.

    Args:
        base: Reference of the base.
        models: References of the domain models.
        coefficients: Of the models in one merge; None for each delta alone, whole.
        dtype: Of the merged weights; "base" for that of the base.
        few_bits: True for the first low-bit format; `dtype` is then of the other tensors.
        method: Of the merge.
        rounds: True if each of its operations is rounded (`arithmetic` of a recipe).
        vocabulary: Owner of the merge's tokens: "base", "union", or a model's reference.
        heads: "match" if heads must match, "base" if the merge takes the base's; see `about_pair`.
        measure: True to read weights on this disk and measure each model's distance from the base;
            otherwise earlier measurements are used.
        workers: Threads of the merge to expect, and of measuring.
        progress: Called while weights are measured.
        stop: Ends measuring, and looking for NaN.

    Raises:
        Cancelled: `stop` was set.
    """
    collector = FactsCollector()
    looked = _look(collector, (base, *models))
    base_facts = looked[0].facts
    tuned = [collected.facts for collected in looked[1:] if collected.facts]
    base_facts, tuned = _with_vocabularies(collector, base_facts, tuned)
    facts = ([base_facts] if base_facts else []) + tuned
    findings = [finding for collected in looked for finding in collected.findings]
    findings += [finding for model in facts for finding in about_model(model)]
    needed, written = None, dict[str, Any](dtype=dtype, few_bits=few_bits)
    if base_facts:
        findings += [f for m in tuned for f in about_pair(base_facts, m, vocabulary, heads)]
        written["dtype"] = base_facts.stored_dtype if dtype == "base" else dtype
    findings += (*about_licences(facts), *about_same_format(facts, few_bits)) if facts else ()
    if base_facts and base_facts.bytes_of_weights:
        cost = {"method": method, "rounds": rounds, "workers": worker_count(workers)}
        needed = estimate(sizes_of(base_facts, tuned, **written | cost))
        findings += about_resources(needed, _machine(facts))
    settings = {"workers": workers, "progress": progress, "stop": stop} if measure else None
    distances, measured = _distances(base_facts, tuned, findings, settings)
    findings += measured
    if base_facts:
        rounded = {**written, "coefficients": coefficients, "stop": stop}
        findings += about_weights(base_facts, tuned, findings, {*dict(distances)}, **rounded)
    return PreflightReport(base, tuple(models), tuple(facts), _sorted(findings), needed, distances)


def _look(collector: FactsCollector, references: Sequence[str]) -> list[CollectedFacts]:
    """Read the first model alone, to wait only once for an unreachable Hub; then the others."""
    unique = list(dict.fromkeys(references))
    collected = {unique[0]: collector.look(unique[0])}
    with ThreadPoolExecutor(4, "dppa-look") as pool:
        collected |= dict(zip(unique[1:], pool.map(collector.look, unique[1:]), strict=True))
    return [collected[reference] for reference in references]


def _with_vocabularies(
    collector: FactsCollector, base: ModelFacts | None, tuned: list[ModelFacts]
) -> tuple[ModelFacts | None, list[ModelFacts]]:
    """Read the tokens of tokenizers that differ from the base's, and then the base's."""
    if base is None:
        return base, tuned
    hashes = base.tokenizer.identities
    unlike = [model.reference for model in tuned if not model.tokenizer.identities & hashes]
    if not unlike or not base.tokenizer.files:
        return base, tuned
    tuned = [collector.with_vocabulary(m) if m.reference in unlike else m for m in tuned]
    return collector.with_vocabulary(base), tuned


def _machine(models: Sequence[ModelFacts]) -> Machine:
    """Free resources: of the disk for downloads, or of this one if no Hub is needed."""
    if all(model.source != "hub" for model in models):
        return this_machine(Path())
    from huggingface_hub import constants  # noqa: PLC0415  (a third of a second)

    return this_machine(Path(constants.HF_HUB_CACHE))


def _distances(
    base: ModelFacts | None,
    tuned: Sequence[ModelFacts],
    findings: Sequence[Finding],
    settings: dict[str, Any] | None,
) -> tuple[tuple[tuple[str, BaseDistance], ...], list[Finding]]:
    """Distance of each model from the base, if its weights are here and fit."""
    if base is None or base.missing or not base.tensors:
        return (), []
    bad = {f.model for f in findings if f.severity is Severity.BLOCKER}
    fit = [m for m in tuned if m.tensors and not m.missing and m.reference not in bad]
    distances, new_findings = [], []
    for model in fit if base.reference not in bad else []:
        names = (exact_reference(base), exact_reference(model))
        try:
            if settings is None:
                profile = remembered_profile(*names)
            else:
                profile = cached_profile(*names, **settings)
        except DppaError as error:  # such as NaN among the weights
            new_findings.append(replace(trouble(model.reference, error), topic="weights"))
            continue
        if profile is None:
            new_findings.append(_not_measured(model.reference))
            continue
        distances.append((model.reference, measure_distance(profile)))
        new_findings.append(about_distance(model.reference, distances[-1][1]))
    return tuple(distances), new_findings


def _not_measured(model: str) -> Finding:
    return note(
        "base",
        model,
        "How far its weights are from the base's has not been measured yet.",
        "",
        "Ask for it with --measure; `dppa profile` and every merge do so too.",
    )


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda f: -ORDER.index(f.severity)))
