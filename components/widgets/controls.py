"""Controls: parameter fields as sliders, and all controls together as a Session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from ..session.fields import BY_KEY, Changes, Span
from ..session.json_form import parsed
from ..session.session import Session
from ..session.state import READERS, value_of
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
    """The components that define the merge; `controls.rate` is that of the control `rate`."""

    components: Mapping[str, Any]
    """Key of a control -> its component."""

    def __getattr__(self, key: str) -> Any:
        try:
            return self.components[key]
        except KeyError:
            raise AttributeError(key) from None

    @property
    def inputs(self) -> set[Any]:
        """All components, for `inputs=`."""
        return set(self.components.values())

    def that_change(self, *effects: Changes) -> dict[str, Any]:
        """Key -> component of the controls that change one of these."""
        items = self.components.items()
        return {key: part for key, part in items if BY_KEY[key].changes in effects}

    def tell_browser(self) -> None:
        """Register browser listeners for values set by code, so that drawing does not wait.
        assets/js/session/controls.js handles user input."""
        for key, component in self.that_change("plan", "tables").items():
            if BY_KEY[key].span:
                script = f"(x) => {{ window.dppa.move('{key}', x); return []; }}"
                gr.on([component.change], None, [component], js=script, **PRIVATE)

    def session(self, values: Mapping[Any, Any]) -> Session:
        """The session from a handler's values; InvalidValue for a value that no control offers."""
        choices: dict[str, Any] = {}
        for key, component in self.components.items():
            if key in READERS:
                choices |= READERS[key](parsed(values[component]))
            else:
                choices[BY_KEY[key].name] = BY_KEY[key].from_page(values[component])
        return Session(**choices)

    def show(self, session: Session) -> dict[Any, Any]:
        """Outputs that set every control to a session."""
        return {component: shown_value(session, key) for key, component in self.components.items()}


def shown_value(session: Session, key: str) -> Any:
    """The value of a control's component: JSON text, or that of a slider."""
    value = value_of(session, BY_KEY[key])
    return pack(value) if key in READERS else BY_KEY[key].to_page(value)


def slider(
    name: str, limits: Span, value: float, label: str, info: str, classes: tuple[str, ...] = ()
) -> gr.Slider:
    """A slider without buttons; `limits` are lowest, highest, step."""
    low, high, step = limits
    return gr.Slider(
        low,
        high,
        value=value,
        step=step,
        label=label,
        info=info,
        elem_id=name,
        elem_classes=list(classes),
        buttons=[],
    )


def control_slider(key: str, session: Session, info: str) -> gr.Slider:
    """The slider of a control, at the session's value."""
    control = BY_KEY[key]
    value = shown_value(session, key)
    return slider(
        control.element, control.span, value, control.label, info, control.element_classes
    )
