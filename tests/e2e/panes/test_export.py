"""The export: announced, made on request, downloaded, loaded by transformers."""

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import load_recipe
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio

SIZES = [1440, 390]
READY = '#export [data-export="ready"], #export[data-export="ready"]'


def open_export(studio: Studio) -> None:
    """Bring the export to the front, and wait for its list of files."""
    studio.wait_exact()
    studio.open_pane("export")
    studio.page.locator(READY).first.wait_for(state="attached")


def make(studio: Studio, kind: str, folder: Path) -> Path:
    """Make a file and fetch it as a person does."""
    studio.page.locator(f'.take-row[data-kind="{kind}"] button', has_text="Make").click()
    link = studio.page.locator(f'.take-row[data-kind="{kind}"] .made-link').first
    link.wait_for()
    with studio.page.expect_download() as waited:
        link.click()
    target = folder / waited.value.suggested_filename
    waited.value.save_as(target)
    return target


@pytest.mark.parametrize("width", SIZES)
def test_a_checkpoint_is_fetched_loads_and_equals_the_command_lines(
    visit: Visit, tmp_path: Path, width: int
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415  (seconds)

    studio = visit(width=width)
    studio.set_rate(70)
    open_export(studio)
    recipe = studio.recipe
    made = make(studio, "checkpoint", tmp_path)
    assert made.name == f"dppa-{recipe[:12]}.zip"
    zipfile.ZipFile(made).extractall(tmp_path)
    folder = tmp_path / f"dppa-{recipe[:12]}"
    merge_to_folder(load_recipe(folder / "recipe.yaml"), tmp_path / "again")
    ours, theirs = (open_file(x / "model.safetensors") for x in (folder, tmp_path / "again"))
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all((ours.raw(name) == theirs.raw(name)).all() for name in ours.tensors)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.num_parameters() > 1e6
    assert AutoTokenizer.from_pretrained(folder)("1 + 1")["input_ids"]


@pytest.mark.keeps
@pytest.mark.parametrize("width", SIZES)
def test_sizes_and_times_are_told_before_anything_is_made(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    open_export(studio)
    for kind in ("checkpoint", "packs"):
        size = studio.page.locator(f'.take-row[data-kind="{kind}"] .take-size')
        expect(size).to_contain_text("MB · about")
    ranks = studio.page.locator('.take-row[data-kind="adapter"] select')
    size = studio.page.locator('.take-row[data-kind="adapter"] .take-size')
    expect(size).to_contain_text("836 kB · about")
    expect(ranks.locator("option").nth(1)).to_contain_text("8, keeps ")
    ranks.select_option("32")
    expect(size).to_contain_text("1.67 MB · about")
    expect(studio.page.locator('.take-row[data-kind="mergekit"] .take-note')).to_contain_text(
        "mergekit has no DPPA"
    )
    assert studio.page.locator(".made-row").count() == 0
    assert studio.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.keeps
def test_the_recipe_is_saved_as_the_page_has_it(studio: Studio, tmp_path: Path) -> None:
    open_export(studio)
    with studio.page.expect_download() as waited:
        studio.page.locator('.take-row[data-kind="recipe"] button', has_text="Save").click()
    waited.value.save_as(tmp_path / "recipe.yaml")
    from dppa_core.recipes.yaml_text import recipe_hash  # noqa: PLC0415

    assert waited.value.suggested_filename == "recipe.yaml"
    assert recipe_hash(load_recipe(tmp_path / "recipe.yaml")) == studio.recipe


@pytest.mark.long
@pytest.mark.keeps
def test_the_card_is_shown_as_text_of_its_own(studio: Studio) -> None:
    open_export(studio)
    studio.page.locator("#card-box button").first.click()
    card = studio.page.locator("#card")
    expect(card).to_contain_text("base merged with math + finance + law")
    assert card.locator("img").count() == 0


def test_a_moved_slider_makes_the_offer_anew(studio: Studio) -> None:
    open_export(studio)
    first = studio.recipe
    studio.open_pane("see")
    studio.set_rate(50)
    studio.open_pane("export")
    studio.page.locator(READY).first.wait_for(state="attached")
    holder = studio.page.locator("#export [data-recipe], #export[data-recipe]").first
    expect(holder).to_have_attribute("data-recipe", studio.recipe)
    assert studio.recipe != first


STOP_AT_ONCE = """() => {
    // In the page, the moment the server says that it makes something: no round trip can come late.
    const line = document.querySelector('.made-line');
    const watch = new MutationObserver(() => {
        if (!line.textContent.includes(': ')) return;
        watch.disconnect();
        document.querySelector('#made-stop').click();
        window.stopped = true;
    });
    watch.observe(line, {childList: true, characterData: true, subtree: true});
}"""


@pytest.mark.long
def test_making_is_stopped_and_leaves_nothing_to_fetch(studio: Studio) -> None:
    open_export(studio)
    row = studio.page.locator('.take-row[data-kind="report"]')
    make = row.locator("button", has_text="Make")
    line = studio.page.locator(".made-line")
    # Before the server has heard of anything; and once it has.
    make.evaluate("make => { make.click(); document.querySelector('#made-stop').click(); }")
    expect(line).to_have_text("Stopped. Nothing half-made was kept.")
    expect(make).to_be_enabled()
    studio.page.evaluate(STOP_AT_ONCE)
    make.click()
    studio.page.wait_for_function("() => window.stopped")
    expect(line).to_have_text("Stopped. Nothing half-made was kept.")
    expect(make).to_be_enabled()
    assert studio.page.locator(".made-row").count() == 0


@pytest.mark.long
def test_a_file_of_another_visitor_is_not_in_the_list(visit: Visit, tmp_path: Path) -> None:
    ada, eve = visit(), visit()
    open_export(ada)
    make(ada, "checkpoint", tmp_path)
    open_export(eve)
    make(eve, "packs", tmp_path)
    assert eve.page.locator(".made-row").count() == 1
    ada.page.locator(".made-row .remove").click()
    expect(ada.page.locator(".made-row")).to_have_count(0)
    assert eve.page.locator(".made-row").count() == 1


@pytest.mark.long
@pytest.mark.parametrize("width", SIZES)
def test_a_report_opens_alone_and_follows_the_readers_theme(
    visit: Visit, tmp_path: Path, width: int
) -> None:
    studio = visit(width=width)
    open_export(studio)
    made = make(studio, "report", tmp_path)
    studio.reusable = False
    page = studio.page.context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(made.as_uri())
    page.wait_for_function("document.querySelectorAll('.plot[data-drawn]').length === 9")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ground = "getComputedStyle(document.body).backgroundColor"
    light, before = page.evaluate(ground), page.locator(".xtitle").first
    ink = before.evaluate("e => getComputedStyle(e).fill")
    page.locator("#theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(ground) != light
    page.wait_for_function(
        "ink => getComputedStyle(document.querySelector('.xtitle')).fill !== ink", arg=ink
    )
    assert asked == [made.as_uri()] and complaints == []


@pytest.mark.long
@pytest.mark.parametrize("width", SIZES)
def test_a_push_without_a_login_says_what_to_do(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    open_export(studio)
    studio.unfold("push-box", "#push-run")
    studio.page.locator("#push-name input, #push-name textarea").first.fill("ada/merged")
    studio.page.locator("#push-run").click()
    line = studio.page.locator("#pushed .made-line")
    expect(line).to_contain_text("Nobody is logged in to the Hub")
    expect(line).to_contain_text("hf auth login")
    assert studio.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
