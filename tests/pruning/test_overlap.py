"""Elements two models both keep: by hand, against sorting everything, cached, refused."""

import threading
from pathlib import Path

import numpy as np
import pytest

from dppa_core.errors import Cancelled, InvalidValue, MissingCheckpoint, UnknownName
from dppa_core.evaluation.analysis import overlap_pass as joint
from dppa_core.evaluation.analysis.overlap_pass import count_meetings
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.overlap import Meeting, Reach, kept_at, meet, pack_meetings
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.pruning.rate_table import RATES
from dppa_core.pruning.tie_breaking import Cut, mix
from tests.helpers.tiny_models import TinyLlama
from tests.reference import slow

NAMES = ("zoo:math", "zoo:finance", "zoo:law")


def test_the_reach_of_an_element_is_the_number_of_rates_at_which_it_is_kept() -> None:
    hashes = mix(np.arange(5, dtype=np.uint64), 7)
    middle = int(np.sort(hashes[2:4])[1])  # keeps one of the two that are equal
    cuts = [Cut(0.5, 0), Cut(1.0, 2**64 - 1), Cut(1.0, middle), Cut(1.0, 0), Cut(2.0, 0)]
    reach = Reach(cuts, 7).of(np.array([0, 0.5, 1, 1, 3], np.float32), 0)
    tied = sorted(reach[2:4])
    assert reach[:2].tolist() == [0, 0] and tied == [2, 3] and reach[4] == 5


def test_where_nothing_equals_a_threshold_no_order_is_asked_for() -> None:
    cuts = [Cut(1.0, 5), Cut(1.0000001, 0)]
    assert Reach(cuts, 0).of(np.array([1.0000002, 0.9], np.float32), 0).tolist() == [2, 0]


def test_reaches_do_not_depend_on_where_a_tensor_is_cut() -> None:
    rng = np.random.default_rng(0)
    values = (rng.integers(0, 40, 5000) / 8).astype(np.float32)
    cuts = [Cut(k / 8, int(rng.integers(0, 2**63))) for k in range(30)]
    whole = Reach(cuts, 3).of(values, 0)
    parts = [Reach(cuts, 3).of(values[k : k + 999], k) for k in range(0, 5000, 999)]
    assert (np.concatenate(parts) == whole).all()
    order = mix(np.arange(5000, dtype=np.uint64), 3)
    inside = [
        (values > c.threshold) | ((values == c.threshold) & (order < c.tie_cut)) for c in cuts
    ]
    assert (whole == np.sum(inside, axis=0)).all()


def test_a_pair_is_counted_by_the_smaller_reach_and_by_sign() -> None:
    """Reaches (3, 0, 2, 5) and (1, 4, 2, 4): the pair keeps 1, 0, 2 and 4 rates long."""
    first, second = np.array([3, 0, 2, 5], np.uint8), np.array([1, 4, 2, 4], np.uint8)
    counts = meet(first, second, np.array([True, True, False, False]))
    both, opposed = kept_at(counts.sum(axis=0)), kept_at(counts[1])
    assert both[:5].tolist() == [3, 2, 1, 1, 0] and both.size == RATES
    assert opposed[:5].tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("ties", ["exact", "prune"])
def test_counts_are_those_of_sorting_every_module(
    zoo_env: Path, tiny_models: dict[str, TinyLlama], ties: str
) -> None:
    rates = [0, 35, 80, 90, 99]
    meetings = count_meetings("zoo:base", NAMES, PruningParameters(ties=ties))
    weights = {
        name: slow.read(zoo_env / name.removeprefix("zoo:")) for name in ("zoo:base", *NAMES)
    }
    plans = {
        name: slow.plan(weights["zoo:base"], weights[name], [r / 100 for r in rates], ties=ties)
        for name in NAMES
    }
    assert [(meeting.first, meeting.second) for meeting in meetings] == [
        ("zoo:math", "zoo:finance"),
        ("zoo:math", "zoo:law"),
        ("zoo:finance", "zoo:law"),
    ]
    for meeting in meetings:
        for index, (a, b) in enumerate(
            zip(plans[meeting.first], plans[meeting.second], strict=True)
        ):
            for level, rate in enumerate(rates):
                first, second = a.masks[level], b.masks[level]
                both = first & second
                against = both & (np.sign(a.module.d) != np.sign(b.module.d))
                assert meeting.kept[:, index, rate].tolist() == [first.sum(), second.sum()]
                assert meeting.both[index, rate] == both.sum()
                assert meeting.opposed[index, rate] == against.sum()


@pytest.mark.parametrize("significance", ["magnitude", "random"])
def test_what_a_model_keeps_is_what_its_plan_says(zoo_env: Path, significance: str) -> None:
    parameters = PruningParameters(significance=significance, strength=0.2)
    (pair,) = count_meetings("zoo:base", NAMES[:2], parameters)
    if significance == "magnitude":
        plan = plan_pruning(cached_profile("zoo:base", "zoo:math"), (0.8,), parameters)
        assert pair.kept[0, :, 80].tolist() == [module.kept for module in plan.modules]
    assert (pair.both <= pair.kept.min(axis=0)).all() and (pair.opposed <= pair.both).all()
    assert (np.diff(pair.both) <= 0).all() and not pair.both[:, -1].any()


def test_an_override_holds_at_every_rate_and_the_others_make_up_for_it(zoo_env: Path) -> None:
    profile = cached_profile("zoo:base", "zoo:math")
    held = {profile.modules[3].module.name: Override(0.5)}
    (pair,) = count_meetings("zoo:base", NAMES[:2], None, held)
    plan = plan_pruning(profile, (0.8,), overrides=held)
    assert pair.kept[0, :, 80].tolist() == [module.kept for module in plan.modules]
    assert len(set(pair.both[3, 1:])) == 1
    (free,) = count_meetings("zoo:base", NAMES[:2])
    assert (pair.both[:, 0] == free.both[:, 0]).all() and (
        pair.both[:, 80] != free.both[:, 80]
    ).any()
    with pytest.raises(UnknownName, match="no module 'layers.9'"):
        count_meetings("zoo:base", NAMES[:2], None, {"layers.9": Override(0.5)})


def test_pairs_that_were_counted_are_read_again(
    zoo_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = count_meetings("zoo:base", NAMES)
    monkeypatch.setattr(joint, "kept_profile", None)  # nothing can be counted any more
    after = count_meetings("zoo:base", NAMES)
    for first, second in zip(before, after, strict=True):
        assert (first.both == second.both).all() and (first.opposed == second.opposed).all()
        assert (first.kept == second.kept).all()
    with pytest.raises(TypeError):
        count_meetings("zoo:base", NAMES, PruningParameters(strength=0.31))


def test_the_page_gets_shares_of_every_cell(zoo_env: Path) -> None:
    profile = cached_profile("zoo:base", "zoo:math")
    count = len(profile.modules)
    kept = np.zeros((2, count, RATES), np.int64)
    kept[:, 0] = profile.modules[0].numel
    pair = Meeting("a", "b", kept, kept[0], kept[0] // 2)
    (packed,) = pack_meetings(profile, [pair])
    assert packed["both"]["shape"][-1] == RATES and packed["both"]["dtype"] == "f32"
    assert (packed["first"], packed["second"]) == ("a", "b")


def test_counting_can_be_stopped_and_says_how_far_it_is(zoo_env: Path) -> None:
    stop, calls = threading.Event(), []

    def tell(count: int, total: int, text: str) -> None:
        calls.append(text)
        stop.set()

    with pytest.raises(Cancelled):
        count_meetings(
            "zoo:base", NAMES, PruningParameters(strength=0.47), progress=tell, stop=stop
        )
    assert calls


def test_what_is_no_pair_is_refused(zoo_env: Path) -> None:
    with pytest.raises(InvalidValue, match="two or more domain models, got zoo:math"):
        count_meetings("zoo:base", NAMES[:1])
    with pytest.raises(InvalidValue, match="Naming one model twice"):
        count_meetings("zoo:base", ["zoo:math", "zoo:math"])
    with pytest.raises(MissingCheckpoint):
        count_meetings("zoo:base", ["zoo:math", "/no/such/folder"])
