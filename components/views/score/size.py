"""Quality against bytes: what every form keeps of one model's delta, and how it answers then.
assets/js/panes/size.js draws it, as one of the views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import gradio as gr

from dppa_core.checkpoints.sources.references import kept_delta, whole_model
from dppa_core.checkpoints.sources.zoo import zoo_domain
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.form_sizes import (
    ENOUGH_ENERGY,
    MOST_LOST,
    USUAL_STORES,
    FormSize,
    form_sizes,
    frontier,
    smallest_enough,
    too_few_questions,
    whole_size,
)
from dppa_core.forms.contract import times
from dppa_core.forms.store import parse_store_text
from dppa_core.progress import Progress, RunControl, Stop
from dppa_core.pruning.delta_size import relative_size
from dppa_core.tasks import OwnDomain, items

from ...session.json_form import parsed_keys
from ...session.measured import measured_part
from ...session.session import Session
from ...widgets.browser_parts import live
from ...widgets.controls import Controls
from ...widgets.runs import RunView, build_run, wire_run
from ...work.kinds import FORM_SCORES, FORM_SIZES
from ...work.progress_stream import stream_run
from ...work.studio import Studio
from .own_lists import Lists, QuestionBox, limits_of, list_of_each
from .own_questions import MIN_DIVIDED

QUESTIONS = 100
"""Questions that every form answers."""
SEARCH_QUESTIONS = 40
"""Others, by which each form's factor is chosen."""
FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class SizeRequest:
    """A checked request."""

    base: str
    model: str
    """The whole model, whatever form it is kept in now."""
    store: str = ""
    """The form it is kept in now, measured beside the usual ones; empty if it is whole."""


def read_size(choice: object, session: Session) -> SizeRequest:
    """Check the choice of a model; InvalidValue if it is not in the list."""
    model = parsed_keys(choice).get("model")
    references = {whole_model(item.reference): item.reference for item in session.models}
    if not isinstance(model, str) or model not in references:
        raise InvalidValue(f"{model!r:.80} is not in the list of models.")
    kept = kept_delta(references[model])
    return SizeRequest(session.base, model, kept.store if kept else "")


def sizes_value(
    request: SizeRequest, studio: Studio, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Bytes and kept energy of every form, by bytes, and ‖d‖/‖W‖; runs in its own thread."""
    return _value(request, *_measured(request, studio, progress, stop), {})


def questions_of(request: SizeRequest, session: Session, lists: Callable[[], Lists]) -> str:
    """The domain of a model's questions: its own, else the visitor's list for it, or for all."""
    domain = zoo_domain(request.model)
    if domain is not None:
        return domain
    references = [item.reference for item in session.models]
    reference = next(name for name in references if whole_model(name) == request.model)
    (own,) = list_of_each(lists(), (reference,))
    return own.undivided() if len(own.items) < MIN_DIVIDED else own


def scores_value(
    request: SizeRequest, domain: str, studio: Studio, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """As `sizes_value`, with the loss and the accuracy of each on questions of a domain, times its
    best factor; too few questions leave none to choose factors by."""
    from dppa_core.evaluation.form_scores import form_scores  # noqa: PLC0415  (torch)

    sizes, change = _measured(request, studio, progress, stop)
    whole = isinstance(domain, OwnDomain) and domain.whole
    searched = 0 if whole else len(items(domain, "search", SEARCH_QUESTIONS))
    scores = form_scores(
        *(studio.examiner(), request.base, request.model, [row.store for row in sizes], [domain]),
        factors=FACTORS if searched else FACTORS[1:2],
        limit=QUESTIONS,
        search_limit=SEARCH_QUESTIONS,
        progress=progress,
        stop=stop,
    )
    by_store = {
        row.store: {"factor": row.factor, "loss": row.loss, "accuracy": row.accuracy}
        for row in scores
    }
    count = len(items(domain, "test", QUESTIONS))
    asked = {"questions": count, "searched": searched, "few": too_few_questions(count)}
    of = {"domain": domain, "own": isinstance(domain, OwnDomain)}
    return _value(request, sizes, change, by_store) | asked | of


def _measured(
    request: SizeRequest, studio: Studio, progress: Progress, stop: Stop
) -> tuple[tuple[FormSize, ...], float]:
    """The usual forms, the present one and the whole model, by bytes; and ‖d‖/‖W‖."""
    pair, control = (request.base, request.model), RunControl(progress=progress, stop=stop)
    profile = studio.profile(*pair, **control)
    stores = list(USUAL_STORES)
    if request.store and request.store not in map(str, stores):
        stores.append(parse_store_text(request.store))
    sizes = form_sizes(*pair, stores, public=studio.public, **control)
    rows = (whole_size(request.model, public=studio.public), *sizes)
    return tuple(sorted(rows, key=lambda row: row.nbytes)), relative_size(profile.modules)


def _value(
    request: SizeRequest,
    sizes: tuple[FormSize, ...],
    change: float,
    scores: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """The rows, and by each measure the stores of those that no smaller one beats, and of the
    smallest good one; none is good, and none is best, where nothing is right."""
    losses = {"energy": [1 - row.energy for row in sizes]}
    right = [scores[row.store]["accuracy"] for row in sizes] if scores else []
    if scores:
        losses["loss"] = [scores[row.store]["loss"] for row in sizes]
        losses["accuracy"] = [1 - share for share in right]
    best = {
        measure: [
            sizes[n].store
            for n in frontier((row.nbytes, loss) for row, loss in zip(sizes, lost, strict=True))
            if measure != "accuracy" or right[n]
        ]
        for measure, lost in losses.items()
    }
    enough = {"energy": _smallest(sizes, [row.energy for row in sizes], ENOUGH_ENERGY)}
    if scores:
        least = max(scores[""]["accuracy"] - MOST_LOST, min(filter(None, right), default=0))
        enough["accuracy"] = _smallest(sizes, right, least) if any(right) else None
        enough["loss"] = enough["accuracy"]
    rows = [_row(row, scores.get(row.store, {})) for row in sizes]
    about = {"base": request.base, "model": request.model, "change": change}
    return about | {"rows": rows, "best": best, "enough": enough}


def _row(size: FormSize, score: Mapping[str, float]) -> dict[str, Any]:
    """A form with its answers, if it was asked; `title` has its factor, `form` has none."""
    form = size.title.replace(" %", "\u202f%").replace("× ", "×\u202f")
    title = form + times(score.get("factor", 1)).replace("× ", "×\u202f")
    return {**asdict(size), "form": form, "title": title, **score}


def _smallest(sizes: Sequence[FormSize], qualities: Sequence[float], least: float) -> str | None:
    points = [(row.nbytes, quality) for row, quality in zip(sizes, qualities, strict=True)]
    return sizes[smallest_enough(points, least)].store


@dataclass(frozen=True, slots=True)
class SizeView:
    """The choice of a model, and both runs."""

    choice: gr.HTML
    sizes: RunView
    scores: RunView


def build_size() -> SizeView:
    """Build the choice, the buttons, the plot and its table."""
    with gr.Column(elem_id="size-view", elem_classes=["view", "box"]):
        choice = live("size-choice", {"measured": measured_part("forms")})
        sizes = build_run("size", "Measure sizes")
        return SizeView(choice, sizes, build_run("formscores", "Ask its questions"))


def wire_size(view: SizeView, questions: QuestionBox, controls: Controls, studio: Studio) -> None:
    """Wire both runs; models without a domain answer the visitor's own questions."""
    choice = view.choice

    def on_sizes(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        request = read_size(values[choice], controls.session(values))
        return stream_run(studio, FORM_SIZES, partial(sizes_value, request, studio))

    def on_form_scores(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        request, limits = read_size(values[choice], session), limits_of(studio)
        domain = questions_of(request, session, lambda: questions.read(values, session, limits))
        work = partial(scores_value, request, domain, studio)
        return stream_run(studio, FORM_SCORES, work)

    inputs = controls.inputs | {choice}
    wire_run("size", view.sizes, on_sizes, inputs, FORM_SIZES)
    wire_run("formscores", view.scores, on_form_scores, inputs | questions.inputs, FORM_SCORES)
