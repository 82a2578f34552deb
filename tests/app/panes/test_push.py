"""The push to the Hub: the visitor's login, the repository last, the token stored nowhere."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from starlette.datastructures import Headers

from components.page.workbench import build_page
from components.session.presets import first_session
from components.views.export.push import (
    NO_LOGIN_HERE,
    SIGN_IN,
    build_push,
    offers_login,
    read_push,
    stream_push,
)
from components.work.downloads.files import Exports
from components.work.downloads.limits import LOCAL
from components.work.kinds import EXPORTS
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core.errors import InvalidValue, NotAllowed
from dppa_core.merging.to_folder import merge_to_folder
from tests.helpers.hub_writing import TOKEN, WritableHub, writable_hub

ADA = Visitor("ada")

# huggingface_hub (2.4) passes files in a way its client deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NAME = "ada/merged"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritableHub]:
    """A Hub that takes uploads; this computer is not logged in."""
    server = writable_hub(tmp_path, monkeypatch, None)
    yield server
    server.close()


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    (tmp_path / "made").mkdir()
    return Exports(LOCAL, tmp_path / "made")


def login(token: str = TOKEN) -> gr.OAuthToken:
    return gr.OAuthToken(token=token, scope="contribute-repos", expires_at=2**40)


def push(
    exports: Exports, *, public: bool, token: gr.OAuthToken | None, name: str = NAME
) -> list[dict[str, Any]]:
    studio = Studio(public=public)
    push = read_push(first_session().recipe(), name, True, ADA, token, studio)
    assert TOKEN not in repr(push)
    return list(stream_push(push, exports, studio))


def files(exports: Exports) -> list[Path]:
    return [path for path in exports._parent.rglob("*") if path.is_file()]


def test_a_visitors_login_makes_a_private_repository_of_the_very_merge(
    hub: WritableHub, exports: Exports, zoo_env: Path, tmp_path: Path
) -> None:
    values = push(exports, public=True, token=login())
    assert values[-1]["state"] == "done", values[-1]
    assert values[-1]["url"] == f"{hub.url}/{NAME}" and hub.models[NAME].private
    merge_to_folder(first_session().recipe(), tmp_path / "merged")
    pushed = {path.name: path.read_bytes() for path in hub.models[NAME].folder.iterdir()}
    assert pushed == {path.name: path.read_bytes() for path in (tmp_path / "merged").iterdir()}
    assert hub.changes()[0] == "POST /api/repos/create"
    assert TOKEN not in json.dumps(values) and files(exports) == [] and exports.nbytes == 0


def test_ones_own_copy_uses_the_login_of_the_computer(
    hub: WritableHub, exports: Exports, zoo_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = push(exports, public=False, token=None)[-1]
    assert last["state"] == "failed" and "hf auth login" in last["note"] and hub.models == {}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert push(exports, public=False, token=None)[-1]["state"] == "done"


def test_a_stranger_never_pushes_with_the_login_of_the_machine(
    hub: WritableHub, exports: Exports, zoo_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(NotAllowed, match="no login to the Hub"):
        push(exports, public=True, token=None)
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "ada/studio")
    monkeypatch.setenv("OAUTH_CLIENT_ID", "x")
    monkeypatch.setattr("components.views.export.push.find_spec", lambda name: name)
    with pytest.raises(NotAllowed) as caught:
        push(exports, public=True, token=None)
    assert str(caught.value) == SIGN_IN
    last = push(exports, public=True, token=login(""))[-1]
    assert last["state"] == "failed" and hub.requests == []


def test_a_refused_login_is_told_without_the_token_and_with_what_helps_there(
    hub: WritableHub, exports: Exports, zoo_env: Path
) -> None:
    last = push(exports, public=True, token=login("hf_secretOfEve"))[-1]
    assert last["state"] == "failed" and "Sign out and in again" in last["note"]
    assert "hf auth login" not in last["note"] and "hf_secretOfEve" not in json.dumps(last)
    assert hub.models == {} and files(exports) == []


def test_a_failed_upload_leaves_nothing_there_and_nothing_here(
    hub: WritableHub, exports: Exports, zoo_env: Path
) -> None:
    hub.refuse["commit/main"] = 500
    last = push(exports, public=True, token=login())[-1]
    assert last["state"] == "failed" and hub.models == {} and files(exports) == []
    assert TOKEN not in json.dumps(last)


def test_a_name_that_is_taken_stays_as_it_is(
    hub: WritableHub, exports: Exports, zoo_env: Path
) -> None:
    push(exports, public=True, token=login())
    before = hub.models[NAME].commit
    last = push(exports, public=True, token=login())[-1]
    assert last["state"] == "failed" and "already" in last["note"]
    assert hub.models[NAME].commit == before


def test_stopped_in_the_middle_the_repository_is_taken_back(
    hub: WritableHub, exports: Exports, zoo_env: Path
) -> None:
    from components.views.export.push import push_events  # noqa: PLC0415

    stop = threading.Event()

    class WhenMade:
        def is_set(self) -> bool:
            return "POST /api/repos/create" in hub.requests

    push = read_push(first_session().recipe(), NAME, True, ADA, login(), Studio(public=True))
    with pytest.raises(Exception, match="Stopped"):
        push_events(push, exports, Studio(public=True), lambda event: None, WhenMade())
    assert hub.models == {} and files(exports) == [] and not stop.is_set()


@pytest.mark.parametrize("name", ["", "  ", None, 3, ["a/b"], "x" * 300])
def test_odd_names_are_refused_before_anything(name: Any, zoo_env: Path) -> None:
    with pytest.raises(InvalidValue, match="Repository"):
        read_push(first_session().recipe(), name, True, ADA, login(), Studio(public=True))


def test_the_button_to_sign_in_is_there_on_a_space_with_login_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("components.views.export.push.find_spec", lambda name: name)
    buttons: list[dict[str, Any]] = []
    monkeypatch.setattr(gr, "LoginButton", lambda **settings: buttons.append(settings))

    def has_login() -> bool:
        buttons.clear()
        with gr.Blocks():
            build_push(Studio(public=True))
        return len(buttons) == 1

    for name, value in (("SPACE_ID", "a/b"), ("OAUTH_CLIENT_ID", "x"), ("SYSTEM", "spaces")):
        assert not offers_login() and not has_login()
        monkeypatch.setenv(name, value)
    assert offers_login() and has_login()
    monkeypatch.setattr(
        "components.views.export.push.find_spec", lambda name: None
    )  # gradio[oauth] is missing
    assert not offers_login() and not has_login()


def test_the_handler_takes_the_login_and_waits_with_the_other_exports(zoo_env: Path) -> None:
    page = build_page(Studio(public=True))
    (event,) = [fn for fn in page.fns.values() if fn.name == "on_push"]
    assert (event.concurrency_id, event.concurrency_limit) == (EXPORTS.name, 1)
    assert event.queue is not False and event.api_visibility == "private"
    assert "OAuthToken" in str(event.fn.__annotations__["token"])


SAME_HOST = {"host": "ada-studio.hf.space", "origin": "https://ada-studio.hf.space"}


FOREIGN = (
    ({"host": SAME_HOST["host"]}, "no Origin header"),
    ({"host": SAME_HOST["host"], "sec-fetch-site": "same-origin"}, "no Origin header"),
    (SAME_HOST | {"origin": "http://evil.example"}, "A page at 'http://evil.example' asked"),
    (SAME_HOST | {"origin": "null"}, "A page at 'null' asked"),
    (SAME_HOST | {"sec-fetch-site": "cross-site"}, "A page at 'https://ada-studio.hf.space' asked"),
    (SAME_HOST, NO_LOGIN_HERE),
    (SAME_HOST | {"sec-fetch-site": "same-origin"}, NO_LOGIN_HERE),
    ({"host": "10.0.0.1", "origin": "https://studio.example.org"}, NO_LOGIN_HERE),
)
"""Headers of a push without a login, and why it is refused."""


def test_no_page_of_others_pushes_with_the_login_of_who_has_it_open(
    zoo_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login's cookie is sent with requests of any page; Origin says which page it is."""
    monkeypatch.setenv("DPPA_HOSTS", "studio.example.org")
    page = build_page(Studio(public=True))
    (event,) = [fn for fn in page.fns.values() if fn.name == "on_push"]
    usual = {component: component.get_config().get("value") for component in event.inputs}
    for headers, refusal in FOREIGN:
        caller = SimpleNamespace(headers=Headers(headers), session_hash="a", request=None)
        with pytest.raises(gr.Error, match=re.escape(refusal)):
            next(event.fn(usual, caller, None))
