"""Controls of the method, its pruning and its amplification: rate, factors, Advanced.
assets/js/controls/method.js and controls.js draw the method's form and the rows of factors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from dppa_core.progress import Stop

from ...session.fields import BY_KEY
from ...session.json_form import shares_from_text
from ...session.session import Session
from ...widgets.browser_parts import live
from ...widgets.controls import control_slider
from ...work.kinds import SIGNIFICANCE
from ...work.studio import Emit, Studio


@dataclass(frozen=True, slots=True)
class AdvancedPruning:
    """The components under Advanced that are not in `Controls`."""

    levels: gr.Textbox
    levels_note: gr.HTML
    """The current levels, or the error in the text above."""


def build_rate(session: Session) -> gr.Slider:
    """Build the slider of the pruning rate."""
    return control_slider(
        "rate",
        session,
        "Share of each model's changes that is dropped. _At 80 % the strongest 20 % stay, more "
        "where they stand out._",
    )


def build_advanced(session: Session) -> tuple[AdvancedPruning, dict[str, Any]]:
    """Build strength, partitions, and thresholds of outliers; also returns those of `Controls`."""
    controls: dict[str, Any] = {
        "strength": control_slider(
            "strength",
            session,
            "How much a matrix may keep more or less than the even share, by its layer's "
            "significance and its own. 0 treats all the same; 0.08, the paper's value, changes it "
            "by at most 16 points.",
        ),
        "partitions": control_slider(
            "partitions",
            session,
            "Bands into which the kept changes are split, evenly; each has its own factor.",
        ),
        "shares": live("levels-editor", list(session.shares), events=("settle",)),
    }
    levels = gr.Textbox(
        label="Levels (%)",
        info="Or as text, pruning rates that fall: 95, 80 makes a band of the strongest 5 % "
        "and one of the next 15 %. Empty splits evenly.",
        placeholder="even",
        max_lines=1,
        max_length=60,
        elem_id="levels",
    )
    levels_note = live("levels-note", None, events=("apply",))
    for key, unit, usual, effect in (
        ("k_layer", ("layer", "Layers"), 3, "their matrices keep more"),
        ("k_module", ("matrix", "Matrices"), 5, "keep more in their layer"),
    ):
        info = (
            f"A change is an outlier of its {unit[0]} above this multiple of the {unit[0]}'s mean; "
            f"{usual} is usual. {unit[1]} with more outliers are more significant, and {effect}."
        )
        controls[key] = control_slider(key, session, info)
    return AdvancedPruning(levels, levels_note), controls


def build_significance(session: Session) -> gr.Radio:
    """Build the choice of the score."""
    control = BY_KEY["significance"]
    return gr.Radio(
        list(control.choices),
        value=session.significance,
        label=control.label,
        info="What ranks the changes. magnitude: their size. fisher and activation: their size "
        "times what the model does with them, measured once on questions of its own domain; that "
        "takes some seconds. random: a control, which should do worse.",
        elem_id=control.element,
        elem_classes=list(control.element_classes),
        buttons=[],
    )


def measuring(session: Session, studio: Studio) -> Iterator[str]:
    """Make the profiles of a session in their own thread; closing the iterator stops it. Yields the
    current step a few times a second, and nothing if all profiles are cached."""

    def work(emit: Emit, stop: Stop) -> None:
        def progress(count: int, total: int, item: str) -> None:
            emit((f"{item} ({count} of {total})" if total > 1 else item,))

        for model in session.models:
            studio.profile(
                session.base, model.reference, session.significance, progress=progress, stop=stop
            )

    job = studio.start(SIGNIFICANCE, work)
    for batch in job.to_its_end(every=0.2):
        if batch:
            yield str(batch[-1][0])


def with_levels(session: Session, text: object) -> Session:
    """The session with typed levels; empty text splits evenly again."""
    if not str(text or "").strip():
        return replace(session, shares=())
    rate, shares = shares_from_text(text)
    return replace(session, rate=rate, shares=shares, partitions=len(shares) + 1)
