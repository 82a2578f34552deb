"""The services behind a page and the page itself, on the tiny models, without a server."""

from pathlib import Path

import gradio as gr
import pytest

from components.studio import Studio
from components.workbench import build_page


@pytest.fixture
def studio(zoo_env: Path) -> Studio:
    """Of one's own copy: folders may be named."""
    return Studio(public=False)


@pytest.fixture
def page(studio: Studio) -> gr.Blocks:
    """Built, not served."""
    return build_page(studio)
