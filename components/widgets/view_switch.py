"""The views of the middle column, one at a time: a short list of buttons.

Knows their names only; assets/js/plots/view_switch.js shows the one that is chosen.
"""

from __future__ import annotations

import gradio as gr

from components.widgets.browser_parts import live

VIEWS = {
    "modules": ("Modules", "What the merge keeps of every matrix"),
    "sparsity": ("Sparsity", "What becomes of every weight of a model"),
    "compare": ("Compare", "How far two models or merges are apart"),
    "attribution": ("Attribution", "Which layers an answer needs"),
    "experiments": ("Experiments", "What the paper's experiments gave on the embedded models"),
}
"""Name -> what its button says, and what the view shows."""


def build_views() -> gr.HTML:
    """The list; a view itself is a column with the elem_id `NAME-view`."""
    buttons = "".join(
        f'<button type="button" data-view="{name}" title="{about}" '
        f'aria-pressed="{str(name == "modules").lower()}">{label}</button>'
        for name, (label, about) in VIEWS.items()
    )
    return live("views", None, skeleton=f'<nav aria-label="Views">{buttons}</nav>')
