"""A busy or failing Hub, and a disk that fills: one-line errors, then downloads continue.

The Hub is a local server that huggingface_hub itself uses over HTTP.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DppaError, Unreachable
from tests.faults.disks import Disk, forked
from tests.helpers.hub_server import HubServer, stand_in
from tests.helpers.tiny_models import random_llama

BASE = "acme/tiny-base"
WEIGHTS = "model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A model on a local Hub, and empty caches."""
    server = HubServer()
    server.add(BASE, random_llama(0).save(tmp_path / "models" / "base"))
    stand_in(server, tmp_path / "cache", monkeypatch)
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "own"))
    yield server
    server.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits of huggingface_hub between attempts."""
    wait = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: wait(min(seconds, 0.01)))


def fails(message: str) -> None:
    with pytest.raises(Unreachable, match=message) as caught:
        open_checkpoint(BASE)
    assert "\n" not in str(caught.value)


def whole(hub: HubServer) -> None:
    """The model is now downloaded and equals the Hub's."""
    fetched = open_checkpoint(BASE)
    assert fetched.content_hash() == open_checkpoint(str(hub.models[BASE].folder)).content_hash()


def named(cache: Path) -> list[str]:
    """Files reachable by a name, which any program reading the cache sees."""
    return sorted(path.name for path in cache.glob("**/snapshots/*/*"))


@pytest.mark.usefixtures("quick")
def test_a_hub_that_takes_no_more_requests_says_so(hub: HubServer, tmp_path: Path) -> None:
    hub.status = 429
    fails(r"takes no more requests for now \(status 429\). Wait a few minutes")
    assert named(tmp_path / "cache") == []
    hub.status = None
    whole(hub)


@pytest.mark.usefixtures("quick")
def test_a_download_cut_short_has_no_name_and_goes_on_where_it_was(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.break_off = lambda path: 1000 if path.endswith(WEIGHTS) else None
    fails("the Hub does not answer|broke off")
    assert WEIGHTS not in named(tmp_path / "cache")
    hub.break_off = lambda path: None
    before = len(hub.files())
    whole(hub)
    assert set(hub.files()[before:]) <= {WEIGHTS}  # complete files are kept
    assert WEIGHTS in named(tmp_path / "cache")


def test_a_disk_that_fills_while_weights_come_is_told_and_they_come_later(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        place = Disk(tmp_path / "disk", 1 << 20)
        place.empty()
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place.folder / "hub"))

        def fill(received: int, total: int, step: str) -> None:
            if step.endswith(WEIGHTS) or received > 30_000:
                place.fill()

        with pytest.raises(DppaError, match=f"cannot be written: .*{place.full}|room for"):
            open_checkpoint(BASE, progress=fill)
        assert WEIGHTS not in named(place.folder)
        place.empty()
        whole(hub)

    forked(run)


def test_files_of_the_cache_that_were_cut_short_are_fetched_again(
    hub: HubServer, tmp_path: Path
) -> None:
    folder = open_checkpoint(BASE).folder
    for name in (WEIGHTS, "config.json"):
        (folder / name).resolve().write_bytes(b"{")
        sent = hub.sent[name]
        whole(hub)
        assert hub.sent[name] > sent
    before = len(hub.requests)
    open_checkpoint(f"{BASE}@{hub.models[BASE].commit}")
    assert len(hub.requests) == before
