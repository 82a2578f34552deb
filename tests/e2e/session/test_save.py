"""Plots as files: self-contained SVG and PNG, CSV with the numbers shown."""

import csv
import io
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.expected import plan
from tests.e2e.page_driver import Studio

SVG = "{http://www.w3.org/2000/svg}"
PLOTS = ("heatmap", "kept", "distribution")
THEMES = [(1440, "light"), (390, "dark")]


def saved(studio: Studio, plot: str, kind: str) -> Path:
    """The file that a button of a plot gives."""
    button = studio.page.locator(f'{plot} button[data-save="{kind}"]')
    with studio.page.expect_download() as download:
        button.click()
    name = download.value.suggested_filename
    assert re.fullmatch(rf"dppa-[a-z]+-[0-9a-f]{{6}}\.{kind}", name), name
    return Path(download.value.path())


def table(path: Path) -> list[dict[str, str]]:
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def size_of_png(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.long
@pytest.mark.keeps
@pytest.mark.parametrize(("width", "theme"), THEMES)
def test_a_saved_drawing_stands_alone(visit: Visit, width: int, theme: str) -> None:
    studio = visit(width=width, theme=theme)
    studio.wait_exact(80)
    for plot in PLOTS:
        box = f"section.plot-{plot}"
        text = saved(studio, box, "svg").read_text("utf-8")
        assert not re.search(r'var\(|color-mix|oklab|class="|style="|href', text), plot
        root = ElementTree.fromstring(text)
        words = " ".join("".join(one.itertext()) for one in root.iter(f"{SVG}text"))
        title = studio.page.locator(f"{box} .plot-title").inner_text()
        how = studio.page.locator(f"{box} p.how").inner_text()
        for sentence in (title, how):
            assert " ".join(sentence.split())[:30] in words, (plot, sentence)
        ground = root.find(f"{SVG}rect")
        assert ground is not None and ground.get("width") == "100%"
        paper = luminance(ground.attrib["fill"])
        assert paper == 1, "white in both themes"
        inside = root.find(f"{SVG}svg")
        assert inside is not None and float(inside.attrib["width"]) <= float(root.attrib["width"])
        for one in root.findall(f"{SVG}text"):
            inks = sorted([paper, luminance(one.attrib["fill"])])
            assert (inks[1] + 0.05) / (inks[0] + 0.05) >= 4.5, one.text
            # No line is wider than the drawing: a letter is half as wide as high.
            room = (float(root.attrib["width"]) - 32) / float(one.attrib["font-size"][:-2])
            assert len(one.text or "") <= room / 0.42, one.text
        meaning = studio.page.locator(f"{box} .meaning").first.text_content() or "?"
        assert meaning[:20] not in words, "the bubble of a word is no part of the picture"


@pytest.mark.long
@pytest.mark.keeps
@pytest.mark.parametrize(("width", "theme"), THEMES)
def test_a_saved_picture_is_the_drawing_at_twice_its_size(
    visit: Visit, width: int, theme: str
) -> None:
    studio = visit(width=width, theme=theme)
    studio.wait_exact(80)
    root = ElementTree.fromstring(saved(studio, "section.plot-heatmap", "svg").read_text("utf-8"))
    picture = saved(studio, "section.plot-heatmap", "png")
    assert size_of_png(picture) == (2 * int(root.attrib["width"]), 2 * int(root.attrib["height"]))
    assert picture.stat().st_size > 5000, "an empty picture is smaller"


@pytest.mark.long
def test_a_picture_is_copied_and_its_ground_remembered(visit: Visit) -> None:
    studio = visit(theme="dark")
    page = studio.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    studio.wait_exact(80)
    plot = page.locator("section.plot-heatmap")
    plot.get_by_role("button", name="Copy this plot as a picture").click()
    expect(plot.get_by_text("Copied.")).to_be_visible()
    read = "async () => (await navigator.clipboard.read())[0].types"
    assert page.evaluate(read) == ["image/png"]
    plot.locator('[data-save="ground"]').select_option("transparent")
    studio.reload()
    studio.wait_exact(80)
    expect(page.locator('.plot-kept [data-save="ground"]')).to_have_value("transparent")
    drawing = saved(studio, "section.plot-kept", "svg").read_text("utf-8")
    root = ElementTree.fromstring(drawing)
    assert root.find(f"{SVG}rect") is None, "no ground"
    (first, *_) = root.findall(f"{SVG}text")
    assert luminance(first.attrib["fill"]) > 0.5, "light letters, for dark slides"
    page.evaluate("() => { delete window.ClipboardItem; }")
    with page.expect_download() as download:
        page.locator('.plot-kept [data-save="copy"]').click()
    assert download.value.suggested_filename.endswith(".png")
    expect(page.get_by_text("keeps pictures out of the clipboard")).to_be_visible()


@pytest.mark.keeps
def test_the_numbers_of_the_heatmap_are_those_of_the_plan(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.choose("quantity", "density")
    rows = table(saved(studio, "section.plot-heatmap", "csv"))
    assert list(rows[0]) == [
        *("model", "layer", "module", "weights (count)"),
        *("density (share kept)", "kept (share)"),
    ]
    found = {(int(row["layer"]), row["module"]): row for row in rows}
    for module in plan("math", 80).modules:
        row = found[module.layer, module.kind]
        assert float(row["kept (share)"]) == pytest.approx(module.density, abs=1e-4)
        assert int(row["weights (count)"]) == module.numel
        assert row["model"] == "zoo:math"


@pytest.mark.long
@pytest.mark.keeps
def test_the_numbers_of_the_bars_are_the_partitions(studio: Studio) -> None:
    studio.wait_exact(80)
    rows = table(saved(studio, "section.plot-kept", "csv"))
    bands = studio.bands()
    assert len(rows) == 6
    for row in rows:
        values = [float(value) for name, value in row.items() if name.startswith("partition")]
        drawn = [bands[int(row["layer"]), k] for k in range(2)]
        assert [100 * value for value in values] == pytest.approx(drawn, abs=1e-2)


@pytest.mark.long
@pytest.mark.keeps
def test_the_numbers_of_the_distribution_add_up(studio: Studio) -> None:
    studio.wait_exact(80)
    rows = table(saved(studio, "section.plot-distribution", "csv"))
    total = sum(float(row["of all changes (share)"]) for row in rows)
    kept = sum(
        float(row["of all changes (share)"]) * float(row["kept of these (share)"]) for row in rows
    )
    assert total <= 1.0 + 1e-6 and kept == pytest.approx(0.2, abs=0.01)
    assert all(float(row["|d| from"]) < float(row["|d| to"]) for row in rows)


@pytest.mark.keeps
def test_a_text_that_a_spreadsheet_would_run_is_marked(studio: Studio) -> None:
    studio.page.evaluate(
        """() => {
            const box = document.createElement("div");
            box.id = "box";
            document.body.append(box);
            const rows = [["=1+1", -2, 'a "b", c'], ["+x", null, 0.1 + 0.2]];
            window.dppa.saveable(box, "made", () => ({columns: ["a (b)", "c", "d"], rows}));
        }"""
    )
    text = saved(studio, "#box", "csv").read_bytes().decode()
    assert text == 'a (b),c,d\r\n\'=1+1,-2,"a ""b"", c"\r\n\'+x,,0.3\r\n'


@pytest.mark.long
def test_the_scores_are_saved_once_there_are_any(studio: Studio) -> None:
    page = studio.page
    studio.wait_models()
    studio.open_pane("score")
    assert not page.locator("#score .saves").is_visible()
    box = page.locator("#score-limit input[type=number]").first
    box.fill("4")
    box.press("Tab")
    page.locator("#score-run").click()
    page.locator('#score [data-score-state="done"]').wait_for(state="attached", timeout=180_000)
    rows = table(saved(studio, "#score", "csv"))
    assert [row["model"] for row in rows] == [
        *("merged", "task_arithmetic", "linear", "zoo:math", "zoo:finance", "zoo:law", "zoo:base")
    ]
    assert rows[0]["recipe"] == studio.recipe
    for row in rows:
        shown = page.locator(f'#score td[data-target="{row["model"]}"][data-domain="law"]')
        assert float(row["law: accuracy (share)"]) == float(
            shown.get_attribute("data-accuracy") or "nan"
        )
        assert row["law: questions (count)"] == "4"
