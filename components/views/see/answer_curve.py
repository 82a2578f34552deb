"""Where an answer breaks: its loss and its greedy text over one control, the rest unchanged.
assets/js/pinned/breaks.js requests and draws it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import gradio as gr

from dppa_core.errors import InvalidValue
from dppa_core.models.reply import GenerationSettings, ReplyToken
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.recent import Recent
from dppa_core.tasks import example_of

from ...session.json_form import asked_keys
from ...session.session import Session
from ...widgets.browser_parts import live
from ...work.figures import short_name
from ...work.kinds import CURVE
from ...work.question import checked_text
from ...work.studio import Emit, Studio

MAX_TOKENS = 48
"""Of a pinned answer, and of each answer of a curve."""


@dataclass(frozen=True, slots=True)
class VariedControl:
    """A control over which the answer is followed."""

    values: tuple[float, ...]
    """Values to begin with, the most informative ones first. At the first one the control changes
    nothing: the answer there is compared with the others."""
    step: float
    """Width to which the first change is narrowed down."""


AXES = {
    "rate": VariedControl((0, 0.99, 0.5, 0.8, 0.9, 0.95, 0.65, 0.25, 0.97, 0.85, 0.4), 0.01),
    "factor": VariedControl((1, 0, 3, 2, 1.5, 0.5, 2.5, 1.25, 0.75), 0.05),
    "coefficient": VariedControl((1, 0, 2, 0.5, 1.5, 0.25, 0.75, 1.25, 1.75, -0.5), 0.05),
}


def build_curve() -> gr.HTML:
    """Build the part that requests curves or measures them itself, and draws them."""
    axes = {name: asdict(axis) for name, axis in AXES.items()}
    return live("breaks", {"axes": axes}, events=("trace", "halt"))


@dataclass(frozen=True, slots=True)
class CurveRequest:
    """A question, and the control to vary."""

    number: int
    prompt: str
    axis: str
    """rate, factor or coefficient."""
    model: str
    """The domain model whose factor or coefficient is varied. It writes the reference answer if
    the question has none."""
    band: int
    """The partition whose factor is varied: the strongest one is 0."""


def read_curve(value: object, session: Session) -> CurveRequest:
    """Read JSON text; raises InvalidValue."""
    fields = asked_keys(value, id=int, axis=str, model=str, band=int)
    prompt = checked_text("question", fields.get("prompt"))
    axis, model, band = fields["axis"], fields["model"], fields["band"]
    if axis not in AXES or (axis != "coefficient" and session.method.pruner is None):
        offered = "coefficient" if session.method.pruner is None else ", ".join(AXES)
        raise InvalidValue(f"The curve runs over {axis!r:.40}; this method has: {offered}.")
    if model not in [choice.reference for choice in session.active]:
        raise InvalidValue(f"{model!r:.80} takes no part in the merge: choose another model.")
    if not 0 <= band < len(session.levels):
        raise InvalidValue(f"There is no partition {band!r:.20} here.")
    return CurveRequest(fields["id"], prompt, axis, model, band)


def varied(session: Session, request: CurveRequest, value: float) -> Session:
    """The session with one control set to another value."""
    if request.axis == "rate":
        return replace(session, rate=value)
    if request.axis == "coefficient":
        models = tuple(
            replace(model, coefficient=value, curve=())
            if model.reference == request.model
            else model
            for model in session.models
        )
        return replace(session, models=models)
    factors = list(session.factors_of(request.model))
    factors[request.band] = value
    if session.linked:
        return replace(session, factors=tuple(factors))
    own_factors = dict(session.own_factors) | {request.model: tuple(factors)}
    return replace(session, own_factors=tuple(own_factors.items()))


@dataclass(frozen=True, slots=True)
class Point:
    """The merge's answer at one value of the control."""

    x: float
    loss: float
    """Mean loss of the reference answer, in nats per token."""
    text: str
    """Its own greedy answer."""


def first_changes(points: Sequence[Point], start: float) -> list[tuple[float, float]]:
    """Neighbouring values between which the answer first differs from the one at `start`, going up
    from there, then down; a side without a change has no entry. `points` are by rising x."""
    usual = next(point.text for point in points if point.x == start)
    up = [point for point in points if point.x >= start]
    down = [point for point in reversed(points) if point.x <= start]
    changes = []
    for side in (up, down):
        pairs = ((a.x, b.x) for a, b in pairwise(side) if b.text != usual)
        changes += [(min(pair), max(pair)) for pair in list(pairs)[:1]]
    return changes


def curve_payload(
    session: Session, request: CurveRequest, studio: Studio, cache: Recent
) -> Iterator[dict[str, Any]]:
    """Yield the curve after some more points: first far apart, then close where the answer changes.
    `cache` holds (recipe hash, prompt, reference, contents) -> loss and text of earlier points."""
    axis, item = AXES[request.axis], example_of(request.prompt)
    points: dict[float, Point] = {}
    reference = [item.answer if item else ""]

    def work(emit: Emit, stop: Stop) -> None:
        if item is None:
            reference[0] = _answer(request.model, request.prompt, studio, stop)
        queue = list(axis.values)
        while queue:
            x = queue.pop(0)
            recipe = varied(session, request, x).recipe()
            points[x] = Point(
                x, *_measure(recipe, request.prompt, reference[0], studio, cache, stop)
            )
            emit((x,))
            if not queue:
                queue = _narrowed(points, axis)

    def payload(*, complete: bool) -> dict[str, Any]:
        rising = _by_x(points)
        return {
            "id": request.number,
            "axis": request.axis,
            "start": axis.values[0],
            "reference": reference[0],
            "by": "" if item else short_name(request.model),
            "points": [[point.x, point.loss, point.text] for point in rising],
            "changes": first_changes(rising, axis.values[0]),
            "done": complete,
        }

    for batch in studio.start(CURVE, work).to_its_end():
        if batch:
            yield payload(complete=False)
    yield payload(complete=True)


def _by_x(points: Mapping[float, Point]) -> list[Point]:
    """The points by rising value of the control; safe while the work adds one."""
    return sorted(list(points.values()), key=lambda point: point.x)


def _narrowed(points: Mapping[float, Point], axis: VariedControl) -> list[float]:
    """The middles of the pairs of neighbours that hold a first change, if they are apart."""
    pairs = first_changes(_by_x(points), axis.values[0])
    middles = [round((low + high) / 2, 4) for low, high in pairs if high - low > axis.step + 1e-9]
    return [round(round(x / axis.step) * axis.step, 4) for x in middles]


def _answer(target: str | MergeRecipe, prompt: str, studio: Studio, stop: Stop) -> str:
    text = ""
    settings = GenerationSettings(MAX_TOKENS)
    with closing(studio.answerer().replies(target, prompt, settings, stop)) as events:
        for event in events:
            text = event.text if isinstance(event, ReplyToken) else text
    return text


def _measure(
    recipe: MergeRecipe, prompt: str, reference: str, studio: Studio, cache: Recent, stop: Stop
) -> tuple[float, str]:
    """The loss of the reference answer, in nats per token, and the merge's own answer."""
    key = (recipe_hash(recipe), prompt, reference, studio.identity(recipe))
    point: tuple[float, str] | None = cache.find(key)
    if point is None:
        loss = studio.answerer().reading(recipe, prompt, reference, stop).loss or 0.0
        point = cache.keep(key, (loss, _answer(recipe, prompt, studio, stop)))
    return point
