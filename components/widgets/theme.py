"""The look of the page, light and dark, from one palette; it loads nothing from elsewhere."""

from __future__ import annotations

import gradio as gr

from dppa_core.checkpoints.sources.references import whole_model

from ..session.shipped import shipped

CSS = shipped("assets/css")
STYLES = (
    "style panes chat offer tune see export search advice experiments views strip stage".split()
)
# Okabe and Ito's colours, distinguishable with colour blindness; a model has the same everywhere.
COLOURS_OF_MODELS = {"zoo:math": "#0072B2", "zoo:finance": "#E69F00", "zoo:law": "#009E73"}
MODEL_COLOURS = (*COLOURS_OF_MODELS.values(), "#CC79A7", "#56B4E9")
BASE_COLOUR = "#8A8578"
KNOWN_MODELS = tuple(COLOURS_OF_MODELS)

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
    """Reference -> colour: embedded models have fixed colours, others get the remaining ones."""
    plain = {name: whole_model(name) for name in references}
    fixed = {name: COLOURS_OF_MODELS[m] for name, m in plain.items() if m in COLOURS_OF_MODELS}
    free = [colour for colour in MODEL_COLOURS if colour not in fixed.values()]
    others = [name for name in references if name not in fixed]
    return fixed | dict(zip(others, free, strict=False))


def domain_colour(domain: str) -> str:
    """The colour of the embedded model of a domain."""
    return COLOURS_OF_MODELS.get(f"zoo:{domain}", MODEL_COLOURS[-1])


def page_theme() -> gr.themes.Base:
    """Gradio's own components in the colours of the page."""
    sans = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    theme = gr.themes.Base(font=list(sans), font_mono=list(mono), radius_size="md")
    uses = {
        "paper": "body_background_fill background_fill_secondary input_background_fill",
        "ink": "body_text_color block_label_text_color block_title_text_color "
        "button_secondary_text_color checkbox_label_text_color "
        "checkbox_label_text_color_selected",
        "muted": "body_text_color_subdued block_info_text_color input_placeholder_color",
        "card": "background_fill_primary block_background_fill checkbox_background_color "
        "checkbox_label_background_fill",
        "line": "border_color_primary",
        "accent": "border_color_accent button_primary_background_fill "
        "button_primary_background_fill_hover checkbox_background_color_selected "
        "checkbox_border_color_selected slider_color link_text_color",
        "sunk": "color_accent_soft button_secondary_background_fill "
        "checkbox_label_background_fill_selected",
        "edge": "input_border_color checkbox_border_color",
        "on-accent": "button_primary_text_color",
    }
    values = {
        name: f"var(--d-{colour})" for colour, names in uses.items() for name in names.split()
    }
    dark = {f"{name}_dark": value for name, value in values.items()}
    return theme.set(**values, **dark, block_shadow="none", block_border_width="0px")


def palette_css() -> str:
    """The palette as CSS variables, light by default and dark below `.dark`."""
    light = "".join(f"--d-{name}:{pair[0]};" for name, pair in PALETTE.items())
    dark = "".join(f"--d-{name}:{pair[1]};" for name, pair in PALETTE.items())
    models = "".join(
        f"--of-{name.removeprefix('zoo:')}:{colour};" for name, colour in COLOURS_OF_MODELS.items()
    )
    return f":root{{{light}{models}--d-base:{BASE_COLOUR};}}\n.dark{{{dark}}}"


def page_head() -> str:
    """Description and styles for the page's head."""
    styles = "".join((CSS / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)
    description = "Prune, amplify and merge fine-tuned language models, and see every layer."
    return (
        f'<meta name="description" content="{description}"><style>{palette_css()}{styles}</style>'
    )
