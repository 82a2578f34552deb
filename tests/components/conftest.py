"""The services behind a page and the page itself, on the tiny models, without a server."""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest

from components.studio import Studio
from components.workbench import build_page


@pytest.fixture
def studio(zoo_env: Path) -> Studio:
    """Of one's own copy: folders may be named."""
    return Studio(public=False)


@pytest.fixture(scope="module")
def page(tiny_zoo: Path) -> Iterator[gr.Blocks]:
    """Built, not served; one for all tests of a file, since no handler keeps anything on it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DPPA_ZOO", str(tiny_zoo))
        yield build_page(Studio(public=False))
