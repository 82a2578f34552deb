"""Hub sets on the page, and preflight of added models, without a server."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from components.page.workbench import build_page
from components.session.presets import (
    fetchable_choices,
    fetched_session,
    find_fetchable_set,
    first_session,
    presets,
)
from components.session.session import ModelChoice, Session
from components.session.state import session_from_state, state_of
from components.views.controls.hub_offer import (
    Offer,
    fetch_progress,
    offer_lines,
    offer_value,
    stream_fetch,
)
from components.views.controls.models import build_preset, findings_value, first_blocker, with_pins
from components.work.studio import BYTE_BUDGET, Studio, byte_budget
from dppa_core.checkpoints.sources import zoo
from dppa_core.checkpoints.sources.fetchable import FETCHABLE, Fetchable
from dppa_core.checkpoints.sources.open import open_checkpoint, pinned
from dppa_core.errors import Unreachable
from dppa_core.preflight_checks import fetchable_sets as core
from dppa_core.preflight_checks.facts import Finding, Severity
from dppa_core.preflight_checks.fetchable_sets import FetchableSet, PresetModel, fetchable_sets
from dppa_core.progress import Progress
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.system.folder_cache import cache_folder
from dppa_core.system.machine import Machine
from tests.app.page.test_handlers import press
from tests.app.views.test_tune import open_at, restore
from tests.helpers.hub_server import HubServer, stand_in
from tests.helpers.links import link_of
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

BASE, MATH = "acme/tiny-base", "acme/tiny-math"
TINY = FetchableSet(
    "tiny", "Tiny: base + math", PresetModel(BASE, 23_808), (PresetModel(MATH, 23_808),)
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Two tiny models on a local Hub; the page offers only these."""
    server = HubServer()
    base = random_llama(0)
    server.add(BASE, base.save(tmp_path / "base"), card={"license": "mit"})
    server.add(MATH, tuned_llama(base, 1).save(tmp_path / "math"), card={"license": "mit"})
    stand_in(server, tmp_path / "cache", monkeypatch)
    for module in ("components.session.presets", "dppa_core.preflight_checks.fetchable_sets"):
        monkeypatch.setattr(f"{module}.fetchable_sets", lambda: (TINY,))
    yield server
    server.close()


def card(name: str) -> str:
    return json.dumps({"name": name})


def test_sets_of_the_hub_are_listed_and_on_a_public_page_out_of_reach() -> None:
    local, public_choices = (fetchable_choices(public=public) for public in (False, True))
    assert [row["title"] for row in local["rows"]] == [preset.title for preset in fetchable_sets()]
    assert not local["off"] and public_choices["off"]
    assert "your own copy" in public_choices["head"]
    titles = [*presets()] + [preset.title for preset in fetchable_sets()]
    assert len(set(titles)) == len(titles)
    with gr.Blocks():
        value = json.loads(build_preset(Studio(public=True)).value)
    assert value["hub"]["off"] is True


def test_choosing_a_set_shows_what_it_takes_and_changes_nothing(
    page: gr.Blocks, hub: HubServer
) -> None:
    out = press(page, "on_preset", preset=json.dumps({"chosen": TINY.title}))
    assert set(out) == {"offer"} and out["offer"]["state"] == "offered"
    assert out["offer"]["lines"][0].startswith("Needs a download: 95.2 kB of 2 models")
    assert out["offer"]["open"] == "Fetch 95.2 kB and open"
    assert not hub.requests


def test_checking_asks_the_hub_and_fetches_no_weight(page: gr.Blocks, hub: HubServer) -> None:
    out = press(page, "on_check", offer=card("tiny"))
    assert out["offer"]["findings"]["head"] == "These can be merged."
    assert hub.requests and hub.sent["model.safetensors"] < 20_000


def test_fetching_opens_the_set_with_its_commits(page: gr.Blocks, hub: HubServer) -> None:
    out = press(page, "on_fetch", offer=card("tiny"))
    commit = hub.models[BASE].commit
    assert out["models"]["base"] == f"hub:{BASE}@{commit}"
    assert out["preset"]["chosen"] == TINY.title and TINY.title in out["preset"]["wholes"]
    assert out["offer"] == "null" and out["plots"]["adopt"] is True
    assert any("times as large" in row["what"] for row in out["findings"]["rows"]) or (
        out["findings"]["fine"].startswith("1 more")
    )
    again = press(page, "on_preset", preset=json.dumps({"chosen": TINY.title}))
    assert again["offer"]["lines"][0] == "On this disk: all 2 models."
    assert again["offer"]["open"] == "Open"


def test_what_stands_in_the_way_is_told_and_nothing_is_fetched(
    studio: Studio, hub: HubServer
) -> None:
    hub.models[MATH].gated = True
    (*_, (value, references)) = stream_fetch(Offer(TINY.references, TINY), studio)
    assert not references and value["state"] == "offered"
    assert value["findings"]["rows"][0]["severity"] == "blocker"
    assert hub.sent["model.safetensors"] < 20_000


def test_a_fetch_that_breaks_off_says_so_and_can_be_begun_again(
    studio: Studio, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("components.views.controls.hub_offer.open_checkpoint", _breaks)
    (*_, (value, references)) = stream_fetch(Offer(TINY.references, TINY), studio)
    assert not references and value["trouble"] == "the line is down"


def _breaks(*_: object, **__: object) -> None:
    raise Unreachable("the line is down")


@pytest.mark.parametrize("handler", ["on_check", "on_fetch", "on_stop_fetching"])
def test_a_public_page_asks_the_hub_for_nothing(
    zoo_env: Path, hub: HubServer, handler: str
) -> None:
    page = build_page(Studio(public=True))
    with pytest.raises(gr.Error, match="own copy"):
        press(page, handler, offer=card("tiny"))
    with pytest.raises(gr.Error, match="no preset"):
        press(page, "on_preset", preset=json.dumps({"chosen": TINY.title}))
    assert not hub.requests


@pytest.mark.parametrize("value", ["null", "{}", '{"name": "nosuch"}', '{"name": 7}'])
def test_a_card_nobody_can_have_is_refused(page: gr.Blocks, value: str) -> None:
    with pytest.raises(gr.Error, match="no set of models"):
        press(page, "on_check", offer=value)


def test_a_typed_model_of_the_hub_is_looked_up_and_fetched_only_on_request(
    page: gr.Blocks, hub: HubServer
) -> None:
    out = press(page, "on_use", reference=MATH, **{"own-base": BASE})
    offer = out["offer"]
    assert offer["references"] == [BASE, MATH] and offer["new_base"] is True
    assert offer["lines"][:2] == [
        "Needs a download: 111 kB of 2 models, 1 s at 100 Mbit/s.",
        "Licence: mit.",
    ]
    assert offer["open"] == "Fetch 111 kB and open" and "models" not in out
    assert offer["findings"]["head"] == "These can be merged."
    assert hub.sent["model.safetensors"] < 20_000
    out = press(page, "on_fetch", offer=json.dumps(offer))
    math = f"hub:{MATH}@{hub.models[MATH].commit}"
    assert out["models"]["base"] == f"hub:{BASE}@{hub.models[BASE].commit}"
    assert [row["ref"] for row in out["models"]["models"]] == [math]
    assert out["plots"]["look"] == math and out["offer"] == "null"


def test_a_typed_model_joins_the_models_of_the_page(
    studio: Studio, hub: HubServer, tmp_path: Path
) -> None:
    offer = Offer((str(tmp_path / "base"), MATH), new_base=False)
    assert offer.names == [MATH] and offer_value(offer, "stopped")["open"] == "Fetch and add"
    (*_, (_, references)) = stream_fetch(offer, studio)
    assert references == (str(tmp_path / "base"), f"hub:{MATH}@{hub.models[MATH].commit}")


def test_a_model_the_program_knows_is_fetched_before_it_is_checked(
    studio: Studio, tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    tiny = replace(FETCHABLE["smollm2"], name="tiny", download=2)
    monkeypatch.setitem(FETCHABLE, "tiny", tiny)

    def fetched(model: Fetchable, progress: Progress | None = None, **_: object) -> Path:
        if not model.is_fetched:
            assert progress is not None, "it was opened before it was fetched"
            progress(1, 2, "")
            progress(2, 2, "Converting")
            shutil.copytree(tiny_zoo / "base", model.folder)
        return model.folder

    monkeypatch.setattr(zoo, "fetch_model", fetched)
    cards = list(stream_fetch(Offer(("zoo:tiny", str(tiny_zoo / "math"))), studio))
    assert cards[-1] == ({}, ("zoo:tiny", str(tiny_zoo / "math")))
    steps = [card.get("what") for card, _ in cards]
    assert steps[0] == "Beginning" and not any("Hub" in str(step) for step in steps)
    assert not any((card.get("findings") or {}).get("blockers") for card, _ in cards)


def test_what_is_converted_after_a_download_is_told() -> None:
    events = list[Any]()
    fetch_progress("Fetching zoo:smollm2", events.append)(7, 7, "Converting")
    assert events == [
        ("now", "Fetching zoo:smollm2: here; converting it takes half a minute", None)
    ]


def test_a_set_that_is_here_is_a_preset_and_no_longer_offered(
    page: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    title = "SmolLM2 135M: math + finance + law"
    listed = [row["title"] for row in fetchable_choices(public=False)["rows"]]
    assert title in listed and title not in presets()
    offer = press(page, "on_preset", preset=json.dumps({"chosen": title}))["offer"]
    assert offer["name"] == "smollm2" and offer["open"] == "Fetch 92.9 MB and open"
    assert offer["lines"][0].startswith("Needs a download: 92.9 MB of their base")
    assert not offer["checks"], "it can be checked once it is here"
    FETCHABLE["smollm2"].folder.mkdir(parents=True)
    (FETCHABLE["smollm2"].folder / "config.json").write_text("{}")
    assert list(presets())[1] == title
    two = 2 * 4 * FETCHABLE["smollm2"].parameters
    assert byte_budget(public=True) // 3 >= two, "a merge and its base fit into each process"
    assert title not in [row["title"] for row in fetchable_choices(public=True)["rows"]]


def test_a_download_says_its_rate_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, events = [0.0], list[Any]()
    monkeypatch.setattr("components.views.controls.hub_offer.time.monotonic", lambda: clock[0])
    tell = fetch_progress("Fetching a/b (1 of 2)", events.append)
    tell(40_000_000, 100_000_000, "")  # here before
    clock[0] = 10.0
    tell(60_000_000, 100_000_000, "")
    assert events == [
        ("now", "Fetching a/b (1 of 2): 40 MB of 100 MB", 0.4),
        ("now", "Fetching a/b (1 of 2): 60 MB of 100 MB, 2 MB/s, 20 s left", 0.6),
    ]


def test_a_model_that_does_not_fit_is_not_added_and_the_reason_stays_in_sight(
    page: gr.Blocks, tmp_path: Path
) -> None:
    folder = str(random_llama(0, Shape(hidden=64)).save(tmp_path / "wide"))
    (event,) = [fn for fn in page.fns.values() if fn.name == "on_use"]
    values = {b: folder if b.elem_id == "reference" else b.value for b in event.inputs}
    steps = event.fn(values)
    (cleared,) = next(steps).values()
    assert json.loads(cleared) is None, "what an earlier check found"
    (findings,) = next(steps).values()
    value = json.loads(findings)
    assert value["head"].startswith("Not added") and value["rows"][0]["severity"] == "blocker"
    with pytest.raises(gr.Error, match="wide: .*another shape"):
        next(steps)


def test_a_model_that_fits_is_added_with_what_was_found(page: gr.Blocks, tiny_zoo: Path) -> None:
    out = press(page, "on_use", reference=str(tiny_zoo / "law"))
    assert out["findings"]["head"].startswith("Added")
    assert {row["severity"] for row in out["findings"]["rows"]} <= {"note", "warning"}


def finding(severity: Severity, **more: Any) -> Finding:
    return Finding(severity, "base", "hub:acme/math@main", "It is so.", **more)


def test_a_list_holds_what_is_not_as_it_should_be_and_counts_the_rest() -> None:
    every = [finding(Severity.WARNING, remedy="Do that."), *[finding(Severity.OK)] * 2]
    value = findings_value(every, "Seen:")
    assert [row["model"] for row in value["rows"]] == ["acme/math"]
    assert value["fine"] == "2 more checks passed."
    assert first_blocker([finding(Severity.BLOCKER, why="Why.", remedy="Do.")]) == (
        "acme/math: It is so. Why. Do."
    )


def test_facts_of_a_set_are_told_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    gated = FetchableSet(
        "t", "T", PresetModel("a/b", 10**9, gated=True), (PresetModel("a/c", 10**9),)
    )
    small = Machine(10**9, 10**12)
    monkeypatch.setattr("components.views.controls.hub_offer.this_machine", lambda _: small)
    offer = Offer(gated.references, gated)
    lines = offer_lines(offer, gated.estimate(4 * 10**9), gated.licences, gated.gated)
    assert lines[0] == "Needs a download: 4 GB of 2 models, 5 min at 100 Mbit/s."
    assert any(line.startswith("Gated: accept the terms of a/b") for line in lines)
    assert lines[-1].startswith("Runs here: the merge, not the chat (")


@pytest.mark.parametrize(
    ("left", "budget"), [(None, 2 * 10**9), (10**9, BYTE_BUDGET), (2 * 10**10, 10**10)]
)
def test_models_of_ones_own_may_fill_half_of_what_is_left(
    monkeypatch: pytest.MonkeyPatch, left: int | None, budget: int
) -> None:
    monkeypatch.delenv("DPPA_MEMORY", raising=False)
    monkeypatch.setattr("dppa_core.system.byte_sizes.available_memory", lambda: left)
    assert byte_budget(public=False) == budget
    assert byte_budget(public=True) == BYTE_BUDGET
    monkeypatch.setenv("DPPA_MEMORY", "3GB")
    assert byte_budget(public=False) == byte_budget(public=True) == 3 * 10**9


def test_a_set_opens_with_every_model_on() -> None:
    session = fetched_session("Any", ("hub:a/b@1", "hub:a/c@2", "hub:a/d@3"))
    assert session.base == "hub:a/b@1" and len(session.active) == 2
    assert find_fetchable_set(core.fetchable_sets()[0].title) is core.fetchable_sets()[0]
    assert find_fetchable_set("Everything kept: plain sum") is None
    first = fetchable_sets()[0]
    assert offer_value(Offer(first.references, first))["name"] == first.name


def session_of_hub(*, revision: str = "") -> Session:
    """The first settings on the models of the Hub, as somebody may send them."""
    names = [f"hub:{name}{revision}" for name in (BASE, MATH)]
    return replace(first_session(), base=names[0], models=(ModelChoice(names[1]),))


@pytest.mark.parametrize("revision", ["", "@main"])
def test_a_link_to_models_of_the_hub_asks_it_nothing_before_a_click(
    page: gr.Blocks, hub: HubServer, revision: str
) -> None:
    """Whoever sends it would learn who opened it, and the Hub gets the login of this computer."""
    session = session_of_hub(revision=revision)
    after = open_at(page, link_of(session))
    assert not hub.requests, "opening the page is no click"
    assert after["tune"] == {"confirm": state_of(session), "hub": [BASE, MATH]}
    assert after["exact"]["recipe"] == recipe_hash(first_session().recipe())


def test_a_link_to_a_commit_that_is_not_here_is_refused_without_the_hub(
    page: gr.Blocks, hub: HubServer
) -> None:
    after = open_at(page, link_of(session_of_hub(revision=f"@{40 * 'a'}")))
    assert "not on this computer yet" in after["tune"]["notice"] and not hub.requests


def test_a_link_to_models_that_are_here_opens_at_once_and_asks_nothing(
    page: gr.Blocks, hub: HubServer
) -> None:
    for name in (BASE, MATH):
        open_checkpoint(pinned(f"hub:{name}"))
    fetched = with_pins(session_of_hub(), Studio(public=False))
    hub.requests.clear()
    after = open_at(page, link_of(fetched))
    assert session_from_state(after["tune"]["open"]) == fetched
    restore(page, fetched)
    assert not hub.requests
    shutil.rmtree(
        cache_folder("fetched")
    )  # fetched by another program: the rest would be asked for
    assert open_at(page, link_of(fetched))["tune"]["hub"] == [BASE, MATH]
    assert not hub.requests
