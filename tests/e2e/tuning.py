"""Page actions for tests of whole states: wait for idle, read states, use the bar."""

import json
from typing import Any
from urllib.parse import parse_qs, urlparse

from components.session.link import session_from_link
from components.session.session import Session
from components.session.state import session_from_state
from dppa_core.recipes.yaml_text import recipe_hash
from tests.e2e.page_driver import Studio

DOWN = "layers.3.mlp.down_proj"


def wait_rest(studio: Studio) -> None:
    """Wait until the history has the current settings, and the server agrees."""
    studio.page.wait_for_function(
        """() => {
            const { dppa } = window, { ready, state } = dppa.history();
            return ready && !dppa.restoring && dppa.isCurrent()
                && dppa.stateText(state) === dppa.stateText(dppa.stateNow());
        }"""
    )


def session_of(studio: Studio) -> Session:
    """The values of the controls in the browser."""
    return session_from_state(json.loads(json.dumps(state(studio))))


def state(studio: Studio) -> dict[str, Any]:
    """The state as the browser has it."""
    return studio.page.evaluate("() => window.dppa.stateNow()")


def linked(studio: Studio) -> Session | None:
    """The session in the address bar, or None."""
    found = parse_qs(urlparse(studio.page.url).query).get("c")
    return session_from_link(found[0]) if found else None


def wait_linked(studio: Studio, wanted: Session | None) -> None:
    """Wait until the address has a session, or none."""
    for _ in range(100):
        if linked(studio) == wanted:
            return
        studio.page.wait_for_timeout(50)
    raise AssertionError(f"the address says {linked(studio)}, not {wanted}")


def wait_recipe(studio: Studio, session: Session) -> None:
    """Wait until the page describes the merge of a session."""
    recipe = recipe_hash(session.recipe())
    studio.page.locator(f'#status [data-recipe="{recipe}"]').wait_for(state="attached")
    wait_rest(studio)


def press(studio: Studio, name: str) -> None:
    """A button of the bar by its id, once it can be pressed."""
    studio.page.locator(f"#{name}:not([aria-disabled='true'])").click()
