"""What a tab fetches to merge by itself: names, headers, and nothing before it is asked for."""

import json
import threading
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from components.server import tab_files as route
from components.server.tab_files import LOOPS, NAMES, loops, pack_ahead, tab_files, tab_routes
from components.work.studio import Studio
from dppa_core.errors import MissingCheckpoint
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.tab.files import BASE, MODELS, manifest_text
from dppa_core.teaching.by_hand.grid import grid_address
from dppa_core.teaching.by_hand.tiny_merge import STARTS


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=tab_routes(Studio(public=True))))


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were packed so far; a pack is its model's name."""
    packed: list[str] = []

    def pack(model: str) -> bytes:
        packed.append(model)
        return model.encode()

    monkeypatch.setattr(route, "packed", pack)
    monkeypatch.setattr(route, "_kept", {})
    return packed


def test_addresses_name_every_embedded_model_and_the_loops_by_their_hash(packs: list[str]) -> None:
    addresses = tab_files()
    assert addresses["base"] == BASE and addresses["models"] == list(MODELS)
    assert addresses["weights"].keys() == {BASE, *MODELS}
    assert addresses["loops"].startswith("tab/tab.wasm?")
    assert not packs, "nothing is packed before it is asked for"


def test_loops_are_kept_for_good_under_an_address_with_their_hash(client: TestClient) -> None:
    answer = client.get(f"/{tab_files()['loops']}")
    assert answer.content == loops() and answer.headers["content-type"] == "application/wasm"
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(f"/tab/{LOOPS}").headers["cache-control"] == "no-cache"


def test_the_manifest_is_asked_for_anew(client: TestClient, packs: list[str]) -> None:
    answer = client.get(f"/{tab_files()['manifest']}")
    assert answer.json() == json.loads(manifest_text())
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache" and not packs


def test_weights_are_packed_when_they_are_asked_for(client: TestClient, packs: list[str]) -> None:
    for name, model in NAMES.items():
        answer = client.get(f"/tab/{name}")
        assert answer.content == model.encode() and packs[-1] == model
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-length"] == str(len(model))
        assert "content-encoding" not in answer.headers, "the tab unpacks and checks it itself"


def test_walks_are_worked_out_when_they_are_asked_for(
    client: TestClient, packs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "walks", lambda start: f"walks of {start}".encode())
    for start in STARTS:
        answer = client.get(f"/{grid_address(start)}")
        assert answer.text == f"walks of {start}" and "content-encoding" not in answer.headers
        assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("name", ["", "base", "none.gz", "zoo:math", "..%2ftab.wasm", "kernels"])
def test_nothing_else_is_served(client: TestClient, packs: list[str], name: str) -> None:
    assert client.get(f"/tab/{name}").status_code == 404 and not packs
    assert client.post("/tab/base.gz").status_code == 405


DOWN = "layers.3.mlp.down_proj"
ASKED = {
    "dppa": 1,
    "base": BASE,
    "models": [{"model": "zoo:math", "levels": [0.9, 0.8]}],
    "parameters": {"k_layer": 4.0, "scaling": "mean"},
    "overrides": {DOWN: {"rate": 0.5}},
}


def test_kept_counts_of_a_recipe_are_those_of_its_plan(client: TestClient) -> None:
    counts = client.post("/tab/counts", json=ASKED).json()
    parameters = PruningParameters(k_layer=4.0, scaling="mean")
    profile = cached_profile(BASE, "zoo:math")
    plan = plan_pruning(profile, (0.9, 0.8), parameters, {DOWN: Override(0.5)})
    expected = [[module.levels[k].kept for module in plan.modules] for k in range(2)]
    assert counts == {"zoo:math": expected}


@pytest.mark.parametrize(
    "other",
    [
        {"parameters": {"significance": "fisher"}},
        {"parameters": {"significance": "random"}},
        {"parameters": {"k_layer": -1}},
        {"overrides": {"layers.9.mlp.down_proj": {"rate": 0.5}}},
        {"models": [{"model": "/models/math"}]},
        {"base": "zoo:near-base"},
        {"method": "ties"},
        {"models": 10_000 * [None]},
        {"models": None},
    ],
)
def test_nothing_else_is_counted(client: TestClient, other: dict[str, Any]) -> None:
    answer = client.post("/tab/counts", json=ASKED | other)
    assert answer.status_code == 422 and answer.text


def test_packing_ahead_waits_for_the_warm_up_and_takes_the_base_too(packs: list[str]) -> None:
    class Warming:
        ready, ending = False, threading.Event()

    studio = Warming()
    thread = threading.Thread(target=pack_ahead, args=(studio, MODELS[:1]))
    thread.start()
    thread.join(0.05)
    assert not packs
    studio.ready = True
    thread.join(5)
    assert packs == [BASE, MODELS[0]]


def test_a_zoo_that_is_not_whole_has_no_manifest(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> bytes:
        raise MissingCheckpoint("zoo:apart-law is not there.")

    monkeypatch.setattr(route, "manifest_text", missing)
    assert client.get("/tab/manifest.json").status_code == 404
