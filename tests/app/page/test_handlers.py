"""Handlers called without a server: notices, ending threads, and event settings."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from components.page.workbench import build_page
from components.server.serving import launch_options
from components.session.presets import first_session, presets
from components.views.controls.models import (
    local_reference,
    named_references,
    with_base,
    with_models,
)
from components.views.controls.prune import with_levels
from components.work import rate_limits as allowance
from components.work.error_notices import NEUTRAL, message, show_errors
from components.work.figures import settings_json, whole_json
from components.work.kinds import CHATS, EXAMS, MODELS, Kind
from components.work.rate_limits import Allowance, Bucket
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core.errors import (
    Cancelled,
    DppaError,
    IncompatibleCheckpoints,
    InvalidValue,
    MissingCheckpoint,
    NotAllowed,
    OutOfBudget,
    UnknownName,
)
from dppa_core.system.recent import Recent
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

PLAIN = SimpleNamespace(query_params={})
"""An address without settings."""


def events(page: gr.Blocks, name: str) -> list[Any]:
    """The events that call the handler of that name."""
    return [fn for fn in page.fns.values() if fn.name == name]


def yielded(page: gr.Blocks, name: str, **values: Any) -> list[dict[Any, Any]]:
    """As `press`: every yield of a handler, or all it returns."""
    (event,) = events(page, name)
    inputs = {
        component: values.get(component.elem_id or "", component.value)
        for component in event.inputs
    }
    result = event.fn(inputs)
    return [result] if isinstance(result, dict) else list(result)


def press(page: gr.Blocks, name: str, **values: Any) -> dict[str, Any]:
    """Call a handler as the page would: inputs not given by elem_id keep their first value.

    Returns outputs by elem_id, merged over all yields; JSON text is parsed.
    """
    parts = [item for part in yielded(page, name, **values) for item in part.items()]
    result = {key: value for key, value in parts if value != gr.skip()}
    return {block.elem_id: _read(value) for block, value in result.items()}


def _read(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith(("{", "[")) else value


# errors become notices


def test_a_foreseen_error_is_shown_as_it_stands_and_as_text() -> None:
    @show_errors
    def handler() -> None:
        raise InvalidValue("the rate <b>1.5</b> is too high")

    with pytest.raises(gr.Error) as caught:
        handler()
    assert caught.value.message == "the rate &lt;b&gt;1.5&lt;/b&gt; is too high"
    assert not caught.value.print_exception


def test_a_command_in_an_error_is_shown_as_code() -> None:
    @show_errors
    def handler() -> None:
        raise InvalidValue("`dppa merge <b>` takes any number, `dppa plan` too")

    with pytest.raises(gr.Error) as caught:
        handler()
    code = "<code>dppa merge &lt;b&gt;</code> takes any number, <code>dppa plan</code> too"
    assert caught.value.message == code


def test_a_bug_is_logged_and_told_neutrally(caplog: pytest.LogCaptureFixture) -> None:
    @show_errors
    def handler() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("secret path")

    with caplog.at_level(logging.ERROR), pytest.raises(gr.Error) as caught:
        list(handler())
    assert caught.value.message == NEUTRAL
    assert "secret path" in caplog.text
    assert message(InvalidValue("mine")) == "mine"


# choices that open files


def test_a_model_that_is_not_there_leaves_the_session_as_it_was(studio: Studio) -> None:
    session = first_session()
    with pytest.raises(MissingCheckpoint):
        with_models(session, ["/no/such/folder"], studio)
    with pytest.raises(InvalidValue, match="already"):
        with_models(session, ["zoo:math"], studio)
    with pytest.raises(InvalidValue, match="base itself"):
        with_models(session, ["zoo:base"], studio)


def test_a_folder_becomes_a_domain_model(studio: Studio, tiny_zoo: Path) -> None:
    folder = str(tiny_zoo / "law")
    assert with_models(first_session(), [folder], studio).models[-1].reference == folder


def test_a_public_page_opens_no_folder(zoo_env: Path) -> None:
    with pytest.raises(NotAllowed):
        with_models(first_session(), [str(zoo_env / "law")], Studio(public=True))


def test_a_domain_model_cannot_be_the_base_as_well(studio: Studio) -> None:
    with pytest.raises(InvalidValue, match="Remove it"):
        with_base(first_session(), "zoo:math", (), studio)


def test_a_base_of_another_family_comes_with_its_models(studio: Studio, tmp_path: Path) -> None:
    wide = random_llama(0, Shape(hidden=64))
    base, tuned = str(wide.save(tmp_path / "base")), str(tuned_llama(wide, 1).save(tmp_path / "my"))
    with pytest.raises(IncompatibleCheckpoints, match="name their base and all"):
        with_base(first_session(), base, (), studio)
    session = with_base(first_session(), *named_references(base, tuned), studio)
    assert session.base == base and [model.reference for model in session.models] == [tuned]
    assert session.recipe().base == base
    with pytest.raises(InvalidValue, match="Remove it"):
        with_base(first_session(), base, (base,), studio)


def test_another_base_keeps_the_rates_and_curves_that_suit_it(
    studio: Studio, tiny_zoo: Path
) -> None:
    module = studio.profile("zoo:base", "zoo:math").modules[-1].module
    math, *others = first_session().models
    session = replace(
        first_session(),
        models=(
            replace(math, curve=((0, 1.0), (module.layer, 0.5))),
            replace(others[0], curve=((0, 1.0), (module.layer + 1, 0.5))),
        ),
        overrides=((module.name, 0.5), ("layers.99.mlp.up_proj", 0.5)),
    )
    after = with_base(session, str(tiny_zoo / "base"), (), studio)
    assert after.models[0].curve == session.models[0].curve and after.models[1].curve == ()
    assert after.overrides == ((module.name, 0.5),)


def test_models_are_named_in_a_list_with_at_most_one_base() -> None:
    assert named_references("", " a , zoo:law") == ("", ("a", "zoo:law"))
    assert named_references("zoo:base", None) == ("zoo:base", ())
    many = ",".join(f"m{n}" for n in range(20))
    wrong = (
        ("", many, "20 domain models"),
        ("", "", "Name a model"),
        ("a, b", "c", "one base"),
        ("", "a,,b", "a name such as"),
    )
    for base, models, says in wrong:
        with pytest.raises(InvalidValue, match=says):
            named_references(base, models)


def test_models_listed_before_keep_their_coefficients_on_another_base(
    studio: Studio, tiny_zoo: Path
) -> None:
    math, *others = first_session().models
    session = replace(first_session(), models=(replace(math, coefficient=0.4), *others))
    after = with_base(session, str(tiny_zoo / "base"), ("zoo:law", "zoo:math"), studio)
    assert [(model.reference, model.coefficient) for model in after.models] == [
        ("zoo:law", others[-1].coefficient),
        ("zoo:math", 0.4),
    ]


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        (None, InvalidValue),
        ("", InvalidValue),
        (3, InvalidValue),
        ("zoo:mathh", UnknownName),
        ("hub:a/b/c", InvalidValue),
        ("hub:acme/not-here@" + "a" * 40, NotAllowed),
    ],
)
def test_a_reference_nobody_can_open_is_refused(
    studio: Studio, reference: object, error: type[DppaError]
) -> None:
    with pytest.raises(error):
        local_reference(reference, studio)


def test_levels_of_ones_own_replace_even_ones_until_their_text_is_empty() -> None:
    session = with_levels(first_session(), "97, 85")
    assert session.levels == (0.97, 0.85)
    assert with_levels(session, " ").shares == ()


# handlers ---------------------------------------------------------------------------------------


def test_a_slider_at_rest_gets_the_exact_plan(page: gr.Blocks) -> None:
    out = press(page, "on_settle", rate=50)
    assert out["exact"]["rate"] == 0.5
    assert out["exact"]["share"] == pytest.approx(0.5, abs=0.01)
    assert len(out["exact"]["recipe"]) == 64


@pytest.mark.parametrize(
    "values",
    [
        {"rate": 150},
        {"rate": None},
        {"rate": "80"},
        {"strength": 2},
        {"partitions": 40},
        {"models": "{}"},
        {"models": None},
        {"amplify": '{"linked": true, "factors": [99]}'},
    ],
)
def test_what_no_slider_can_say_is_told_beside_the_old_numbers(
    page: gr.Blocks, values: dict[str, Any]
) -> None:
    out = press(page, "on_settle", **values)
    assert set(out["exact"]) == {"trouble"} and out["exact"]["trouble"]


def test_opening_sends_tables_and_plan(page: gr.Blocks) -> None:
    (event,) = events(page, "on_open")
    out = {block.elem_id: _read(value) for block, value in event.fn(PLAIN).items()}
    assert set(out) == {"plots", "exact"}
    assert out["exact"]["adopt"] is True


def test_opening_without_models_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DPPA_ZOO", str(tmp_path))
    (event,) = events(build_page(Studio(public=False)), "on_open")
    out = {block.elem_id: _read(value) for block, value in event.fn(PLAIN).items()}
    assert "zoo:" in out["exact"]["trouble"]


@pytest.mark.parametrize("name", ["on_status", "on_tick"])
def test_a_public_page_tells_nobody_what_others_have_loaded(
    name: str, zoo_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = (("zoo:finance", "44cb05a1b2c3"), 5)
    monkeypatch.setattr(Studio, "in_memory", lambda _self: memory)
    for public in (True, False):
        (event,) = events(build_page(Studio(public=public)), name)
        status = next(text for part, text in event.fn().items() if part.elem_id == "status")
        assert ("loaded" in json.loads(status)) is not public, "one's own copy shows its memory"


def test_a_preset_sets_every_control(page: gr.Blocks) -> None:
    out = press(page, "on_preset", preset=json.dumps({"chosen": "Everything kept: plain sum"}))
    assert out["rate"] == 0 and out["partitions"] == 1
    assert out["exact"]["share"] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("text", ["80, 95", "120", "abc", "99.5"])
def test_impossible_levels_are_told_at_their_box_and_change_nothing(
    page: gr.Blocks, text: str
) -> None:
    out = press(page, "on_levels", levels=text)
    assert set(out) == {"levels-note"} and out["levels-note"]["text"] == text
    assert "1 to 4 pruning rates in percent" in out["levels-note"]["problem"]


def test_levels_that_can_be_set_every_control(page: gr.Blocks) -> None:
    out = press(page, "on_levels", levels="97, 85")
    assert out["rate"] == 85 and out["partitions"] == 2
    assert out["levels-note"] == "null"
    assert out["exact"]["adopt"] is True


def test_a_model_just_added_is_the_one_that_is_drawn(page: gr.Blocks, tiny_zoo: Path) -> None:
    folder = str(tiny_zoo / "law")
    out = press(page, "on_use", reference=folder)
    assert out["plots"]["look"] == folder and folder in out["plots"]["tables"]


def test_a_model_in_the_list_is_refused_before_any_check_is_shown(page: gr.Blocks) -> None:
    (event,) = events(page, "on_use")
    inputs = {
        component: "zoo:math" if component.elem_id == "reference" else component.value
        for component in event.inputs
    }
    steps = event.fn(inputs)
    (cleared,) = next(steps).values()
    assert json.loads(cleared) is None
    with pytest.raises(gr.Error, match="in the list already"):
        next(steps)


def test_the_yield_that_gradio_sends_twice_undoes_nothing(page: gr.Blocks, tiny_zoo: Path) -> None:
    *_, adding, again = yielded(page, "on_use", reference=str(tiny_zoo / "law"))
    assert len(adding) > 5 and list(again.values()) == [gr.skip()]


def test_the_browser_knows_where_every_preset_puts_the_controls(page: gr.Blocks) -> None:
    (note,) = [b for b in page.blocks.values() if b.elem_id == "preset"]
    wholes = json.loads(note.value)["wholes"]
    assert set(wholes) == set(presets())
    assert wholes[next(iter(presets()))] == whole_json(first_session())


def method_choice(method: str, **more: Any) -> str:
    return json.dumps({"method": method, **more})


def test_another_method_gets_tables_and_numbers_of_its_own(page: gr.Blocks) -> None:
    owl = press(page, "on_method", method=method_choice("owl"))
    assert owl["plots"]["settings"]["pruning"][0] == "owl" and owl["exact"]["plans"]
    ties = press(page, "on_method", method=method_choice("ties"))
    assert ties["exact"]["plans"] == {} and ties["exact"]["share"] == 1
    assert ties["plots"]["tables"] and ties["exact"]["recipe"] != owl["exact"]["recipe"]
    staged = press(page, "on_method", method=method_choice("ties", prune_first=True))
    assert staged["exact"]["share"] == pytest.approx(0.2, abs=0.01)
    dare = press(page, "on_method", method=method_choice("dare"), rate=60)
    assert dare["exact"]["share"] == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize(
    "value",
    ["", "{}", method_choice("tiess"), method_choice("ties", values={"density": 7}), None, 3],
)
def test_a_method_no_form_can_say_is_told_beside_the_old_numbers(
    page: gr.Blocks, value: object
) -> None:
    for handler in ("on_method", "on_settle"):
        out = press(page, handler, method=value)
        assert set(out) == {"exact"} and out["exact"]["trouble"]


def test_models_a_method_cannot_take_are_told_and_nothing_is_merged(page: gr.Blocks) -> None:
    out = press(page, "on_settle", method=method_choice("slerp"))
    assert out["exact"]["recipe"] == "" and "one other" in out["exact"]["problem"]
    low = press(page, "on_settle", method=method_choice("darex_q"), rate=50)
    assert low["exact"]["recipe"] == "" and "q must be at least" in low["exact"]["problem"]


def test_a_merge_tells_what_it_did_and_leaves_it_for_the_next(
    page: gr.Blocks, one_torch_thread: None
) -> None:
    (event,) = events(page, "on_merge")
    choice = method_choice("ties")
    inputs = {b: choice if b.elem_id == "method" else b.value for b in event.inputs}
    *_, last = event.fn(inputs)
    (value,) = (_read(value) for value in last.values())
    assert value["merged"] and value["outcome"]["models"] == ["zoo:math", "zoo:finance", "zoo:law"]
    for _, _, changed, mean, along in value["outcome"]["cells"]:
        assert 0 < changed <= 1 and mean > 0 and len(along) == 3
    again = press(page, "on_settle", method=choice)
    assert again["exact"]["outcome"] == value["outcome"]
    update = press(page, "on_settle", method=method_choice("ties", values={"density": 0.3}))
    assert update["exact"]["outcome"] is None


def test_the_method_travels_with_every_control(page: gr.Blocks) -> None:
    out = press(page, "on_preset", preset=json.dumps({"chosen": list(presets())[-1]}))
    assert out["method"] == {"method": "dppa", "values": {}, "prune_first": False}


# how events are set up


def test_moving_sliders_skip_the_queue_and_end_on_the_last_value(page: gr.Blocks) -> None:
    for name in ("on_settle", "on_strength", "on_partitions", "on_method"):
        (event,) = events(page, name)
        assert event.queue is False and event.trigger_mode == "always_last"
        assert event.show_progress == "hidden"


def test_models_work_one_at_a_time(page: gr.Blocks) -> None:
    kinds = {name: MODELS.name for name in ("on_use", "on_merge")}
    kinds |= {
        name: EXAMS.name for name in ("on_score", "on_compare", "on_spectrum", "on_attribute")
    }  # minutes, not s
    for name, kind in kinds.items():
        (event,) = events(page, name)
        assert event.queue is not False
        assert (event.concurrency_id, event.concurrency_limit) == (kind, 1)


def test_many_questions_are_answered_at_the_same_time(page: gr.Blocks) -> None:
    (event,) = events(page, "on_ask")
    assert event.queue is not False
    assert (event.concurrency_id, event.concurrency_limit) == (CHATS.name, CHATS.at_once)


def test_every_event_is_private_and_takes_its_inputs_by_name(page: gr.Blocks) -> None:
    for event in page.fns.values():
        if event.api_visibility == "public" and not event.targets:
            continue  # an endpoint for programs
        assert event.api_visibility == "private", event.name
        assert not event.inputs or event.fn is None or event.inputs_as_dict, event.name


def test_the_browser_listens_before_the_server(page: gr.Blocks) -> None:
    components: set[Any] = set()
    for event in page.fns.values():
        for target in event.targets:
            if event.fn is not None and target[1] == "change":
                assert target in components, "a listener of the server stands before the browser's"
            if event.fn is None:
                components.add(target)


def test_the_page_keeps_no_history_and_loads_nothing_from_elsewhere() -> None:
    options = launch_options()
    assert options["run_history"] is False and options["enable_monitoring"] is False
    assert options["footer_links"] == [] and options["ssr_mode"] is False
    assert options["max_file_size"] == "1kb" and "allowed_paths" not in options


# threads ----------------------------------------------------------------------------------------

WAIT = Kind("wait", None)


def test_a_job_hands_over_everything_in_order(studio: Studio) -> None:
    job = studio.start(WAIT, lambda emit, _stop: [emit((n,)) for n in range(5)] and None)
    assert [event for batch in job.batches(0.01) for event in batch] == [(n,) for n in range(5)]
    assert job.error is None


def test_the_end_of_a_job_is_told_at_once(studio: Studio) -> None:
    begun = time.monotonic()
    for work in (lambda emit, _stop: emit((1,)), lambda _emit, _stop: time.sleep(0.05)):
        list(studio.start(WAIT, work).batches(every=10))
    assert time.monotonic() - begun < 5


def test_closing_ends_the_work(studio: Studio) -> None:
    ended = threading.Event()

    def work(emit: Any, stop: threading.Event) -> None:
        emit(("begun",))
        stop.wait(20)
        ended.set()

    batches = studio.start(WAIT, work).batches(0.01)
    while not next(batches):
        pass
    batches.close()  # type: ignore[attr-defined]
    assert ended.wait(2)


@pytest.mark.parametrize("public", [True, False])
def test_work_of_strangers_has_an_end_and_ones_own_has_none(public: bool) -> None:

    def work(_emit: Any, stop: threading.Event) -> None:
        if stop.wait(0.5):
            raise Cancelled("stopped")

    job = Studio(public=public).start(replace(WAIT, seconds=0.05), work)
    list(job.batches(0.01))
    assert isinstance(job.error, OutOfBudget) if public else job.error is None


def test_an_error_in_a_job_is_kept_for_its_owner(studio: Studio) -> None:
    def work(_emit: Any, _stop: Any) -> None:
        raise Cancelled("stopped")

    job = studio.start(WAIT, work)
    assert list(job.batches(0.01)) is not None
    assert isinstance(job.error, Cancelled)


def test_scores_are_kept_for_unchanged_models(studio: Studio, one_torch_thread: None) -> None:
    first = studio.score("zoo:base", "math", 2, None)
    begin = time.monotonic()
    assert studio.score("zoo:base", "math", 2, None) == first
    assert time.monotonic() - begin < 0.5


def test_the_least_recently_used_leaves_first() -> None:
    recent = Recent(2)
    for key in ("a", "b"):
        recent.keep(key, key)
    recent.find("a")
    recent.keep("c", "c")
    assert [recent.find(key) for key in ("a", "b", "c")] == ["a", None, "c"]


def test_a_bucket_is_per_visitor_and_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(allowance, "time", SimpleNamespace(monotonic=lambda: now[0]))
    bucket = Bucket(most=5, a_second=2)
    first, second = Visitor("one"), Visitor("other")
    assert [bucket.take(first) for _ in range(7)] == [True] * 5 + [False] * 2
    assert bucket.take(second)
    now[0] += 1.1
    assert [bucket.take(first) for _ in range(3)] == [True, True, False]
    now[0] += 3600
    assert [bucket.take(first) for _ in range(7)] == [True] * 5 + [False] * 2
    made_up = [bucket.take(Visitor(f"{number}", "203.0.113.7")) for number in range(25)]
    assert made_up == [True] * 20 + [False] * 5, "tabs of one address share four times as many"


def test_an_allowance_is_per_visitor_and_comes_back() -> None:
    left = Allowance(100, seconds=0.05)
    first, second = Visitor("one"), Visitor("two")
    left.spend(first, 100)
    left.spend(second, 100)
    with pytest.raises(OutOfBudget):
        left.spend(first, 1)
    time.sleep(0.06)
    left.spend(first, 1)


def test_tabs_of_one_address_share_an_allowance() -> None:
    left = Allowance(100)
    for number in range(4):
        left.spend(Visitor(f"{number}", "203.0.113.7"), 100)
    with pytest.raises(OutOfBudget):
        left.spend(Visitor("made up", "203.0.113.7"), 1)
    left.spend(Visitor("honest", "198.51.100.9"), 100)


# conflict is counted on request


def test_pairs_of_the_models_that_take_part_are_counted(page: gr.Blocks) -> None:
    value = press(page, "on_count")["conflict"]
    names = [model.reference for model in first_session().models]
    assert value["models"] == names
    assert [(pair["first"], pair["second"]) for pair in value["pairs"]] == [
        (names[0], names[1]),
        (names[0], names[2]),
        (names[1], names[2]),
    ]
    assert value["settings"] == settings_json(first_session())


def test_one_model_alone_meets_nobody(page: gr.Blocks) -> None:
    state = {"base": "zoo:base", "models": [{"ref": "zoo:math", "on": True, "coefficient": 1}]}
    assert press(page, "on_count", models=json.dumps(state))["conflict"]["pairs"] == []


def test_a_model_that_cannot_be_counted_is_named(page: gr.Blocks) -> None:
    rows = [{"ref": name, "on": True, "coefficient": 1} for name in ("zoo:math", "/no/such")]
    with pytest.raises(gr.Error, match="/no/such"):
        press(page, "on_count", models=json.dumps({"base": "zoo:base", "models": rows}))
