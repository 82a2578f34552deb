"""The merge method: its choice and its settings, drawn in the browser from the methods' own words.

Knows how the choice travels. components/session/method_choice.py says what it means, and
assets/js/controls/method.js draws it.
"""

from __future__ import annotations

import gradio as gr

from components.session.method_choice import catalogue, method_json
from components.session.session import Session
from components.widgets.browser_parts import live


def build_method(session: Session) -> gr.HTML:
    """All methods, those that prune single models first, and the settings of the chosen one."""
    value = {"methods": catalogue(), **method_json(session.method)}
    return live("method", value, events=("choose",))
