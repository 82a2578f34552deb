"""The comparison view without a browser: valid comparisons, kept results."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.session.presets import first_session
from components.session.session import ModelChoice, Session
from components.session.state import state_of
from components.views.see import compare
from components.views.see.compare import Pair, Side, comparison_value, read_pair
from components.work.kinds import COMPARE
from components.work.progress_stream import stream_run
from components.work.studio import Studio
from dppa_core.errors import Cancelled, InvalidValue, NotAllowed
from dppa_core.evaluation.diff import cells as cell_diff
from dppa_core.system.recent import Recent

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SESSION = Session(models=(ModelChoice("zoo:math"), ModelChoice("zoo:law")))
OTHER_SLOT = replace(SESSION, rate=0.5)
SLOTS = {"first": "merged", "second": "other", "slot": "B", "other": state_of(OTHER_SLOT)}


@pytest.fixture
def studio(zoo_env: Path) -> Iterator[Studio]:
    yield Studio(public=True)


def ends(pair: Pair, studio: Studio, cache: Recent | None = None) -> dict[str, Any]:
    kept = cache or Recent(4)
    return list(stream_run(studio, COMPARE, partial(comparison_value, pair, studio, kept)))[-1]


def test_base_and_domain_model_and_merges_may_be_compared() -> None:
    pair = read_pair(SLOTS, SESSION)
    assert (pair.sides[0].target, pair.sides[1].target) == (SESSION.recipe(), OTHER_SLOT.recipe())
    assert pair.sides[1].label == "the merge in slot B"
    pair = read_pair({"first": "zoo:base", "second": "zoo:law"}, SESSION)
    assert [side.label for side in pair.sides] == ["base", "law"]
    assert pair.base == "zoo:base"


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (None, "Choose two to compare, got None"),
        ({"first": "merged"}, "None cannot be compared here. Allowed are merged, other, zoo:base"),
        ({"first": "merged", "second": "/etc"}, "'/etc' cannot be compared here"),
        ({"first": "merged", "second": ["zoo:law"]}, "cannot be compared here"),
        ({"first": "merged", "second": "other"}, "The other slot is empty"),
        ({"first": "merged", "second": "other", "slot": "B", "other": 3}, "A state is a mapping"),
        ({"first": "zoo:law", "second": "zoo:law"}, "You chose law twice. Choose two"),
    ],
)
def test_what_a_browser_sends_is_checked(choice: object, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        read_pair(choice, SESSION)


def test_a_slot_that_did_not_move_or_has_another_base_is_named() -> None:
    with pytest.raises(InvalidValue, match="The merge and the merge in slot B are the same merge"):
        read_pair(SLOTS | {"other": state_of(SESSION)}, SESSION)
    on_law = Session(base="zoo:law", models=(ModelChoice("zoo:math"),))
    with pytest.raises(InvalidValue, match="has the base zoo:law, the models here zoo:base"):
        read_pair(SLOTS | {"other": state_of(on_law)}, SESSION)


def test_the_base_and_a_domain_model(studio: Studio) -> None:
    pair = read_pair({"first": "zoo:base", "second": "zoo:law"}, SESSION)
    end = ends(pair, studio)
    assert end["state"] == "done"
    result = end["result"]
    assert result["settings"] is None and len(result["cells"]) == 14
    cell = result["cells"][0]
    assert cell["over_base"] == cell["relative"] and cell["delta_cosine"] is None
    assert cell["first_only"] == 0 and cell["second_only"] == cell["changed"]


def test_two_merges_and_the_settings_they_differ_in(studio: Studio) -> None:
    result = ends(read_pair(SLOTS, SESSION), studio)["result"]
    assert result["settings"] == [
        "math: pruning rates 90 %, 80 % → 75 %, 50 %",
        "law: pruning rates 90 %, 80 % → 75 %, 50 %",
    ]
    assert result["modules"]["second_only"] > 0.05
    assert {side["recipe"] for side in result["sides"]} != {""}


def test_what_was_compared_once_is_not_read_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, pair = Recent(4), read_pair({"first": "zoo:math", "second": "merged"}, SESSION)
    first = ends(pair, studio, cache)
    monkeypatch.setattr(cell_diff, "diff_cells", None)  # must not be needed
    assert ends(pair, studio, cache)["result"] == first["result"]


def test_two_merges_that_do_not_fit_together_are_refused(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with studio.lend(SESSION.recipe(), None, None) as resident:
        size = resident.nbytes
    monkeypatch.setattr(compare, "byte_budget", lambda *, public: 2 * size - 1)
    end = ends(read_pair(SLOTS, SESSION), studio)
    assert end["state"] == "failed" and "Two merges of these models need" in end["note"]
    alone = read_pair({"first": "merged", "second": "zoo:law"}, SESSION)
    assert ends(alone, studio)["state"] == "done"


def test_it_can_be_stopped(studio: Studio) -> None:
    stop = threading.Event()
    stop.set()
    pair = read_pair({"first": "zoo:base", "second": "zoo:law"}, first_session())
    with pytest.raises(Cancelled):
        comparison_value(pair, studio, Recent(4), lambda *step: None, stop)


def test_strangers_compare_no_folder(studio: Studio, zoo_env: Path) -> None:
    folder = str(zoo_env / "math")
    pair = Pair((Side("base", "zoo:base"), Side("math", folder)), "zoo:base")
    with pytest.raises(NotAllowed):
        comparison_value(pair, studio, Recent(4), lambda *step: None, threading.Event())
