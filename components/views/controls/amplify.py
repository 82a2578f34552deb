"""Amplification: one factor for each partition, shared or model by model.

Knows how the rows travel; they are drawn by assets/controls.js.
"""

from __future__ import annotations

import gradio as gr

from components.live import live
from components.session import Session
from components.session_json import factors_json


def build_amplify(session: Session) -> gr.HTML:
    """Rows of factors, the strongest partition first."""
    return live("amplify", factors_json(session), events=("change",))
