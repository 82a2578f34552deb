"""The merge method: its choice and its settings, drawn in the browser from the methods' own words.

Knows how the choice travels; what it means is method_choice.py's, the drawing assets/method.js's.
"""

from __future__ import annotations

import gradio as gr

from components.live import live
from components.method_choice import catalogue, method_json
from components.session import Session


def build_method(session: Session) -> gr.HTML:
    """All methods, those that prune single models first, and the settings of the chosen one."""
    value = {"methods": catalogue(), **method_json(session.method)}
    return live("method", value, events=("choose",))
