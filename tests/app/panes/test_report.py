"""The report: needs no other file, describes the merge, and escapes text of models."""

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from plotly.colors import sample_colorscale

from components.session.presets import first_session
from components.views.export.export_values import PLOTLY_BYTES
from components.views.export.export_work import ExportWork, make_report
from dppa_core.figures.matrices import heatmap, ink_on, kept_shares, planned_shares
from dppa_core.figures.report import Reported, report_html
from dppa_core.merging.cards.record import KeptModule, MergeRecord
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.verify import read_merge
from dppa_core.preflight_checks.provenance import Parent
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.low_bit_models import FORMS, save
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

EVIL = "/x/<img src=x onerror=alert(1)>${alert(2)}</script><b>"


class Read(HTMLParser):
    """Tags, text outside scripts, and scripts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts.append(data)
        elif self._in != "style":
            self.text += data


def test_a_report_holds_hashes_recipe_and_plots_of_the_very_merge(
    zoo_env: Path, tmp_path: Path
) -> None:
    recipe = first_session().recipe()
    (tmp_path / "room").mkdir()
    path = make_report(recipe, tmp_path / "room", ExportWork(True, lambda *_: None, None))
    assert list((tmp_path / "room").iterdir()) == [path]
    merge_to_folder(recipe, tmp_path / "merged")
    record = read_merge(tmp_path / "merged").record
    page = Read(path.read_text("utf-8"))
    assert record.digest in page.text and record.files["model.safetensors"] in page.text
    assert dump_recipe(recipe) in page.text and "dppa merge recipe.yaml" in page.text
    figures = json.loads(page.scripts[0])
    assert len(figures) == 9  # three of each model
    assert 0.98 * PLOTLY_BYTES < path.stat().st_size < 1.05 * PLOTLY_BYTES


def test_the_command_writes_the_report_of_the_page_from_a_recipe_or_its_merge(
    dppa: Command, zoo_env: Path, tmp_path: Path
) -> None:
    recipe, out = first_session().recipe(), tmp_path / "report.html"
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe))
    (tmp_path / "room").mkdir()
    path = make_report(recipe, tmp_path / "room", ExportWork(True, lambda *_: None, None))
    before = set(tmp_path.iterdir())
    assert dppa("report", tmp_path / "recipe.yaml", "--out", out) == 0, dppa.err
    assert out.read_bytes() == path.read_bytes() and set(tmp_path.iterdir()) == {*before, out}
    assert dppa("report", tmp_path / "recipe.yaml", "--out", out) == 1
    assert "--overwrite replaces it" in dppa.err
    merge_to_folder(recipe, tmp_path / "merged")
    assert dppa("report", tmp_path / "merged", "--out", out, "--overwrite", "--json") == 0
    assert out.read_bytes() == path.read_bytes()
    assert dppa.json["digest"] == read_merge(tmp_path / "merged").record.digest


def test_a_report_of_a_merge_in_few_bits_says_so_as_its_card(dppa: Command, tmp_path: Path) -> None:
    base = random_llama(1, Shape(hidden=40, intermediate=56))
    few, math = save(base, tmp_path / "base", FORMS["fp8"]), tuned_llama(base, 2)
    recipe = MergeRecipe(
        str(few), (DomainModel(str(math.save(tmp_path / "math"))),), "task_arithmetic"
    )
    merge_to_folder(recipe, tmp_path / "merged", same_format=True, sync=False)
    assert dppa("report", tmp_path / "merged", "--out", tmp_path / "r.html") == 0
    text = Read((tmp_path / "r.html").read_text("utf-8")).text
    card = (tmp_path / "merged/README.md").read_text()
    assert "dppa merge recipe.yaml --out merged --format same\n" in text
    sentences = card.partition("## Rounded to FP8\n\n")[2].partition(" `merge.json`")[0]
    assert sentences.startswith("The merge was computed in float32 and rounded. That took 0.0")
    assert "Rounded to FP8" in text and sentences in text
    for row in card.splitlines():
        if row.startswith("| `model.layers."):
            name, share = row[3:-2].split("` | ")
            assert f"{name}{share}" in text
    merge_to_folder(recipe, tmp_path / "plain", sync=False)
    assert dppa("report", tmp_path / "plain", "--out", tmp_path / "p.html") == 0
    plain = Read((tmp_path / "p.html").read_text("utf-8")).text
    assert "Rounded to" not in plain and "--format" not in plain


def test_a_report_without_plotly_names_the_package(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dppa_core.figures.report", None)
    assert dppa("report", tmp_path / "recipe.yaml", "--out", tmp_path / "r.html") == 1
    assert "plotly" in dppa.err and "[app]'" in dppa.err


def test_a_report_asks_nothing_of_anybody(zoo_env: Path, tmp_path: Path) -> None:
    path = make_report(first_session().recipe(), tmp_path, ExportWork(True, lambda *_: None, None))
    text = path.read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r'<(script|link|img|iframe)[^>]* (src|href)="', text)
    assert text.count("plotly.js v") == 1


def reported(name: str, kind: str) -> Reported:
    recipe = MergeRecipe(base=name, models=(DomainModel(name + "2", (0.5,), (1.0,)),))
    modules = (KeptModule("a", 0, kind, 100, (50,)), KeptModule("b", 1, kind, 100, (25,)))
    record = MergeRecord((Parent(name, name),), modules, (0.75,), {"model.safetensors": "0" * 64})
    return Reported(recipe, record, (), (name,))


def test_no_text_of_people_or_models_is_markup() -> None:
    plain, evil = (Read(report_html(reported(x, x))) for x in ("plain", EVIL))
    assert evil.tags == plain.tags and "img" not in evil.tags
    assert EVIL in evil.text
    labels = json.loads(evil.scripts[0])[0]["data"][0]["x"]
    assert "<" not in labels[0] and "&lt;img" in labels[0]  # Plotly reads markup in labels
    assert len(evil.scripts) == len(plain.scripts) == 3


def test_shares_become_cells_in_per_cent() -> None:
    figure = heatmap({(0, "q"): 0.5, (1, "q"): 0.25, (1, "down"): 0.125}, "kept")
    heat = figure.data[0]
    assert list(heat.x) == ["q", "down"] and list(heat.y) == ["0", "1"]
    assert [list(row) for row in heat.z] == [[50.0, None], [25.0, 12.5]]
    assert [note.text for note in figure.layout.annotations] == ["50", "25", "12.5"]


@pytest.mark.parametrize("share", [i / 200 for i in range(201)])
def test_numbers_read_on_every_colour(share: float) -> None:
    (colour,) = sample_colorscale("Viridis", [share], colortype="tuple")
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    contrast = {"#000": (light + 0.05) / 0.05, "#fff": 1.05 / (light + 0.05)}
    assert contrast[ink_on(share)] >= 4.5


def test_bands_of_a_layer_add_up_to_what_it_keeps(zoo_env: Path) -> None:
    plan = plan_pruning(cached_profile("zoo:base", "zoo:math"), (0.9, 0.8))
    strongest, after = kept_shares(plan, ("#000", "#111")).data
    assert strongest.name == "strongest 10 %" and after.name == "kept between 10 % and 20 %"
    for index, layer in enumerate((0, 1)):
        inside = [module for module in plan.modules if module.layer == layer]
        kept = 100 * sum(m.kept for m in inside) / sum(m.numel for m in inside)
        assert strongest.x[index] + after.x[index] == pytest.approx(kept)
    picture = planned_shares(plan, "significance")
    module = plan.modules[0]
    assert picture[module.layer, module.kind] == pytest.approx(module.significance)


def test_a_whole_delta_needs_no_plot_of_what_it_keeps() -> None:
    about = reported("a", "q")
    modules = tuple(replace(m, kept=(m.numel,)) for m in about.record.modules)
    page = Read(report_html(replace(about, record=replace(about.record, modules=modules))))
    assert json.loads(page.scripts[0]) == []
