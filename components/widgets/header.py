"""The top of the page: title, status line, and navigation."""

from __future__ import annotations

import re
from typing import Any

import gradio as gr

from dppa_core import __version__

from .browser_parts import live

_HASH = re.compile(r"[0-9a-f]{64}")

SKIP = (
    '<nav aria-label="Skip to">'
    '<a href="#sliders-box" data-shows="see">Skip to Prune</a>'
    '<a href="#plots" data-shows="see">Skip to See</a>'
    '<a href="#chat-pane" data-shows="chat">Skip to Chat</a></nav>'
)
"""The first stops of the Tab key; shown while one has the focus."""
TITLE = (
    f'<div class="title"><h1>DPPA Studio <small>{__version__}</small></h1>'
    '<button type="button" id="learn-open" aria-pressed="false">Learn</button>'
    '<button type="button" id="page-open">Workbench</button>'
    '<p>Merge fine-tuned models and keep only their largest changes<span class="more">: prune '
    'dynamically, partition, amplify</span><span class="less">, amplified: dynamic pruning, '
    'partition amplification</span> (DPPA). <span class="toys"><span class="more">The '
    "embedded models are toys of 4 M parameters that know few kinds of question.</span>"
    '<span class="less">Toys of 4 M parameters.</span></span>'
    '<span class="taught">SmolLM2 is a real model of 135 M parameters; its domain models learned a '
    "few kinds of question.</span> "
    '<span class="more first-step">First move the pruning rate and watch the answer.</span></p>'
    "</div>"
)
PANES = ("see", "chat", "score", "search", "export")
"""The panes beside the plots; on a phone, also the plots."""

SCRIPT = (
    "<ol><li>Drag the pruning rate to 95\u202f%: it breaks.</li>"
    "<li>Press <b>DPPA searched</b> below: its factors mend it.</li>"
    "<li>Not short of space? Press <b>whole</b>: better.</li></ol>"
)
"""What to do on the stage first."""

VIEWS = {
    "modules": ("Modules", "Share of every matrix that the merge keeps"),
    "sparsity": ("Sparsity", "What becomes of every weight of a model"),
    "compare": ("Distance", "How far two models or merges are apart"),
    "spectrum": ("Spectrum", "In how many directions a model moved, and which two models share"),
    "size": ("Size", "How well each form of a model's delta keeps it, and in how many bytes"),
    "attribution": ("Attribution", "Which layers an answer needs"),
    "experiments": ("Experiments", "Results of the paper's experiments on the embedded models"),
}
"""Name -> label of its button, and what the view shows."""

# On a phone the sliders stay on the screen while the plots scroll; their words fold away.
EXPLAIN = (
    '<details class="explain"><summary>What these do</summary>'
    "<p>Pruning rate (%): share of each model's changes that is dropped. "
    '<span class="stays">At 80 % the strongest 20 % stay, more where they stand out.</span></p>'
    "<p>Factor (×): multiplies the changes that stay, band by band.</p></details>"
)


def build_views() -> gr.HTML:
    """The list of views; each view is a column with the elem_id `NAME-view`."""
    buttons = "".join(
        f'<button type="button" data-view="{name}" title="{about}" '
        f'aria-pressed="{str(name == "modules").lower()}">{label}</button>'
        for name, (label, about) in VIEWS.items()
    )
    return live("views", None, skeleton=f'<nav aria-label="Views">{buttons}</nav>')


def build_panes() -> gr.HTML:
    """The list of panes; each pane but `see` is a column with the elem_id `NAME-pane`."""
    buttons = "".join(
        f'<button type="button" data-pane="{name}" aria-pressed="{str(name == "see").lower()}">'
        f"{name.capitalize()}</button>"
        for name in PANES
    )
    return live("panes", None, skeleton=f'<nav aria-label="Panes">{buttons}</nav>')


def status_value(
    *, ready: bool, merged: str = "", memory: tuple[tuple[str, ...], int] | None = None
) -> dict[str, Any]:
    """The part of the status that the browser does not know: whether the first models are `ready`,
    the hash of the `merged` recipe with them, and references, hashes and bytes in `memory`."""
    value: dict[str, Any] = {"models": "ready" if ready else "starting", "merged": merged}
    if memory is not None:
        keys, nbytes = memory
        models = [key for key in keys if not _HASH.fullmatch(key)]
        value["loaded"] = {"models": models, "merges": len(keys) - len(models), "bytes": nbytes}
    return value
