"""Endpoints for programs: types, checks, limits, and nothing else public."""

import gzip
import hashlib
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from components.page.api import Endpoints
from components.page.workbench import build_page
from components.server.serving import launch_options, start
from components.session.presets import first_session
from components.work.downloads.files import Exports
from components.work.downloads.limits import PUBLIC
from components.work.kinds import API, CHATS, MODELS
from components.work.rate_limits import TOKENS_PER_HOUR, Allowance
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core import __version__
from dppa_core.errors import (
    DppaError,
    InvalidRecipe,
    InvalidValue,
    NotAllowed,
    OutOfBudget,
    UnknownName,
)
from dppa_core.progress import Stop, check
from dppa_core.recipes.yaml_text import dump_recipe, recipe_hash
from tests.e2e.server import free_port

RECIPE = dump_recipe(first_session().recipe())
ENDPOINTS = {"/example", "/plan", "/merge", "/chat", "/score", "/picture", "/export"}


class Request:
    """A caller."""

    session_hash = "abc"
    request = None

    def __init__(self, address: str = "", **headers: str) -> None:
        self.client = SimpleNamespace(host=address)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


REQUEST: Any = Request()


@pytest.fixture
def outside(zoo_env: Path, tmp_path: Path, one_torch_thread: None) -> Endpoints:
    return Endpoints(Studio(public=True), Exports(PUBLIC, tmp_path), Allowance(TOKENS_PER_HOUR))


# without a server -----------------------------------------------------------------------------


def test_a_plan_is_that_of_the_recipe(outside: Endpoints) -> None:
    assert outside.example() == RECIPE
    plans = outside.plan(RECIPE)
    assert plans["recipe"] == recipe_hash(first_session().recipe())
    assert [plan["finetuned"] for plan in plans["plans"]] == ["zoo:math", "zoo:finance", "zoo:law"]
    assert all(abs(plan["density"] - 0.2) < 0.01 for plan in plans["plans"])


def test_a_method_that_decides_while_it_merges_has_no_plan(outside: Endpoints) -> None:
    models = "".join(f"- model: zoo:{name}\n" for name in ("math", "law"))
    assert outside.plan(f"dppa: 1\nbase: zoo:base\nmodels:\n{models}method: ties\n")["plans"] == []


def test_a_merge_an_answer_and_a_score(outside: Endpoints) -> None:
    merged = outside.merge(RECIPE)
    assert merged["models"] == ["zoo:math", "zoo:finance", "zoo:law"] and merged["cells"]
    answer = outside.chat(RECIPE, "1 + 1?", REQUEST, max_tokens=3)
    assert isinstance(answer, str)
    assert isinstance(outside.chat(RECIPE, "half \ud83d", REQUEST, max_tokens=3), str)
    assert answer == outside.chat(RECIPE, "1 + 1?", REQUEST, max_tokens=3)
    score = outside.score(RECIPE, "math", "zoo:math", 4)
    assert score["questions"] == 4 and 0 <= score["low"] <= score["accuracy"] <= score["high"] <= 1


def test_texts_come_as_they_are_and_files_as_an_address(outside: Endpoints) -> None:
    assert outside.export(RECIPE, "recipe", REQUEST)["text"] == RECIPE
    assert outside.export(RECIPE, "card", REQUEST)["name"] == "README.md"
    with pytest.raises(InvalidValue, match="mergekit has no DPPA"):
        outside.export(RECIPE, "mergekit", REQUEST)
    file = outside.export(RECIPE, "checkpoint", REQUEST)
    assert file["address"].startswith("export/") and file["name"].endswith(".zip")
    assert 0 < file["seconds"] <= PUBLIC.seconds


LOCAL = RECIPE.replace("zoo:math", "/etc")
HUB = RECIPE.replace("zoo:math", "acme/model")
FISHER = RECIPE.replace("significance: magnitude", "significance: fisher")
TEXT = FISHER + "calibration: {text: /etc/passwd}\n"
TASKS = FISHER + "calibration: {tasks: [math], tokens: 100000}\n"
MANY = RECIPE.replace("models:\n", "models:\n" + "".join(f"- model: zoo:m{n}\n" for n in range(4)))


@pytest.mark.parametrize(
    ("recipe", "error"),
    [
        ("", InvalidRecipe),
        (3, InvalidValue),
        (None, InvalidValue),
        ("a: [", InvalidRecipe),
        ("x" * 200_000, InvalidRecipe),
        (LOCAL, NotAllowed),
        (HUB, NotAllowed),
        (TEXT, NotAllowed),
        (TASKS, NotAllowed),
        (MANY, NotAllowed),
        (RECIPE.replace("zoo:math", "zoo:mathh"), UnknownName),
    ],
)
def test_a_recipe_that_is_none_or_not_a_strangers_is_refused_everywhere(
    outside: Endpoints, recipe: Any, error: type[DppaError]
) -> None:
    asking = (
        lambda: outside.plan(recipe),
        lambda: outside.merge(recipe),
        lambda: outside.chat(recipe, "1 + 1?", REQUEST),
        lambda: outside.score(recipe, "math"),
        lambda: outside.export(recipe, "checkpoint", REQUEST),
        lambda: outside.export(recipe, "card", REQUEST),
    )
    for ask in asking:
        with pytest.raises(error):
            ask()


@pytest.mark.parametrize(
    "values",
    [
        {"question": ""},
        {"question": "x" * 2001},
        {"question": None},
        {"model": "zoo:base2"},
        {"model": ["merged"]},
        {"max_tokens": 0},
        {"max_tokens": 257},
        {"max_tokens": 2.5},
        {"max_tokens": True},
        {"temperature": 3},
        {"temperature": float("nan")},
        {"seed": -1},
    ],
)
def test_values_out_of_range_are_refused(outside: Endpoints, values: dict[str, Any]) -> None:
    arguments = {"recipe": RECIPE, "question": "1 + 1?", "request": REQUEST, **values}
    with pytest.raises(DppaError):
        outside.chat(**arguments)


def test_domains_numbers_and_kinds_are_checked(outside: Endpoints) -> None:
    for values in ({"domain": "chess"}, {"domain": 3}, {"questions": 401}, {"questions": "20"}):
        with pytest.raises(DppaError):
            outside.score(**{"recipe": RECIPE, "domain": "math", **values})  # type: ignore[arg-type]
    for kind in ("../x", 3, None, ["checkpoint"]):
        with pytest.raises(UnknownName):
            outside.export(RECIPE, kind, REQUEST)  # type: ignore[arg-type]


def test_agents_have_an_allowance_each_though_gradio_gives_them_one_session(
    outside: Endpoints,
) -> None:
    first, second = (Request(address, x_dppa_caller="1") for address in ("1.2.3.4", "1.2.3.5"))
    outside._allowance.spend(Visitor("", "1.2.3.4"), 30_000)
    with pytest.raises(OutOfBudget, match="tokens an hour"):
        outside.chat(RECIPE, "1 + 1?", first)  # type: ignore[arg-type]
    assert outside.chat(RECIPE, "1 + 1?", second, max_tokens=1) is not None  # type: ignore[arg-type]


def test_a_strangers_tokens_and_time_have_an_end(
    outside: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside._allowance.spend(Visitor("abc"), 30_000)
    with pytest.raises(OutOfBudget, match="tokens an hour"):
        outside.chat(RECIPE, "1 + 1?", REQUEST)
    ended = threading.Event()

    def endless(stop: Stop) -> None:
        try:
            while True:
                time.sleep(0.01)
                check(stop)
        finally:
            ended.set()

    with pytest.raises(OutOfBudget, match="longer than the 0 s"):
        outside._studio.finished(replace(API, seconds=0.05), endless)
    assert ended.is_set()


# pictures -----------------------------------------------------------------------------------


def drawn(outside: Endpoints, kind: str, **more: Any) -> ElementTree.Element:
    """A picture, read as XML."""
    return ElementTree.fromstring(outside.picture(RECIPE, kind, **more)["svg"])  # type: ignore[arg-type]


def texts(picture: ElementTree.Element) -> list[str]:
    return [
        "".join(element.itertext()) for element in picture.iter() if element.tag.endswith("text")
    ]


def test_the_heatmap_holds_the_kept_share_of_every_matrix(outside: Endpoints) -> None:
    plan = outside.plan(RECIPE)["plans"][1]
    labels = texts(drawn(outside, "heatmap", model="zoo:finance"))
    assert {f"{100 * module['kept'] / module['numel']:.1f}" for module in plan["modules"]} <= set(
        labels
    )


def test_partitions_changes_and_scores_are_drawn_with_title_and_axes(outside: Endpoints) -> None:
    kept = texts(drawn(outside, "kept"))
    assert "What each partition holds of math" in kept and "partition 2" in kept
    sizes = texts(drawn(outside, "distribution"))
    assert "Sizes of the changes of math, 80 % pruned" in sizes
    assert "|d|, change of a weight (power of ten)" in sizes
    scored = texts(drawn(outside, "scores", model="zoo:law", questions=4))
    assert "law: right answers to 4 test questions" in scored and "accuracy (%)" in scored
    assert {"merged", "base", "law"} <= set(scored)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"kind": "photo"}, "Known: heatmap, kept"),
        ({"kind": "heatmap", "model": "zoo:base"}, "takes no part"),
        ({"kind": "scores", "model": "zoo:base"}, "Scored are models of a domain: zoo:math"),
        ({"kind": "scores", "questions": 3}, "questions"),
        ({"kind": "kept", "model": 7}, "model: a text"),
    ],
)
def test_a_picture_that_cannot_be_drawn_says_why(
    outside: Endpoints, changed: dict[str, Any], says: str
) -> None:
    with pytest.raises(DppaError, match=says):
        outside.picture(RECIPE, **changed)


def test_a_distribution_is_drawn_of_what_its_counts_hold(outside: Endpoints) -> None:
    recipe = RECIPE.replace("significance: magnitude", "significance: random")
    with pytest.raises(InvalidValue, match="rank by magnitude"):
        outside.picture(recipe, "distribution")


def test_a_method_without_a_plan_has_no_picture_of_one(outside: Endpoints) -> None:
    recipe = (
        "dppa: 1\nbase: zoo:base\nmethod: ties\nmodels: [{model: zoo:math}, {model: zoo:law}]\n"
    )
    with pytest.raises(InvalidValue, match="decides while it merges"):
        outside.picture(recipe, "kept")


# what is public -----------------------------------------------------------------------------


def test_every_endpoint_is_named_and_told_and_nothing_else_is_public(zoo_env: Path) -> None:
    page = build_page(Studio(public=True))
    info = page.get_api_info()
    assert set(info["named_endpoints"]) == ENDPOINTS and info["unnamed_endpoints"] == {}
    for name, about in info["named_endpoints"].items():
        assert about["description"].endswith("."), name
    public = [event for event in page.fns.values() if event.api_visibility != "private"]
    assert {f"/{event.name}" for event in public} == ENDPOINTS
    queues = {event.name: (event.concurrency_id, event.concurrency_limit) for event in public}
    assert queues["chat"] == (CHATS.name, CHATS.at_once)
    assert queues["merge"] == (MODELS.name, 1)
    assert queues["score"] == ("exam", 1)
    assert queues["export"] == ("export", 1)
    assert all(event.queue is not False for event in public)


def test_every_argument_is_described_for_agents(zoo_env: Path) -> None:
    from gradio.utils import get_function_description  # noqa: PLC0415

    page = build_page(Studio(public=True))
    for event in page.fns.values():
        if event.api_visibility == "public":
            words, arguments, answer = get_function_description(event.fn)
            del words, answer
            arguments.pop("request", None)
            assert all(arguments.values()), (event.name, arguments)


def test_mcp_is_served_where_its_extra_is_installed() -> None:
    assert launch_options()["mcp_server"] is (find_spec("mcp") is not None)


# a started app -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tiny_zoo: Path) -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    patch.setenv("DPPA_ZOO", str(tiny_zoo))
    patch.setenv("DPPA_WARM", "0")
    patch.setenv("DPPA_METRICS", "1")
    patch.setenv("DPPA_FRAMES", "https://a.example, https://*.b.example")
    page = build_page(Studio(public=True))
    url = start(page, server_name="127.0.0.1", server_port=free_port(), quiet=True)
    yield url
    page.close()
    patch.undo()


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    client = Client(address, verbose=False)
    yield client
    client.close()


def test_a_program_plans_asks_and_takes_away(
    client: Client, address: str, one_torch_thread: None
) -> None:
    recipe = client.predict(api_name="/example")
    assert recipe == RECIPE
    assert client.predict(recipe, api_name="/plan")["plans"]
    answer = client.predict(recipe=recipe, question="1 + 1?", max_tokens=2, api_name="/chat")
    assert isinstance(answer, str)
    file = client.predict(recipe=recipe, kind="checkpoint", api_name="/export")
    with urllib.request.urlopen(f"{address}/{file['address']}") as got:
        data = got.read()
        assert "attachment" in got.headers["Content-Disposition"]
    assert len(data) == file["bytes"]
    assert hashlib.sha256(data).hexdigest() == file["sha256"]


def test_a_program_reads_why_it_was_refused(client: Client) -> None:
    with pytest.raises(AppError, match="not offered on a public page"):
        client.predict(LOCAL, api_name="/plan")


def test_agents_see_the_same_endpoints_where_mcp_is_installed(address: str) -> None:
    try:
        with urllib.request.urlopen(f"{address}/gradio_api/mcp/schema") as answer:
            tools = {tool["name"] for tool in json.load(answer)}
    except urllib.error.HTTPError as error:
        with error:
            assert error.code == 404
        tools = set()
    installed = find_spec("mcp") is not None
    assert tools == ({name[1:] for name in ENDPOINTS} if installed else set())


def test_files_leave_by_their_word_alone(client: Client, address: str) -> None:
    """Neither the page's folder nor Gradio's file route serves other visitors' files."""
    client.predict(recipe=RECIPE, kind="checkpoint", api_name="/export")
    for path in ("export/x", "gradio_api/file=/etc/passwd", "gradio_api/file=app.py"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{address}/{path}")
        with caught.value as answer:  # holds the connection
            assert answer.code in (403, 404)


@pytest.mark.parametrize(
    "path",
    [
        *("file=http://127.0.0.1:1/x", "file=HTTPS://example.org/x", "file=%68ttp://127.0.0.1:1/"),
        *("file=/http:/127.0.0.1:1/", "/file=ftp://x/", "proxy=https://example.org/", "upload"),
        *("upload_progress?upload_id=1", "deep_link?session_hash=1", "component_server"),
        *("file/https://example.org/x", "file//etc/passwd", "file=/etc/passwd", "dev/reload"),
        *(
            "stream/a/b/1/playlist.m3u8",
            "process_recording",
            "vibe-code/",
            "undo-vibe-edit",
            "runs",
        ),
    ],
)
def test_what_the_page_does_not_use_is_closed(address: str, path: str) -> None:
    """Above all, nobody can make this server fetch an address."""
    for before in ("gradio_api/", ""):
        status, headers = fetched_from(f"{address}/{before}{path}")
        assert status == 404 and headers["content-type"].startswith("text/plain"), before


@pytest.mark.parametrize("route", ["run/predict", "queue/join"])
def test_what_is_no_question_is_refused_without_being_repeated(address: str, route: str) -> None:
    sent = b'{"fn_index": 1e400, "data": {"secret": 1}}'
    request = urllib.request.Request(
        f"{address}/gradio_api/{route}", sent, {"content-type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert (caught.value.code, caught.value.read()) == (422, b"Not a request of this page")


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_nobody_goes_around_the_queue(address: str, name: str) -> None:
    request = urllib.request.Request(
        f"{address}/gradio_api/run{name}", b'{"data": []}', {"content-type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as answer:
        assert answer.code == 404


@pytest.mark.parametrize("path", ["monitoring", "monitoring/summary", "gradio_api/run_history"])
def test_nobody_reads_what_others_did(address: str, path: str) -> None:
    assert fetched_from(f"{address}/{path}")[0] in (403, 404)


def test_browsers_take_nothing_for_what_it_is_not(address: str) -> None:
    for path in ("", "config", "healthz"):
        status, headers = fetched_from(f"{address}/{path}")
        assert status == 200 and headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_listed_sites_alone_show_the_page_in_a_frame_and_no_cache_keeps_it(address: str) -> None:
    """The page repeats the Host header of a request as its own address."""
    sites = "frame-ancestors 'self' https://a.example https://*.b.example"
    for path in ("", "config"):
        _, headers = fetched_from(f"{address}/{path}")
        assert headers["cache-control"] == "no-store", path
        assert headers["content-security-policy"] == sites, path


def fetched_from(url: str) -> tuple[int, Message]:
    """Status and headers."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def test_private_events_cannot_be_called_by_name(client: Client) -> None:
    for name in ("/on_make", "/on_settle", "/on_forget"):
        with pytest.raises(ValueError, match="Cannot find a function"):
            client.predict(api_name=name)


def test_the_page_travels_compressed_where_the_browser_can_read_it(address: str) -> None:
    def fetched(accepted: str) -> tuple[str | None, bytes]:
        request = urllib.request.Request(address, headers={"Accept-Encoding": accepted})
        with urllib.request.urlopen(request) as answer:
            return answer.headers["Content-Encoding"], answer.read()

    coding, packed = fetched("gzip")
    plain_coding, plain = fetched("identity")
    assert (coding, plain_coding) == ("gzip", None)
    assert len(packed) < len(plain) / 3
    assert gzip.decompress(packed)[:100] == plain[:100]


# for operators -----------------------------------------------------------------------


def test_the_page_says_that_it_is_alive(address: str) -> None:
    with urllib.request.urlopen(f"{address}/healthz") as answer:
        assert json.load(answer) == {"status": "ok", "version": __version__, "ready": True}


def test_a_port_that_is_taken_is_told_and_no_other_is_taken_instead(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", address.rpartition(":")[2])
    with gr.Blocks() as page:
        page.studio, page.exports = Studio(public=True), Exports(PUBLIC)
    with pytest.raises(InvalidValue, match="cannot listen at port .* name another port"):
        start(page, server_name="127.0.0.1", quiet=True)


def test_counts_tell_of_work_and_waiting_and_of_no_visitor(client: Client, address: str) -> None:
    client.predict(RECIPE, api_name="/plan")
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        text = answer.read().decode()
    assert 'dppa_work_seconds_count{outcome="done",work="api"} ' in text
    assert 'dppa_request_seconds_count{route="join"} ' in text
    assert "dppa_queue_waiting 0.0\n" in text and "dppa_exports_bytes " in text
    assert float(re.search(r"^dppa_cache_bytes (\S+)$", text, re.M)[1]) > 0
    assert client.session_hash not in text and "127.0.0.1" not in text
