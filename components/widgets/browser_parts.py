"""Parts of the page that scripts in assets/ draw.

Their values are JSON text. A value is never part of a template, which Gradio would run as code:
scripts read it and set textContent. It is text because Gradio's frontend copies a structure number
by number at every move of a slider.
"""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

# The component waits for scripts that arrive later.
_MOUNT = """
const go = () => window.dppa.mount("%s", element, props, trigger, watch);
if (window.dppa) go();
else window.addEventListener("dppa:complete", go, {once: true});
/* events: %s */
"""


def pack(value: Any) -> str:
    """A value as JSON text; a lone surrogate, which UTF-8 cannot encode, becomes "?"."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def live(
    name: str, value: Any = None, *, events: tuple[str, ...] = (), skeleton: str = ""
) -> gr.HTML:
    """An element that a script builds once (`part(name, build)`) and updates when its JSON-ready
    `value` changes; the script triggers `events`. The static HTML `skeleton` is shown until it has
    drawn."""
    quoted = " ".join(f'"{event}"' for event in events)
    return gr.HTML(
        pack(value),
        html_template=f'<div class="live" data-part="{name}">{skeleton}</div>',
        js_on_load=_MOUNT % (name, quoted),
        apply_default_css=False,
        elem_id=name,
    )


def static(html: str, elem_id: str) -> gr.HTML:
    """Constant HTML; `html` must never contain text of a person or a model."""
    return gr.HTML(html, elem_id=elem_id, js_on_load=None, apply_default_css=False)
