"""Exports: the same files as `dppa merge`, announced first; stopping leaves nothing."""

import json
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from components.page.workbench import build_page
from components.session.method_choice import MethodChoice
from components.session.presets import first_session
from components.session.session import ModelChoice
from components.views.export import export as making
from components.views.export.export import card_preview, files_value, stream_making
from components.views.export.export_values import (
    bytes_of,
    export_value,
    kept_shares,
    mergekit_value,
    needed_bytes,
    read_facts,
)
from components.views.export.export_work import MAKERS, ExportWork, make_file, zip_folder
from components.views.see.see import plots_payload
from components.work.downloads.files import Exports
from components.work.downloads.limits import LOCAL
from components.work.kinds import EXPORT, EXPORTS
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core.errors import Cancelled, DppaError, NotAllowed, OutOfBudget, UnknownName
from dppa_core.merging.lora.to_lora import merge_to_lora
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    parse_recipe,
    recipe_hash,
    short_hash,
)
from tests.helpers.command import Command
from tests.helpers.low_bit_models import FORMS, READ_ONLY, save
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

ADA = Visitor("ada")


@pytest.fixture
def studio(zoo_env: Path) -> Studio:
    return Studio(public=True)


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    (tmp_path / "made").mkdir()
    return Exports(LOCAL, tmp_path / "made")


def left(tmp_path: Path) -> list[str]:
    """Names of files there are; while a folder is being removed, `rglob` would fail."""
    return sorted(name for *_, names in os.walk(tmp_path / "made") for name in names)


def make(
    recipe: MergeRecipe, kind: str, exports: Exports, studio: Studio
) -> tuple[Path, list[Any]]:
    """Make a file of a kind; its path, and its progress."""
    events: list[Any] = []
    work = ExportWork(studio.public, lambda *step: events.append(step), threading.Event())
    make_file(recipe, kind, ADA, exports, work)
    return exports.offers(ADA)[0].path, events


def test_a_checkpoint_is_what_dppa_merge_writes(
    exports: Exports, studio: Studio, tmp_path: Path
) -> None:
    recipe = first_session().recipe()
    path, events = make(recipe, "checkpoint", exports, studio)
    merge_to_folder(recipe, tmp_path / "merged")
    with zipfile.ZipFile(path) as archive:
        top = f"dppa-{short_hash(recipe)}/"
        files = {name.removeprefix(top): archive.read(name) for name in archive.namelist()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "merged").iterdir()}
    assert {"model.safetensors", "recipe.yaml", "README.md", "tokenizer.json"} <= set(files)
    assert left(tmp_path) == [path.name]
    shares = [share for _, share in events if share is not None]
    assert shares == sorted(shares) and shares[-1] == 1


def test_the_same_recipe_gives_the_same_zip(exports: Exports, studio: Studio) -> None:
    recipe = first_session().recipe()
    for kind in MAKERS:
        first, _ = make(recipe, kind, exports, studio)
        two, _ = make(recipe, kind, exports, studio)
        assert first != two and first.read_bytes() == two.read_bytes()
        assert len({o.sha256 for o in exports.offers(ADA) if o.path.name == first.name}) == 1


def test_packs_are_those_of_dppa_pack(
    exports: Exports, studio: Studio, dppa: Command, tmp_path: Path
) -> None:
    recipe = first_session().recipe()
    path, _ = make(recipe, "packs", exports, studio)
    with zipfile.ZipFile(path) as archive:
        files = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}
    (tmp_path / "recipe.yaml").write_bytes(files.pop("recipe.yaml"))
    assert dppa("pack", tmp_path / "recipe.yaml", "--out", tmp_path / "packs") == 0
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "packs").iterdir()}
    assert set(files) == {"math.safetensors", "finance.safetensors", "law.safetensors"}


def test_an_adapter_is_that_of_dppa_pack_and_keeps_what_the_pane_says(
    exports: Exports, studio: Studio, dppa: Command, tmp_path: Path
) -> None:
    recipe = first_session().recipe()
    facts = read_facts(recipe, public=True)
    kept = kept_shares(facts, public=True)
    offer = export_value(facts, recipe, public=True, kept=kept)["files"]["adapter"]
    assert [choice["rank"] for choice in offer["ranks"]] == [4, 8, 16]
    work = ExportWork(True, lambda *_: None, None, rank=8)
    make_file(recipe, "adapter", ADA, exports, work)
    path = exports.offers(ADA)[0].path
    with zipfile.ZipFile(path) as archive:
        files = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}
    (tmp_path / "recipe.yaml").write_bytes(files["recipe.yaml"])
    words = ("pack", tmp_path / "recipe.yaml", "--out", tmp_path / "F", "--format", "lora")
    assert dppa(*words, "--rank", 8, "--json") == 0
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "F").iterdir()}
    adapter = dppa.json["adapter"]
    assert adapter["energy"] == pytest.approx(kept[7], abs=1e-4)
    assert offer["ranks"][1]["label"] == f"8, keeps {100 * kept[7]:.3g}\u202f%"
    assert bytes_of(facts, "adapter", 8) == adapter["nbytes"]
    assert path.stat().st_size + adapter["nbytes"] <= needed_bytes(facts, "adapter", 8)


def test_a_merge_of_adapters_is_offered_exactly_first(zoo_env: Path, tmp_path: Path) -> None:
    parts = (DomainModel("zoo:math"),), (DomainModel("zoo:law"),)
    for number, part in enumerate(parts):
        alone = MergeRecipe("zoo:base", part, "task_arithmetic")
        merge_to_lora(alone, tmp_path / f"{number}", rank=6, sync=False)
    models = tuple(DomainModel(f"zoo:base+{tmp_path / name}") for name in ("0", "1"))
    recipe = MergeRecipe("zoo:base", models, "task_arithmetic")
    facts = read_facts(recipe, public=False)
    kept = kept_shares(facts, public=False)
    offer = export_value(facts, recipe, public=False, kept=kept)["files"]["adapter"]
    assert [choice["rank"] for choice in offer["ranks"]] == [0, 4, 8]
    assert offer["ranks"][0]["label"] == "12, exact" and kept[11] == pytest.approx(1)
    about = merge_to_lora(recipe, tmp_path / "both", rank=4, sync=False)
    assert about.energy == pytest.approx(kept[3], abs=1e-4)
    assert bytes_of(facts, "adapter") == merge_to_lora(recipe, tmp_path / "exact").nbytes


def test_sizes_are_told_before_and_hold(exports: Exports, studio: Studio) -> None:
    recipe = first_session().recipe()
    facts = read_facts(recipe, public=True)
    path, _ = make(recipe, "checkpoint", exports, studio)
    size = path.stat().st_size
    assert 0.8 * size < bytes_of(facts, "checkpoint") < 1.25 * size
    assert size <= needed_bytes(facts, "checkpoint")
    packs, _ = make(recipe, "packs", exports, studio)
    assert packs.stat().st_size <= needed_bytes(facts, "packs")
    weights = sum(
        info.file_size
        for info in zipfile.ZipFile(packs).infolist()
        if info.filename.endswith(".safetensors")
    )
    assert weights <= bytes_of(facts, "packs") + 3 * 8192  # headers, which are large here


@pytest.mark.parametrize("store", ["low_rank(rank=4)", "bits(bits=1)", "sparse(rate=0.95)"])
def test_a_pack_of_a_form_has_the_bytes_of_that_form(
    exports: Exports, studio: Studio, store: str
) -> None:
    kept = DomainModel(f"kept:{store} of zoo:math on zoo:base", coefficient=1.5)
    recipe = MergeRecipe("zoo:base", (kept,), "task_arithmetic")
    facts = read_facts(recipe, public=True)
    packs, _ = make(recipe, "packs", exports, studio)
    file = next(f for f in zipfile.ZipFile(packs).infolist() if f.filename.endswith(".safetensors"))
    header = int.from_bytes(zipfile.ZipFile(packs).read(file)[:8], "little") + 8
    assert bytes_of(facts, "packs") == file.file_size - header
    size = export_value(facts, recipe, public=True)["files"]["packs"]["size"]
    assert size == in_bytes(bytes_of(facts, "packs"))  # no "at most"
    pruned = replace(recipe, method="dppa")
    assert bytes_of(read_facts(pruned, public=True), "packs") > bytes_of(facts, "packs")


def test_the_pane_tells_what_there_is(studio: Studio) -> None:
    recipe = first_session().recipe()
    value = export_value(read_facts(recipe, public=True), recipe, public=True)
    json.dumps(value, allow_nan=False)
    assert value["recipe"] == recipe_hash(recipe)
    assert parse_recipe(value["texts"]["recipe"]["text"]) == recipe
    assert value["files"]["packs"]["size"].startswith("at most ")
    assert "DPPA" in value["texts"]["mergekit"]["reason"] and not value["texts"]["mergekit"]["text"]
    assert value["texts"]["card"]["text"].startswith("---\n")


def test_a_method_that_combines_has_no_packs_and_says_why(studio: Studio) -> None:
    recipe = replace(first_session(), method=MethodChoice("ties")).recipe()
    value = export_value(read_facts(recipe, public=True), recipe, public=True)
    assert "has no pack of a single one" in value["files"]["packs"]["reason"]
    assert not value["files"]["checkpoint"]["reason"]


def test_mergekit_gets_its_own_words_and_no_path_of_a_public_server(studio: Studio) -> None:
    recipe = MergeRecipe(base="zoo:base", models=(DomainModel("zoo:math"),), method="linear")
    public = mergekit_value(recipe, {}, public=True)
    assert "model: assets/zoo/math" in public["text"] and "assets/zoo" in public["notes"][-1]
    local = mergekit_value(recipe, {}, public=False)
    assert str(Path("assets/zoo")) not in local["text"].replace("\\", "/") or local["text"]
    assert local["notes"] == []


# stopped, refused ---------------------------------------------------------------------------------


class After:
    """A stop that is set after a number of checks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("kind", MAKERS)
def test_stopped_anywhere_nothing_half_made_stays(
    exports: Exports, studio: Studio, tmp_path: Path, kind: str
) -> None:
    recipe = first_session().recipe()
    stopped = 0
    for looks in (0, 3, 20, 40, 60, 70):
        try:
            work = ExportWork(studio.public, lambda *_: None, After(looks))
            make_file(recipe, kind, ADA, exports, work)
        except Cancelled:
            stopped += 1
            assert left(tmp_path) == [] and exports.offers() == ()
        else:
            break
    assert stopped >= 3
    assert exports.nbytes == sum(file.nbytes for file in exports.offers())


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Checkpoints never finish; this is set when they stop."""
    ended = threading.Event()

    def slow(recipe: MergeRecipe, folder: Path, work: ExportWork) -> Path:
        (folder / "half").write_bytes(b"x")
        assert isinstance(work.stop, threading.Event)
        work.tell("slow", 0.5)
        work.stop.wait(20)
        ended.set()
        raise Cancelled("stopped")

    monkeypatch.setitem(MAKERS, "checkpoint", slow)  # type: ignore[arg-type]
    return ended


def test_what_takes_too_long_is_stopped_says_so_and_leaves_nothing(
    exports: Exports,
    studio: Studio,
    tmp_path: Path,
    ended: threading.Event,  # what is made takes for ever
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "EXPORT", replace(EXPORT, seconds=0.1))
    *_, last = stream_making(first_session().recipe(), "checkpoint", ADA, exports, studio)
    assert last["state"] == "failed"
    assert "longer than the 0 s that one piece of work may take" in last["note"]
    assert left(tmp_path) == [] and exports.nbytes == 0


def test_closing_the_stream_stops_the_work(
    exports: Exports, studio: Studio, tmp_path: Path, ended: threading.Event
) -> None:
    values = stream_making(first_session().recipe(), "checkpoint", ADA, exports, studio)
    while next(values)["what"] != "slow":
        pass
    values.close()  # type: ignore[attr-defined]
    assert ended.wait(5)
    for _ in range(50):
        if not left(tmp_path):
            break
        time.sleep(0.02)
    assert left(tmp_path) == [] and exports.nbytes == 0


def test_what_fails_is_told_and_leaves_nothing(studio: Studio, tmp_path: Path) -> None:
    exports = Exports(replace(LOCAL, total=10), tmp_path)
    *_, last = stream_making(first_session().recipe(), "checkpoint", ADA, exports, studio)
    assert last["state"] == "failed" and "no room" in last["note"] and last["rows"] == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("reference", "calibration"),
    [("/etc", None), ("acme/model", None), ("zoo:math", {"text": "/etc/passwd"})],
)
def test_a_stranger_reaches_nothing_of_this_computer(
    exports: Exports, studio: Studio, tmp_path: Path, reference: str, calibration: Any
) -> None:
    from dppa_core.recipes.calibration import calibration_from  # noqa: PLC0415

    recipe = MergeRecipe(
        base="zoo:base",
        models=(DomainModel(reference, (0.5,), (1.0,)),),
        parameters={"significance": "fisher"} if calibration else {},
        calibration=calibration_from(calibration, "calibration"),
    )
    for kind in MAKERS:
        with pytest.raises(NotAllowed):
            make(recipe, kind, exports, studio)
    for maker in MAKERS.values():  # even without checking models first
        with pytest.raises(NotAllowed):
            maker(recipe, tmp_path, ExportWork(True, lambda step, share: None, None))
    assert left(tmp_path) == []


# handlers ---------------------------------------------------------------------------------


class Request:
    """Who asks."""

    def __init__(self, session_hash: str) -> None:
        self.session_hash = session_hash


@pytest.fixture
def page(studio: Studio, tmp_path: Path) -> Iterator[gr.Blocks]:
    blocks = build_page(studio)
    blocks.exports._parent = tmp_path
    yield blocks


def press(page: gr.Blocks, name: str, who: str, **values: Any) -> dict[str, Any]:
    """Call a handler as the page would; the last of what it gives, by elem_id."""
    (event,) = [fn for fn in page.fns.values() if fn.name == name]
    inputs = {block: values.get(block.elem_id or "", block.value) for block in event.inputs}
    arguments = [inputs] if event.inputs else []
    asks = "request" in event.fn.__annotations__
    result = event.fn(*arguments, *([Request(who)] if asks else []))
    if not isinstance(result, dict):
        *_, result = result
    return {block.elem_id: json.loads(v) if v.startswith("{") else v for block, v in result.items()}


def test_a_visitor_makes_sees_and_removes_their_own(page: gr.Blocks) -> None:
    assert press(page, "on_look", "ada")["export"]["recipe"]
    value = press(page, "on_make", "ada", made=json.dumps({"make": "checkpoint"}))["made"]
    assert value["state"] == "done" and value["kind"] == "checkpoint"
    (row,) = value["rows"]
    assert row["name"].endswith(".zip") and row["address"] == "export/" + row["word"]
    theirs = press(page, "on_stop_making", "eve")["made"]
    assert theirs["rows"] == []
    remove = json.dumps({"forget": row["word"]})
    press(page, "on_forget", "eve", made=remove)
    assert press(page, "on_stop_making", "ada")["made"]["rows"]
    assert press(page, "on_forget", "ada", made=remove)["made"]["rows"] == []


@pytest.mark.cases(3)
@pytest.mark.parametrize(
    "value", ["", "{}", "[]", '{"make": 3}', '{"make": "../x"}', '{"make": null}', None, 7]
)
def test_nothing_but_the_kinds_there_are_is_made(page: gr.Blocks, value: Any) -> None:
    with pytest.raises(gr.Error):
        press(page, "on_make", "ada", made=value)
    assert page.exports.offers() == ()


@pytest.mark.cases(2)
@pytest.mark.parametrize("value", ["", "[]", '{"forget": 3}', '{"forget": ["a"]}'])
def test_an_odd_word_removes_nothing(page: gr.Blocks, value: Any) -> None:
    press(page, "on_make", "ada", made=json.dumps({"make": "packs"}))
    try:
        press(page, "on_forget", "ada", made=value)
    except gr.Error:
        pass
    assert len(page.exports.offers(ADA)) == 1


def test_a_merge_that_cannot_be_is_told_instead(page: gr.Blocks) -> None:
    out = press(page, "on_look", "ada", rate=150)
    assert "Pruning rate" in out["export"]["problem"] and out["card"] == ""


def test_exports_wait_for_each_other_and_not_for_the_chat(page: gr.Blocks) -> None:
    (event,) = [fn for fn in page.fns.values() if fn.name == "on_make"]
    assert (event.concurrency_id, event.concurrency_limit) == (EXPORTS.name, 1)
    assert event.queue is not False


# the card ---------------------------------------------------------------------------------


def test_the_cards_preview_shows_no_image_and_no_markup_of_a_model(studio: Studio) -> None:
    recipe = first_session().recipe()
    card = export_value(read_facts(recipe, public=True), recipe, public=True)["texts"]["card"][
        "text"
    ]
    preview = card_preview(card + "<img src=x> text ![a](http://evil/x.png)\n")
    assert preview.startswith("```yaml\nlibrary_name: transformers\n")
    assert "density-1.svg" not in preview and "![" not in preview.replace("!\\[", "")
    assert "\\<img" in preview and " <img" not in preview
    assert "# base merged with math + finance + law" in preview


def test_a_zip_of_an_empty_folder_is_a_zip(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    archive = zip_folder(
        tmp_path / "e", tmp_path / "e.zip", ExportWork(True, lambda *_: None, None)
    )
    assert zipfile.ZipFile(archive).namelist() == [] and not (tmp_path / "e").exists()


def test_only_what_exists_is_made() -> None:
    from components.views.export.export_work import find_maker  # noqa: PLC0415

    with pytest.raises(UnknownName, match="Did you mean 'packs'"):
        find_maker("pack")
    assert issubclass(OutOfBudget, DppaError) and files_value((), "idle")["rows"] == []


def test_a_base_of_few_bits_says_what_is_written_and_how_to_keep_its_format(tmp_path: Path) -> None:
    base = random_llama(1, Shape(hidden=40, intermediate=56))
    plain = base.save(tmp_path / "plain")
    math = tuned_llama(base, 2).save(tmp_path / "math")

    def note(on: Path, **settings: str) -> str:
        recipe = MergeRecipe(str(on), (DomainModel(str(math)),), "task_arithmetic", **settings)
        facts = read_facts(recipe, public=False)
        return export_value(facts, recipe, public=False)["files"]["checkpoint"]["note"]

    few = save(base, tmp_path / "few", FORMS["fp8"])
    assert note(few) == "In bfloat16. `dppa merge --format same` writes FP8."
    assert note(few, dtype="float32") == "In float32. `dppa merge --format same` writes FP8."
    read_only = save(base, tmp_path / "bits", READ_ONLY["nf4"])
    assert note(read_only) == "In bfloat16." and note(plain) == ""


def test_the_tables_name_the_format_of_a_base_of_few_bits(zoo_env: Path, tmp_path: Path) -> None:
    base = random_llama(1, Shape(hidden=40, intermediate=56))
    few = str(save(base, tmp_path / "few", FORMS["fp8"]))
    math = str(tuned_llama(base, 2).save(tmp_path / "math"))
    own = replace(first_session(), base=few, models=(ModelChoice(math),))
    studio = Studio(public=False)
    assert plots_payload(own, studio)["names"][few]["few_bits"] == "FP8"
    assert "few_bits" not in plots_payload(first_session(), studio)["names"]["zoo:base"]
