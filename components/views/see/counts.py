"""Counts of single elements, on request and in the background: elements that several domain models
change, and changes lost to rounding.

assets/js/plots/conflict.js, sparsity.js and the heatmap draw them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dppa_core.checkpoints.checkpoint import stored_dtype
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.overlap_pass import count_meetings
from dppa_core.evaluation.analysis.rounding import count_rounded
from dppa_core.progress import Stop
from dppa_core.pruning.overlap import pack_meetings
from dppa_core.pruning.plan import PruningPlan
from dppa_core.pruning.pruning_parameters import Override
from dppa_core.system.recent import Recent

from ...session.json_form import parsed
from ...session.session import ModelChoice, Session
from ...widgets.browser_parts import live
from ...widgets.controls import Controls
from ...widgets.runs import wire_part
from ...work.figures import settings_json
from ...work.kinds import CONFLICT, COUNTS, SPARSITY
from ...work.studio import Emit, Studio
from .see import drawn_with, plan_of


def add_counts(controls: Controls, studio: Studio) -> None:
    """Add two hidden parts, which request and carry the counts."""
    conflict, losses = (live(name, None, events=("count",)) for name in ("conflict", "losses"))
    counts = Recent(200)

    def on_count(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        return conflict_payload(controls.session(values), studio)

    def on_losses(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        model = read_model(values[losses], session)
        for value in losses_payload(session, model, studio, counts):
            yield {} if "counting" in value else value

    wire_part(conflict, conflict.count, on_count, controls.inputs, COUNTS)
    wire_part(losses, losses.count, on_losses, controls.inputs | {losses}, COUNTS)


def conflict_payload(session: Session, studio: Studio) -> Iterator[dict[str, Any]]:
    """Count all pairs of the merged models, in a thread; closing the iterator stops it. Yields
    {"counting": progress} a few times a second, then the pairs (none for one model) and
    settings."""
    names, pairs = session.deciding, list[dict[str, Any]]()
    parameters = drawn_with(session, studio)
    held = {name: Override(rate) for name, rate in session.held}

    def work(emit: Emit, stop: Stop) -> None:
        meetings = count_meetings(
            *(session.base, names, parameters, held),
            public=studio.public,
            progress=lambda count, total, item: emit((f"{item} ({count} of {total})",)),
            stop=stop,
        )
        profile = studio.profile(session.base, names[0])
        pairs.extend(pack_meetings(profile, meetings))

    if len(names) > 1:
        job = studio.start(CONFLICT, work)
        for batch in job.to_its_end(every=0.2):
            if batch:
                yield {"counting": str(batch[-1][0])}
    yield {"settings": settings_json(session), "models": list(names), "pairs": pairs}


def read_model(value: object, session: Session) -> ModelChoice:
    """Read the requested model, JSON text of a reference; InvalidValue if it is not in the list."""
    reference = parsed(value)
    for model in session.models:
        if model.reference == reference:
            return model
    raise InvalidValue(f"{reference!r:.80} is not in the list of models.")


def losses_payload(
    session: Session, model: ModelChoice, studio: Studio, counts: Recent
) -> Iterator[dict[str, Any]]:
    """Count a model's changes that rounding undoes when only they are added to its base.

    Yields {"counting": True} a few times a second, then counts of every layer and partition, with
    all they depend on; "layers" is None if the method does more than amplify kept changes. Closing
    the iterator stops the count.
    """
    factors, dtype = session.factors_of(model.reference), _dtype(session, studio)
    value = {
        "model": model.reference,
        "settings": settings_json(session),
        "factors": list(factors),
        "weight": model.parts or [list(point) for point in model.curve] or model.coefficient,
        "dtype": dtype,
        "dtype_choice": session.dtype,
    }
    plan = plan_of(session, model.reference, studio)
    if plan is None or session.method.staged:
        yield {**value, "layers": None}
        return
    key = str(value)
    layers = counts.find(key)
    if layers is None:
        results: list[Any] = []

        def work(_emit: Emit, stop: Stop) -> None:
            rounded = count_rounded(
                plan, factors, model.weight, dtype, public=studio.public, stop=stop
            )
            results.append(_by_layer(plan, rounded.lost.tolist()))

        for _ in studio.start(SPARSITY, work).to_its_end(every=0.2):
            yield {"counting": True}
        layers = counts.keep(key, results[0])
    yield {**value, "layers": layers}


def _dtype(session: Session, studio: Studio) -> str:
    """The dtype of the session's merges, by name."""
    if session.dtype != "base":
        return session.dtype
    return stored_dtype(open_checkpoint(session.base, public=studio.public))


def _by_layer(plan: PruningPlan, lost: list[list[int]]) -> list[list[int]]:
    """Lost elements of every layer and partition."""
    layers = sorted({module.layer for module in plan.modules})
    sums = {layer: [0] * len(plan.levels) for layer in layers}
    for module, row in zip(plan.modules, lost, strict=True):
        sums[module.layer] = [a + b for a, b in zip(sums[module.layer], row, strict=True)]
    return [sums[layer] for layer in layers]
