"""Controls: parameter fields as sliders, and all controls together as a Session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr
from gradio.components import Component

from dppa_core.parameter_fields import check_number
from dppa_core.pruning.pruning_parameters import PruningParameters

from ..session.json_form import (
    factors_from_json,
    factors_json,
    models_from_json,
    models_json,
    overrides_from_json,
    overrides_json,
    parsed,
    shares_from_json,
)
from ..session.method_choice import method_from_json, method_json
from ..session.session import Session
from .browser_parts import pack

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Options of every event: clients cannot use unordered inputs, and the page shows the progress."""


def queued(place: Component) -> dict[str, Any]:
    """Options of queued events: the position in the queue is written into the hidden `place`.
    assets/js/session/parts.js reads it there."""
    return {**PRIVATE, "show_progress": "minimal", "show_progress_on": place}


def activity_script(part: str, activity: str) -> str:
    """JavaScript that shows the activity before the server reports it. Waiting starts only from
    idle: a second click while something runs starts nothing."""
    free = "true" if activity == "idle" else f"window.dppa.activity.{part} === 'idle'"
    return f"() => {{ if ({free}) window.dppa.busy('{part}', '{activity}'); return []; }}"


def ended_script(part: str) -> str:
    """JavaScript for a run that failed or was stopped (assets/js/controls/start_and_stop.js)."""
    return f"() => {{ window.dppa.ended('{part}'); return []; }}"


def failed_script(part: str) -> str:
    """JavaScript for a press that failed; assets/js/base/field_notices.js says why."""
    return f"() => {{ window.dppa.failed('{part}'); return []; }}"


@dataclass(frozen=True, slots=True)
class Controls:
    """The components that define the merge."""

    models: gr.HTML
    rate: gr.Slider
    partitions: gr.Slider
    shares: gr.HTML
    strength: gr.Slider
    k_layer: gr.Slider
    k_module: gr.Slider
    significance: gr.Radio
    amplify: gr.HTML
    method: gr.HTML
    overrides: gr.HTML

    @property
    def inputs(self) -> set[Any]:
        """All components, for `inputs=`."""
        return {getattr(self, item.name) for item in fields(self)}

    def tell_browser(self) -> None:
        """Register browser listeners for values set by code, so that drawing does not wait.
        assets/js/session/controls.js handles user input."""
        for name in ("rate", "strength", "k_layer", "k_module"):
            component = getattr(self, name)
            script = f"(x) => {{ window.dppa.move('{name}', x); return []; }}"
            gr.on([component.change], None, [component], js=script, **PRIVATE)
        script = "(x) => { window.dppa.set({partitions: x, shares: []}); return []; }"
        gr.on([self.partitions.input], None, [self.partitions], js=script, **PRIVATE)

    def session(self, values: Mapping[Any, Any]) -> Session:
        """The session from a handler's values; InvalidValue for a value that no control offers."""
        return Session(
            **models_from_json(parsed(values[self.models])),
            rate=round(check_number("Pruning rate", values[self.rate], 0, 99) / 100, 4),
            partitions=int(check_number("Partitions", values[self.partitions], 1, 4)),
            shares=shares_from_json(parsed(values[self.shares])),
            strength=check_number("Strength", values[self.strength], 0, 0.5),
            k_layer=check_number("Outliers of a layer", values[self.k_layer], 0.1, 100),
            k_module=check_number("Outliers of a module", values[self.k_module], 0.1, 100),
            significance=str(values[self.significance]),
            **factors_from_json(parsed(values[self.amplify])),
            method=method_from_json(parsed(values[self.method])),
            overrides=overrides_from_json(parsed(values[self.overrides])),
        )

    def show(self, session: Session) -> dict[Any, Any]:
        """Outputs that set every control to a session."""
        return {
            self.models: pack(models_json(session)),
            self.rate: round(session.rate * 100, 2),
            self.partitions: len(session.bands),
            self.shares: pack(list(session.shares)),
            self.strength: session.strength,
            self.k_layer: session.k_layer,
            self.k_module: session.k_module,
            self.significance: session.significance,
            self.amplify: pack(factors_json(session)),
            self.method: pack(method_json(session.method)),
            self.overrides: pack(overrides_json(session)),
        }


def slider(
    name: str, limits: tuple[float, float, float], value: float, label: str, info: str
) -> gr.Slider:
    """A slider without buttons; `limits` are lowest, highest, step."""
    low, high, step = limits
    return gr.Slider(
        low, high, value=value, step=step, label=label, info=info, elem_id=name, buttons=[]
    )


def field_slider(name: str, *, info: str, limits: tuple[float, ...] = ()) -> gr.Slider:
    """A slider for a field of `PruningParameters`, with its title, unit and, by default, range."""
    item: Any = PruningParameters.__dataclass_fields__[name]
    about = item.metadata
    unit = about["unit"].replace("x ", "× ")
    label = f"{about['title']} ({unit})" if unit else about["title"]
    low, high, step = limits or (about["min"], about["max"], about["step"])
    return slider(name.replace("_", "-"), (low, high, step), item.default, label, info)
