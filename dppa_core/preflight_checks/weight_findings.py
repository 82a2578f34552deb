"""Findings from weights on this disk: another base, NaN, and the delta lost to rounding.

The last two read a sample of a large model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint, low_bit_of
from dppa_core.checkpoints.low_bit.formats import LowBitWeights
from dppa_core.checkpoints.matching import check_finite
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import Cancelled, DppaError
from dppa_core.preflight_checks.facts import (
    Finding,
    ModelFacts,
    Severity,
    counted,
    note,
    ok,
    warning,
)
from dppa_core.preflight_checks.local_facts import LookNotes, trouble
from dppa_core.profiling.rounding_loss import (
    REMEDY,
    RoundingLoss,
    is_exact,
    rounding_loss,
    sample_names,
)
from dppa_core.profiling.rounding_sample import BLOCK_NUMEL, block_starts
from dppa_core.progress import Stop, check
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.floats import FLOATS

FAR_RATIO = 0.5
"""‖d‖/‖W‖ of a whole model above which a warning is due. Fine-tuning stays in the hundredths, the
embedded models, small and trained hard, at 0.2; long training on with other data goes further."""
UNRELATED_RATIO = 0.9
"""From here on this is another base. Two models that have nothing to do with each other (a cosine
of 0), the second s times as large, are at √(1 + s²): √2 at equal norms, never below 1. A tenth is
left for what they have in common by chance or by the same start; at 0.9 the cosine is bounded by
0.44, an angle of up to 64°: hardly alike."""


@dataclass(frozen=True, slots=True)
class BaseDistance:
    """Distance of a domain model from its base."""

    ratio: float
    """‖d‖/‖W‖ over all modules."""
    layers: tuple[float, ...]
    """The same for each layer, the first layer first."""

    @property
    def least_cosine(self) -> float:
        """Lower bound of the cosine between both models' weights, whatever the delta's direction.

        W + d with ‖d‖ = r‖W‖ lies within a ball around W: the angle's sine is at most r.
        """
        return math.sqrt(1 - self.ratio**2) if self.ratio < 1 else -1.0

    def to_json(self) -> dict[str, object]:
        """Ratio, layers and the bound of the cosine; null if the base's weights are 0."""
        return {
            "ratio": _finite(self.ratio),
            "layers": [_finite(ratio) for ratio in self.layers],
            "least_cosine": self.least_cosine,
        }


def measure_distance(profile: DeltaProfile) -> BaseDistance:
    """‖d‖/‖W‖ of a profile; infinite if the base is all zeros."""
    squares: dict[int, list[float]] = {}
    for item in profile.modules:
        sums = squares.setdefault(item.module.layer, [0.0, 0.0])
        sums[0] += item.delta_square
        sums[1] += item.base_square
    whole = [sum(column) for column in zip(*squares.values(), strict=True)] or [0.0, 0.0]
    return BaseDistance(_ratio(*whole), tuple(_ratio(*squares[layer]) for layer in sorted(squares)))


def _finite(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) else None


def _ratio(delta: float, base: float) -> float:
    if delta == 0:
        return 0.0
    return math.sqrt(delta / base) if base else math.inf


def about_distance(model: str, distance: BaseDistance) -> Finding:
    """Finding on the base: a model far away was hardly made from it."""
    least, most = min(distance.layers, default=0), max(distance.layers, default=0)
    sentence = (
        f"Its delta is {distance.ratio:.2g} times as large as the base's weights "
        f"({least:.2g} to {most:.2g} by layer)"
    )
    if distance.ratio == 0:
        return warning(
            "base",
            model,
            "Its modules equal the base's: there is no delta to merge.",
            "A copy of the base under another name is the usual cause.",
            "Choose a fine-tuned model.",
        )
    cosine = f"the cosine between both is at least {distance.least_cosine:.2g}"
    if distance.ratio >= UNRELATED_RATIO:
        return warning(
            "base",
            model,
            f"{sentence}{f'; {cosine}' if distance.ratio < 1 else ''}.",
            "Two unrelated models are at about 1.4 where their weights are equally large, and not "
            "below 1: this is another base, or a training from scratch.",
            "Choose the base it was made from; a merge with this one gives gibberish.",
        )
    if distance.ratio > FAR_RATIO:
        return warning(
            "base",
            model,
            f"{sentence}; {cosine}.",
            f"Fine-tuning stays far below {FAR_RATIO:g}; long training on, or another base, "
            "does not.",
            "Look at its card for the base it was made from.",
        )
    return ok("base", model, f"{sentence}; {cosine}.")


def base_warnings(measured: Iterable[tuple[str, DeltaProfile]]) -> tuple[str, ...]:
    """A merge's warnings: one line for each domain model that was hardly made from its base."""
    findings = (about_distance(model, measure_distance(profile)) for model, profile in measured)
    return tuple(
        f"{finding.model}: {finding.what} {finding.why} {finding.remedy}"
        for finding in findings
        if finding.severity is Severity.WARNING
    )


MAX_WHOLE_BYTES = 1_000_000_000
"""Up to this size a model is read whole to look for NaN, which takes a second or less."""
NOTABLE_LOSS, HEAVY_LOSS = 0.01, 0.1
"""Shares of ‖d‖ lost to rounding from which it is noted, and warned of."""


def about_weights(
    base: ModelFacts,
    tuned: Sequence[ModelFacts],
    findings: Sequence[Finding],
    profiled: set[str],
    *,
    dtype: str,
    few_bits: bool,
    coefficients: Sequence[Coefficient] | None = None,
    stop: Stop | None = None,
) -> Iterator[Finding]:
    """Findings from weights on this disk, and on what is lost by rounding.

    Args:
        profiled: Models whose weights, and the base's, were all read and are finite.
        dtype, few_bits, coefficients: See `preflight_models`.
    """
    bad = {f.model for f in findings if f.severity is Severity.BLOCKER}
    readable = [m for m in (base, *tuned) if m.tensors and not m.missing and m.reference not in bad]
    opened: dict[str, Checkpoint] = {}
    for reference, exact in {m.reference: exact_reference(m) for m in readable}.items():
        notes = LookNotes(reference)
        checkpoint = notes.attempt(partial(open_checkpoint, exact), None)
        yield from notes.findings
        if checkpoint is None:
            continue
        opened[reference] = checkpoint
        if reference not in profiled and not (reference == base.reference and profiled):
            finding = about_finite(reference, checkpoint, stop)
            yield finding
            if finding.severity is Severity.BLOCKER:
                del opened[reference]  # rounding has no size among NaN
    few = low_bit_of(*opened.values()) if few_bits else None
    sound = [bool(m.tensors) and m.reference not in bad for m in tuned if base.tensors]
    if coefficients is not None and len(sound) == len(coefficients) and all(sound):
        added = list(zip(tuned, coefficients, strict=True))
        yield about_rounding("", base, added, opened, dtype, few)
    for model, usable in zip(tuned, sound, strict=False) if coefficients is None else ():
        if usable:
            yield about_rounding(model.reference, base, [(model, 1.0)], opened, dtype, few)


def about_rounding(
    model: str,
    base: ModelFacts,
    added: Sequence[tuple[ModelFacts, Coefficient]],
    opened: Mapping[str, Checkpoint],
    dtype: str,
    few: LowBitWeights | None,
) -> Finding:
    """Finding on the share of whole deltas, each times its coefficient, lost to a merge's format.

    Args:
        model: Whose delta it is; empty for the merge's.
        opened: Models whose weights are here.
        dtype, few: See `rounding_loss`.
    """
    loss, stored = None, base.formats.union(*(m.formats for m, _ in added))
    stored |= {"F32"} if any(m.adapters for m, _ in added) else set()
    if {base.reference, *(m.reference for m, _ in added)} <= opened.keys():
        parts = [(opened[m.reference], coefficient) for m, coefficient in added]
        loss = rounding_loss(opened[base.reference], parts, dtype, few)
    kinds, dtype = ", ".join(sorted(stored)), few.title if few else dtype
    if few is None and is_exact(dtype, stored, [coefficient for _, coefficient in added]):
        return ok(
            "dtype", model, f"The merge is stored in {dtype}, which loses nothing of {kinds}."
        )
    why = f"The weights are {kinds}: {dtype} rounds small changes next to large weights away."
    if loss is None:
        sentence = f"The merge is stored in {dtype}, which takes part of what is added."
        return note("dtype", model, sentence, why, REMEDY)
    if loss.share < NOTABLE_LOSS:
        return ok("dtype", model, loss.text, why)
    make = warning if _is_heavy(loss) else note
    return make("dtype", model, loss.text, why, loss.remedy)


def rounding_warnings(loss: RoundingLoss | None) -> tuple[str, ...]:
    """A merge's warnings: a line if it loses a notable part to a dtype coarser than the weights."""
    return (f"{loss.text} {loss.remedy}",) if loss is not None and _is_heavy(loss) else ()


def _is_heavy(loss: RoundingLoss) -> bool:
    return loss.coarser and loss.share >= HEAVY_LOSS


def exact_reference(facts: ModelFacts) -> str:
    """The reference of exactly the version that was read."""
    if facts.source != "hub" or facts.adapters:
        return facts.reference
    return f"hub:{facts.hub_name}@{facts.commit}"


def about_finite(model: str, checkpoint: Checkpoint, stop: Stop | None = None) -> Finding:
    """Finding on NaN or infinity in a model; of a small one all weights are read."""
    names = [name for name in checkpoint.names() if checkpoint.dtype(name) in FLOATS]
    sizes = {name: math.prod(checkpoint.shape(name)) for name in names}
    adapted = isinstance(checkpoint, DerivedCheckpoint)
    whole = not adapted and 4 * sum(sizes.values()) <= MAX_WHOLE_BYTES
    numel = 0
    try:
        for name in sample_names(names) if adapted else names:
            check(stop)
            raw, dtype = checkpoint.raw(name), checkpoint.dtype(name)
            for start in (0,) if whole else block_starts(raw.size):
                part = raw if whole else raw[start : start + BLOCK_NUMEL]
                check_finite(part, dtype, name, model, start)
                numel += part.size
        checkpoint.release()
    except Cancelled:
        raise
    except DppaError as error:
        return replace(trouble(model, error), topic="weights")
    if whole:
        return ok("weights", model, f"None of its {counted(numel)} weights is NaN or infinite.")
    return note(
        "weights",
        model,
        f"None of {counted(numel)} weights that were read is NaN or infinite; the others were not "
        "read.",
        "",
        "--measure reads all of them; so does every merge.",
    )
