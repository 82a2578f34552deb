"""The page's scripts as a browser fetches them: one address per version of all files."""

import gzip
import re
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from components.server.serving import EarlyScripts
from components.widgets import scripts
from components.widgets.scripts import ENTRY, address, needed, script_route, sources


@pytest.fixture
def client() -> TestClient:
    page = Route("/", lambda _: HTMLResponse("<head><title>ü</title></head><body></head>"))
    early = Middleware(EarlyScripts, tags=scripts.script_tags())
    return TestClient(Starlette(routes=[page, script_route()], middleware=[early]))


def test_every_script_is_served_as_it_is_and_kept_for_good(client: TestClient) -> None:
    for name, text in sources().items():
        answer = client.get(f"/{address()}/{name}")
        assert answer.text == text and answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
    plain = client.get(f"/{address()}/{ENTRY}", headers={"accept-encoding": "identity"})
    assert plain.text == sources()[ENTRY] and "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    "path", ["../css/style.css", "..%2f..%2fapp.py", "session", "", "/etc/passwd", "x.js"]
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/{address()}/{path}").status_code == 404
    assert client.get(f"/js/0123456789abcdef/{ENTRY}").status_code == 404  # another version


@pytest.fixture
def fresh() -> Iterator[None]:
    """Files are re-read inside and after."""
    for known in (sources, address):
        known.cache_clear()
    yield
    for known in (sources, address):
        known.cache_clear()


def test_a_change_of_any_script_changes_the_address_of_all(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = address(), dict(sources())
    files["learn/prose.js"] += "\n"
    monkeypatch.setattr(scripts, "sources", lambda: files)
    address.cache_clear()
    assert address() != before
    assert re.fullmatch(r"js/[0-9a-f]{16}", before)


def test_the_page_names_all_it_starts_with_seen_from_itself(client: TestClient) -> None:
    for answer in (client.get("/"), client.head("/")):
        assert int(answer.headers["content-length"]) == len(client.get("/").content)
    head, _, rest = client.get("/").text.partition("</head>")
    assert rest == "<body></head>" and head.startswith("<head><title>ü</title>")
    preloaded = re.findall(r'<link rel="modulepreload"[^>]* href="([^"]+)">', head)
    assert preloaded == [f"{address()}/{name}" for name in needed(ENTRY)]
    assert f'<script type="module" src="{address()}/{ENTRY}"></script>' in head


def test_scripts_travel_in_few_bytes(client: TestClient) -> None:
    sizes = [len(gzip.compress(sources()[name].encode())) for name in needed(ENTRY)]
    assert sum(sizes) < 200_000


def test_other_paths_are_left_alone(client: TestClient) -> None:
    app = Starlette(routes=[Route("/config", lambda _: Response("</head>"))])
    wrapped = TestClient(EarlyScripts(app, "<x>"))
    assert wrapped.get("/config").text == "</head>"
