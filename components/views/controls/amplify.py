"""Amplification: one factor for each partition, shared or model by model.

Knows how the rows travel; they are drawn by assets/js/controls/controls.js.
"""

from __future__ import annotations

import gradio as gr

from components.session.json_form import factors_json
from components.session.session import Session
from components.widgets.browser_parts import live


def build_amplify(session: Session) -> gr.HTML:
    """Rows of factors, the strongest partition first."""
    return live("amplify", factors_json(session), events=("change",))
