"""Files on offer: limited, private to a visitor, expiring; and how they are sent."""

import gc
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from components.server.serving import start
from components.server.settings import Settings
from components.work.downloads.files import ExportedFile, Exports
from components.work.downloads.limits import LOCAL, PUBLIC, Limits
from components.work.downloads.route import address_of, download_route
from components.work.visitor import Visitor
from dppa_core.errors import OutOfBudget

ADA, EVE, BOB = Visitor("ada"), Visitor("eve"), Visitor("bob")

SMALL = Limits(files=2, total=1000, hourly=2000, hourly_total=3000, seconds=60, downloads=2)


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    return Exports(SMALL, tmp_path)


def put(exports: Exports, visitor: Visitor, size: int = 100, name: str = "a.zip") -> ExportedFile:
    """Make one file, next to a half-made one."""
    with exports.room(visitor, size) as room:
        path = room.folder / name
        path.write_bytes(b"x" * size)
        (room.folder / "half").mkdir()
        (room.folder / "half" / "rest").write_bytes(b"y")
        return exports.offer(visitor, room, path, "0" * 64)


def left(tmp_path: Path) -> list[str]:
    """Every file below the folder of the exports."""
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


def test_nothing_is_made_before_something_is_asked_for(exports: Exports, tmp_path: Path) -> None:
    assert exports.offers() == () and list(tmp_path.iterdir()) == []


def test_what_was_made_stays_and_what_lay_beside_it_goes(exports: Exports, tmp_path: Path) -> None:
    offer = put(exports, ADA)
    assert left(tmp_path) == ["a.zip"]
    assert exports.offers(ADA) == (offer,) and exports.offers(EVE) == ()
    assert offer.nbytes == 100 and exports.nbytes == 100


def test_closing_leaves_no_folder(exports: Exports, tmp_path: Path) -> None:
    exports.close()
    put(exports, ADA)
    exports.close()
    assert list(tmp_path.iterdir()) == [] and exports.offers() == ()


def test_neighbours_who_call_without_a_tab_see_no_files_of_each_other(exports: Exports) -> None:
    """All calls from one address are one visitor, and the list holds files' secret words."""
    neighbour = Visitor("", "203.0.113.7")
    made = put(exports, neighbour)
    assert exports.offers(neighbour) == () and exports.offers() == (made,)
    assert exports.fetch(made.word) is made


def test_a_room_that_made_nothing_leaves_nothing(exports: Exports, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exports.room(ADA, 10) as room:
        (room.folder / "half").write_bytes(b"x")
        raise ZeroDivisionError
    assert left(tmp_path) == [] and exports.nbytes == 0


def test_the_oldest_file_of_a_visitor_makes_room(exports: Exports, tmp_path: Path) -> None:
    first = put(exports, ADA, name="1.zip")
    other = put(exports, EVE, name="eve.zip")
    put(exports, ADA, name="2.zip")
    put(exports, ADA, name="3.zip")
    assert [one.path.name for one in exports.offers(ADA)] == ["3.zip", "2.zip"]
    assert exports.fetch(first.word) is None and exports.fetch(other.word) is other
    assert left(tmp_path) == ["2.zip", "3.zip", "eve.zip"]


def test_all_files_together_stay_below_the_limit(exports: Exports) -> None:
    exports.fetch(put(exports, ADA, 600).word)
    with pytest.raises(OutOfBudget, match="no room for 500 bytes now"):
        put(exports, EVE, 500)
    with exports.room(EVE, 400), pytest.raises(OutOfBudget, match="no room"):
        put(exports, BOB, 10)  # what is being made counts as well
    put(exports, BOB, 10)


def test_where_all_is_full_goes_what_was_never_fetched_of_who_has_most(tmp_path: Path) -> None:
    exports = Exports(replace(SMALL, files=9, hourly=9000, hourly_total=9000), tmp_path)
    first = put(exports, BOB, 200)
    fetched = put(exports, Visitor("1", "203.0.113.7"), 200)
    exports.fetch(fetched.word)
    vanished = [put(exports, Visitor(f"{n}", "203.0.113.7"), 200) for n in (2, 3, 4)]
    newest = put(exports, EVE, 200)
    assert set(exports.offers()) == {first, fetched, *vanished[1:], newest}


def test_a_party_has_four_times_as_many_files_as_a_tab(tmp_path: Path) -> None:
    exports = Exports(replace(SMALL, total=9000, hourly=9000, hourly_total=9000), tmp_path)
    made = [put(exports, Visitor(f"{n}", "203.0.113.7")) for n in range(9)]
    assert set(exports.offers()) == set(made[1:])


def test_an_hour_has_an_end_for_one_visitor_and_for_all(tmp_path: Path) -> None:
    exports = Exports(replace(SMALL, files=1, total=5000), tmp_path)
    for _ in range(2):
        put(exports, ADA, 900)
    with pytest.raises(OutOfBudget, match="for a visitor"):
        put(exports, ADA, 900)
    put(exports, EVE, 900)
    with pytest.raises(OutOfBudget, match="all visitors together"):
        put(exports, BOB, 900)


def test_files_go_after_their_time_though_nobody_asks(tmp_path: Path) -> None:
    exports = Exports(replace(SMALL, seconds=0.05), tmp_path)
    word = put(exports, ADA).word
    end = time.monotonic() + 20
    while left(tmp_path) and time.monotonic() < end:
        time.sleep(0.05)
    assert left(tmp_path) == []
    assert exports.fetch(word) is None


def test_only_its_owner_removes_a_file(exports: Exports, tmp_path: Path) -> None:
    word = put(exports, ADA).word
    exports.forget(EVE, word)
    assert left(tmp_path) == ["a.zip"]
    exports.forget(ADA, word)
    assert left(tmp_path) == []


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_kept(
    exports: Exports, tmp_path: Path
) -> None:
    dead = tmp_path / "dppa-export-killed_1"
    dead.mkdir()
    (dead / "big.zip").write_bytes(b"x")
    put(exports, ADA)
    assert not dead.exists()
    other = Exports(SMALL, tmp_path)
    put(other, EVE, name="eve.zip")
    assert left(tmp_path) == ["a.zip", "eve.zip"]


def test_a_start_removes_what_a_killed_process_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("sys.setswitchinterval", lambda _: None)
    (tmp_path / "dppa-export-killed_1").mkdir()
    (tmp_path / "dppa-export-killed_1" / "big.zip").write_bytes(b"x")
    page: Any = SimpleNamespace(
        studio=SimpleNamespace(public=True), exports=None, launch=lambda **_: (None, "here", None)
    )
    start(page, Settings(warm=False))
    for thread in threading.enumerate():
        if thread.name == "dppa-sweep":
            thread.join()
    assert left(tmp_path) == []


def test_the_folder_goes_with_its_owner_and_is_nobody_elses(tmp_path: Path) -> None:
    exports = Exports(SMALL, tmp_path)
    put(exports, ADA)
    (folder,) = tmp_path.iterdir()
    assert os.stat(folder).st_mode & 0o077 == 0
    del exports  # as when the process ends
    until = time.monotonic() + 10
    while list(tmp_path.iterdir()) and time.monotonic() < until:
        gc.collect()  # does nothing while another thread collects
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_strangers_have_less_than_the_owner_of_the_machine() -> None:
    assert PUBLIC.seconds < LOCAL.seconds and PUBLIC.total < LOCAL.total
    assert PUBLIC.hourly <= PUBLIC.hourly_total < LOCAL.hourly
    assert PUBLIC.files < LOCAL.files and PUBLIC.downloads < LOCAL.downloads


# how they leave -----------------------------------------------------------------------------------


@pytest.fixture
def client(exports: Exports) -> TestClient:
    return TestClient(Starlette(routes=[download_route(exports)]))


def test_a_file_is_fetched_by_its_word_and_saved_not_shown(
    exports: Exports, client: TestClient
) -> None:
    offer = put(exports, ADA, name="report.html")
    answer = client.get("/" + address_of(offer.word))
    assert answer.status_code == 200 and answer.content == b"x" * 100
    assert answer.headers["content-disposition"] == 'attachment; filename="report.html"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert len(offer.word) >= 43  # 256 bits


def test_a_file_is_fetched_a_few_times_and_asking_for_its_size_is_none(
    exports: Exports, client: TestClient
) -> None:
    address = "/" + address_of(put(exports, ADA).word)
    assert [client.head(address).status_code for _ in range(5)] == [200] * 5
    assert [client.get(address).status_code for _ in range(3)] == [200, 200, 404]


@pytest.mark.parametrize(
    "word", ["", "x", "..", "%2e%2e%2fapp.py", "../../app.py", "%2Fetc%2Fpasswd", "a.zip"]
)
def test_no_other_word_and_no_path_gives_anything(
    exports: Exports, client: TestClient, word: str
) -> None:
    put(exports, ADA)
    answer = client.get("/export/" + word)
    assert answer.status_code == 404 and b"import" not in answer.content
