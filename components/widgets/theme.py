"""Paper and ink: the look of the page, for light and dark, from one palette.

Knows colours, type and the files in assets/; no view and no model. Nothing is loaded from
elsewhere: fonts are the system's, scripts and styles are written into the page.
"""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

from components.widgets.glossary import glossary

ASSETS = Path(__file__).resolve().parents[2] / "assets"
STYLES = (
    "css/style.css",
    "css/panes.css",
    "css/chat.css",
    "css/offer.css",
    "css/tune.css",
    "css/see.css",
    "css/export.css",
    "css/search.css",
    "css/advice.css",
    "css/experiments.css",
    "css/views.css",
)
SCRIPTS = (
    "js/session/store.js",
    "js/base/shapes.js",
    "js/base/save_plots.js",
    "js/plots/plot_sentences.js",
    "js/base/glossary_bubbles.js",
    "js/base/glossary_links.js",
    "js/plots/heatmap.js",
    "js/plots/bars.js",
    "js/plots/distribution.js",
    "js/session/frame_values.js",
    "js/plots/conflict.js",
    "js/plots/sparsity.js",
    "js/plots/plots.js",
    "js/plots/matrix.js",
    "js/session/curve.js",
    "js/controls/controls.js",
    "js/session/overrides.js",
    "js/session/levels.js",
    "js/session/session_value.js",
    "js/session/history.js",
    "js/session/own_presets.js",
    "js/controls/session_bar.js",
    "js/controls/method.js",
    "js/controls/offer.js",
    "js/base/field_notices.js",
    "js/base/number_boxes.js",
    "js/controls/start_and_stop.js",
    "js/controls/status.js",
    "js/panes/answer.js",
    "js/panes/blind_votes.js",
    "js/panes/conversation.js",
    "js/panes/restored_chat.js",
    "js/panes/chat.js",
    "js/panes/export.js",
    "js/plots/view_switch.js",
    "js/learn/entry.js",
    "js/controls/class_locked.js",
    "js/plots/compare.js",
    "js/plots/attribution.js",
    "js/plots/advice.js",
    "js/plots/experiment-plots.js",
    "js/plots/experiments.js",
    "js/panes/search.js",
    "js/panes/push.js",
    "js/panes/perplexity.js",
    "js/panes/score-plot.js",
    "js/panes/score.js",
)

# Okabe and Ito's colours, told apart by every kind of eye; a model keeps its own everywhere.
MODEL_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
BASE_COLOUR = "#8A8578"
KNOWN_MODELS = ("zoo:math", "zoo:finance", "zoo:law")

# name: (light, dark)
PALETTE = {
    "paper": ("#f7f4ec", "#17181a"),
    "card": ("#fffdf8", "#1f2124"),
    "sunk": ("#efebe0", "#2a2c30"),
    "ink": ("#1f1d18", "#ece8df"),
    "muted": ("#5c574b", "#b0aa9c"),
    "line": ("#d9d3c4", "#3a3d42"),
    "edge": ("#8b8473", "#7f828a"),
    "accent": ("#a63d1b", "#f0946c"),
    "on-accent": ("#ffffff", "#1d120c"),
    "good": ("#1d6b45", "#7fd0a4"),
    "warn": ("#8a5a00", "#e8bd62"),
    "entropy": ("#4aa3dc", "#00568c"),
}


def model_colours(references: tuple[str, ...]) -> dict[str, str]:
    """Reference -> colour: the embedded models keep theirs, others take what is left."""
    colours = dict(zip(KNOWN_MODELS, MODEL_COLOURS, strict=False))
    chosen = {name: colours[name] for name in references if name in colours}
    free = [c for c in MODEL_COLOURS if c not in chosen.values()]
    others = [name for name in references if name not in chosen]
    return chosen | dict(zip(others, free, strict=False))


def page_theme() -> gr.themes.Base:
    """Gradio's own components in the colours of the page."""
    sans = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    theme = gr.themes.Base(font=list(sans), font_mono=list(mono), radius_size="md")
    pairs = {
        "body_background_fill": "paper",
        "body_text_color": "ink",
        "body_text_color_subdued": "muted",
        "background_fill_primary": "card",
        "background_fill_secondary": "paper",
        "block_background_fill": "card",
        "block_info_text_color": "muted",
        "block_label_text_color": "ink",
        "block_title_text_color": "ink",
        "border_color_primary": "line",
        "border_color_accent": "accent",
        "color_accent_soft": "sunk",
        "input_background_fill": "paper",
        "input_border_color": "edge",
        "input_placeholder_color": "muted",
        "button_primary_background_fill": "accent",
        "button_primary_background_fill_hover": "accent",
        "button_primary_text_color": "on-accent",
        "button_secondary_background_fill": "sunk",
        "button_secondary_text_color": "ink",
        "checkbox_background_color": "card",
        "checkbox_background_color_selected": "accent",
        "checkbox_border_color": "edge",
        "checkbox_border_color_selected": "accent",
        "checkbox_label_background_fill": "card",
        "checkbox_label_background_fill_selected": "sunk",
        "checkbox_label_text_color": "ink",
        "checkbox_label_text_color_selected": "ink",
        "slider_color": "accent",
        "link_text_color": "accent",
    }
    values = {name: f"var(--d-{colour})" for name, colour in pairs.items()}
    dark = {f"{name}_dark": value for name, value in values.items()}
    return theme.set(**values, **dark, block_shadow="none", block_border_width="0px")


def palette_css() -> str:
    """The palette as CSS variables, light by default and dark below `.dark`."""
    light = "".join(f"--d-{name}:{pair[0]};" for name, pair in PALETTE.items())
    dark = "".join(f"--d-{name}:{pair[1]};" for name, pair in PALETTE.items())
    return f":root{{{light}--d-base:{BASE_COLOUR};}}\n.dark{{{dark}}}"


def _script(name: str) -> str:
    text = (ASSETS / name).read_text(encoding="utf-8")
    if name != "js/base/glossary_bubbles.js":
        return text
    words = json.dumps(dict(glossary()), ensure_ascii=False).replace("</", "<\\/")
    return f"window.dppa.glossary = {words};\n{text}"


def page_head() -> str:
    """Style and scripts as they go into the page's head."""
    styles = "".join((ASSETS / name).read_text(encoding="utf-8") for name in STYLES)
    scripts = "\n".join(_script(name) for name in SCRIPTS)
    description = "Prune, amplify and merge fine-tuned language models, and see every layer."
    return (
        f'<meta name="description" content="{description}">'
        f"<style>{palette_css()}{styles}</style><script>{scripts}</script>"
    )
