"""Parts of the page drawn in the browser, by the scripts in assets/.

Knows how a value travels, not what it means. A value is JSON text; it never becomes part of a
template (Gradio would run what it holds as code): scripts read it and set textContent. Text,
because Gradio's browser part copies a structure number by number, at every move of a slider.
"""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

# The scripts may arrive after the component: then it waits for them.
_MOUNT = """
const go = () => window.dppa.mount("%s", element, props, trigger, watch);
if (window.dppa) go();
else window.addEventListener("dppa:complete", go, {once: true});
/* events: %s */
"""


def pack(value: Any) -> str:
    """A value as it travels; half a character, which cannot, becomes a question mark."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def live(
    name: str,
    value: Any = None,
    *,
    events: tuple[str, ...] = (),
    skeleton: str = "",
) -> gr.HTML:
    """An element whose content one script builds once and keeps up to date.

    Args:
        name: Its elem_id, and the part in the scripts: `part(name, build)`.
        value: JSON-ready; the script is told whenever it changes.
        events: What the script triggers.
        skeleton: Static HTML shown until the script has drawn.
    """
    quoted = " ".join(f'"{event}"' for event in events)
    return gr.HTML(
        pack(value),
        html_template=f'<div class="live" data-part="{name}">{skeleton}</div>',
        js_on_load=_MOUNT % (name, quoted),
        apply_default_css=False,
        elem_id=name,
    )


def static(html: str, elem_id: str) -> gr.HTML:
    """A piece of HTML that never changes; `html` is ours, never a person's or a model's."""
    return gr.HTML(html, elem_id=elem_id, js_on_load=None, apply_default_css=False)
