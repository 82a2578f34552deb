"""Changes of one model that are lost to rounding, counted on request.

assets/js/plots/sparsity.js draws them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from components.session.json_form import parsed
from components.session.session import ModelChoice, Session
from components.views.see.see import plan_of
from components.work.figures import settings_json
from components.work.studio import Emit, Studio
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.rounding import count_rounded
from dppa_core.progress import Stop
from dppa_core.pruning.plan import PruningPlan
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.recent import Recent

DTYPE = next(str(field.default) for field in fields(MergeRecipe) if field.name == "dtype")
"""The dtype of every merge of the page."""


def asked_model(value: object, session: Session) -> ModelChoice:
    """Read the requested model, JSON text of a reference; InvalidValue if it is not in the list."""
    asked = parsed(value)
    found = [model for model in session.models if model.reference == asked]
    if not found:
        raise InvalidValue(f"{asked!r:.80} is not in the list of models.")
    return found[0]


def losses_payload(
    session: Session, model: ModelChoice, studio: Studio, counts: Recent
) -> Iterator[dict[str, Any]]:
    """Count a model's changes that rounding undoes when only they are added to its base.

    Yields {"counting": True} a few times a second, then counts of every layer and partition, with
    all they depend on; "layers" is None if the method does more than amplify kept changes. Closing
    the iterator stops the count.
    """
    factors = session.factors_of(model.reference)
    value = {
        "model": model.reference,
        "settings": settings_json(session),
        "factors": list(factors),
        "weight": [list(point) for point in model.curve] or model.coefficient,
        "dtype": DTYPE,
    }
    plan = plan_of(session, model.reference, studio)
    if plan is None or session.method.staged:
        yield {**value, "layers": None}
        return
    key = str(value)
    layers = counts.find(key)
    if layers is None:
        found: list[Any] = []

        def work(_emit: Emit, stop: Stop) -> None:
            done = count_rounded(
                plan, factors, model.weight, DTYPE, public=studio.public, stop=stop
            )
            found.append(_by_layer(plan, done.lost.tolist()))

        job = studio.start("sparsity", work)
        for _ in job.to_its_end(every=0.2):
            yield {"counting": True}
        layers = counts.keep(key, found[0])
    yield {**value, "layers": layers}


def _by_layer(plan: PruningPlan, lost: list[list[int]]) -> list[list[int]]:
    """Lost elements of every layer and partition."""
    layers = sorted({module.layer for module in plan.modules})
    sums = {layer: [0] * len(plan.levels) for layer in layers}
    for module, row in zip(plan.modules, lost, strict=True):
        sums[module.layer] = [a + b for a, b in zip(sums[module.layer], row, strict=True)]
    return [sums[layer] for layer in layers]
