"""The spectrum of one model's delta, or of two and their overlap; assets/js/plots/spectrum.js draws
it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import gradio as gr

from dppa_core.errors import InvalidValue, OutOfBudget
from dppa_core.methods.shared.singular import decompose_seconds
from dppa_core.preflight_checks.estimate import in_time
from dppa_core.profiling.delta_spectrum import spectrum_cells
from dppa_core.profiling.profile import open_aligned
from dppa_core.profiling.spectrum import cached_spectrum, is_decomposed, products_between
from dppa_core.progress import Progress, Stop
from dppa_core.pruning.delta_profile import DeltaProfile

from ...session.json_form import asked_keys
from ...session.session import Session
from ...widgets.browser_parts import live
from ...widgets.controls import Controls
from ...widgets.runs import build_run, wire_run
from ...work.figures import short_name
from ...work.kinds import SPECTRUM
from ...work.progress_stream import stream_run
from ...work.studio import ANSWER_WORKERS, Studio


@dataclass(frozen=True, slots=True)
class SpectrumRequest:
    """A checked request."""

    base: str
    models: tuple[str, ...]
    """One or two of the list."""


def read_spectrum(value: object, session: Session) -> SpectrumRequest:
    """Read {"first", "second"}; the second may be empty. InvalidValue for a model that is not in
    the list, or one twice."""
    fields = asked_keys(value, first=str, second=str)
    models = tuple(name for name in (fields["first"], fields["second"]) if name)
    for name in models:
        if name not in {model.reference for model in session.models}:
            raise InvalidValue(f"{name!r:.80} is not in the list of models.")
    if not models or len(set(models)) < len(models):
        raise InvalidValue("Choose a model, and another one or none to compare it with.")
    return SpectrumRequest(session.base, models)


def spectrum_cost(base: str, model: str, studio: Studio) -> dict[str, Any]:
    """How many matrices a model has, and about how long it takes to decompose them here."""
    profile = studio.profile(base, model)
    matrices = sum(_count(item.module.shape) for item in profile.modules)
    seconds = _seconds(base, model, profile, studio.public)
    return {"matrices": matrices, "time": in_time(seconds / _workers(studio))}


def spectrum_value(
    request: SpectrumRequest, studio: Studio, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Decompose what is not cached; runs in its own thread."""
    base, models = request.base, request.models
    if studio.public:
        _check_time(request, studio, stop)
    spectra = [
        cached_spectrum(
            *(base, name),
            public=studio.public,
            workers=_workers(studio),
            progress=progress,
            stop=stop,
        )
        for name in models
    ]
    sides = [{"reference": name, "label": short_name(name)} for name in models]
    return {"base": short_name(base), "sides": sides, "cells": spectrum_cells(spectra)}


def _check_time(request: SpectrumRequest, studio: Studio, stop: Stop) -> None:
    """Refuse what would be stopped halfway; spectra on the disk take no time."""
    for name in request.models:
        profile = studio.profile(request.base, name, stop=stop)
        seconds = _seconds(request.base, name, profile, studio.public)
        if seconds <= SPECTRUM.seconds or is_decomposed(request.base, name, public=True):
            continue
        raise OutOfBudget(
            f"The matrices of {short_name(name)} take about {in_time(seconds)} to decompose; one "
            f"piece of work may take {SPECTRUM.seconds:.0f} s on this page. Your own copy has no "
            "limit: `dppa profile MODEL --spectrum`."
        )


def _count(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) == 3 else 1


def _seconds(base: str, model: str, profile: DeltaProfile, public: bool) -> float:
    """About those of one core; of an adapter the factors take a moment."""
    if _is_product(base, model, public):
        return 0.0
    shapes = (item.module.shape for item in profile.modules)
    return decompose_seconds(s[-2:] for shape in shapes for s in [shape] * _count(shape))


@lru_cache(maxsize=64)
def _is_product(base: str, model: str, public: bool) -> bool:
    return bool(products_between(*open_aligned(base, model, public=public)[0]))


def _workers(studio: Studio) -> int:
    return 1 if studio.public else ANSWER_WORKERS


def add_spectrum(controls: Controls, studio: Studio) -> None:
    """Add the choice of one or two models, the buttons, and the plots."""
    with gr.Column(elem_id="spectrum-view", elem_classes=["view", "box"]):
        choice, runs = live("spectrum-choice", None), build_run("spectrum", "Decompose")

    def on_spectrum(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        request = read_spectrum(values[choice], controls.session(values))
        return stream_run(studio, SPECTRUM, partial(spectrum_value, request, studio))

    wire_run("spectrum", runs, on_spectrum, controls.inputs | {choice}, SPECTRUM)
