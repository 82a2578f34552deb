"""Controls of the method, its pruning and its amplification: rate, factors, Advanced.

assets/js/controls/method.js and controls.js draw the method's form and the rows of factors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import gradio as gr

from components.session.json_form import shares_from_text
from components.session.session import MOST_PARTITIONS, OUTLIERS, Session
from components.widgets.browser_parts import live
from components.widgets.controls import field_slider


@dataclass(frozen=True, slots=True)
class AdvancedPruning:
    """The components under Advanced."""

    strength: gr.Slider
    partitions: gr.Slider
    editor: gr.HTML
    """The levels as a draggable bar; its value is the ends of the inner bands."""
    levels: gr.Textbox
    levels_note: gr.HTML
    """The current levels, or the error in the text above."""
    k_layer: gr.Slider
    k_module: gr.Slider
    significance: gr.Radio


def build_rate(session: Session) -> gr.Slider:
    """The slider of the pruning rate."""
    return gr.Slider(
        0,
        99,
        value=round(session.rate * 100),
        step=1,
        label="Pruning rate (%)",
        info="Share of each model's changes that is dropped. _At 80 % the strongest 20 % stay._",
        elem_id="rate",
        buttons=[],
    )


def build_advanced(session: Session, significance: gr.Radio) -> AdvancedPruning:
    """Strength, partitions, and thresholds of outliers; the choice of the score is above them."""
    strength = field_slider(
        "strength",
        info="How much a matrix may keep more or less than the even share, by its significance. "
        "0 treats all the same; 0.08, the paper's value, changes it by at most 16 points.",
    )
    partitions = gr.Slider(
        1,
        MOST_PARTITIONS,
        value=session.partitions,
        step=1,
        label="Partitions (number)",
        info="Bands into which the kept changes are split, evenly; each has its own factor.",
        elem_id="partitions",
        buttons=[],
    )
    editor = live("levels-editor", list(session.shares), events=("settle",))
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
    k_layer = _outliers("layer", "layer", "Layers", 3)
    k_module = _outliers("module", "matrix", "Matrices", 5)
    return AdvancedPruning(
        strength, partitions, editor, levels, levels_note, k_layer, k_module, significance
    )


def _outliers(what: str, one: str, many: str, usual: int) -> gr.Slider:
    return field_slider(
        f"k_{what}",
        info=f"A change is an outlier of its {one} above this multiple of the {one}'s mean; "
        f"{usual} is usual. {many} with more outliers are more significant and keep more.",
        low=OUTLIERS[0],
        high=OUTLIERS[1],
        step=0.5,
    )


def with_levels(session: Session, text: object) -> Session:
    """The session with typed levels; empty text splits evenly again."""
    if not str(text or "").strip():
        return replace(session, shares=())
    rate, shares = shares_from_text(text)
    return replace(session, rate=rate, shares=shares, partitions=len(shares) + 1)


def with_partitions(session: Session) -> Session:
    """The session with evenly split partitions, after their number changed."""
    return replace(session, shares=())
