"""The choice of merge method: its settings, and the plots available before a merge."""

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import expect

from components.session.method_choice import MethodChoice
from components.session.presets import first_session
from dppa_core.methods.registry import METHODS
from dppa_core.methods.shared.contract import GROUPS
from dppa_core.recipes.yaml_text import recipe_hash
from tests.e2e.conftest import Visit
from tests.e2e.expected import first_recipe
from tests.e2e.page_driver import Studio

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"


def choose(studio: Studio, name: str) -> None:
    """Choose a method, and wait until the server has answered for it."""
    studio.page.locator("#method-choice").select_option(name)
    studio.page.locator(f'#plots [data-method="{name}"]').first.wait_for(state="attached")
    studio.wait_exact()


def recipe_of(choice: MethodChoice, **changes: object) -> str:
    """The library's result for the first screen with another method."""
    session = first_session()
    fields = {name: getattr(session, name) for name in session.__dataclass_fields__}
    return recipe_hash(type(session)(**(fields | {"method": choice} | changes)).recipe())


@pytest.mark.keeps
def test_every_method_is_offered_and_dppa_is_chosen(studio: Studio) -> None:
    studio.wait_exact(80)
    options = studio.page.locator("#method-choice option")
    assert sorted(options.all_text_contents()) == sorted(method.title for method in METHODS)
    groups = studio.page.locator("#method-choice optgroup").evaluate_all(
        "groups => groups.map((group) => group.label)"
    )
    assert sorted(groups) == sorted({GROUPS[method.group] for method in METHODS})
    assert studio.page.locator("#method-choice").input_value() == "dppa"
    assert studio.recipe == first_recipe()
    assert not studio.page.locator("#beforehand").is_visible()
    assert not studio.page.locator("#method .method-form").is_visible()


def test_settings_appear_and_change_the_recipe(studio: Studio) -> None:
    studio.wait_exact(80)
    choose(studio, "ties")
    assert studio.recipe == recipe_of(MethodChoice("ties"))
    assert not studio.rate.is_visible(), "TIES takes the whole deltas"
    form = studio.page.locator("#method .method-form")
    assert form.locator(".setting").count() == 6
    studio.set_range(form.locator('[data-setting="density"] input[type=range]'), 0.5)
    form.locator('[data-setting="semantics"] select').select_option("mergekit")
    studio.wait_exact()
    wanted = recipe_of(MethodChoice("ties", (("density", 0.5), ("semantics", "mergekit"))))
    studio.page.locator(f'#status [data-recipe="{wanted}"]').wait_for()
    assert studio.page.locator("#method a").get_attribute("href") == (
        "https://arxiv.org/abs/2306.01708"
    )


@pytest.mark.long
def test_a_method_of_its_own_plan_redraws_the_plots(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.choose("quantity", "density")
    uneven = {round(value, 2) for value in studio.cells().values()}
    choose(studio, "magnitude")
    assert {round(value, 2) for value in studio.cells().values()} == {0.2} != uneven
    choose(studio, "dare")
    studio.set_range(studio.rate, 60)
    studio.wait_exact(60)
    assert {round(value, 2) for value in studio.cells().values()} == {0.4}
    assert studio.page.locator("#distribution line.threshold").count() == 0
    expect(studio.page.locator("#rate em")).to_have_text("At 60\u202f% any 40\u202f% stay.")
    studio.page.evaluate("() => window.dppa.override('layers.3.mlp.down_proj', 0.25)")
    studio.wait_frame()  # until then the previous plan is drawn, also exact
    studio.wait_exact(60)
    shown = {place: round(value, 2) for place, value in studio.cells().items()}
    assert shown.pop((3, "down")) == 0.75 and set(shown.values()) == {0.4}


@pytest.mark.long
def test_what_a_combination_did_is_shown_once_it_has_merged(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.wait_models()
    choose(studio, "consensus")
    note = studio.page.locator("#beforehand p")
    assert "known after the merge" in note.inner_text()
    mark = studio.page.locator("#exact .mark")
    assert "known after the merge" in studio.page.locator("#exact").inner_text()
    assert mark.inner_text() == "" and not mark.is_visible(), "nothing is exact before it is known"
    assert studio.page.locator('#quantity option[value="density"]').count() == 0
    assert studio.page.locator('#quantity option[value="along"]').get_attribute("disabled") == ""
    studio.page.locator("#merge-now").click()
    studio.page.locator('#plots [data-quantity="along"]').first.wait_for(state="attached")
    assert all(-1 < value < 2 for value in studio.cells().values())
    assert "changed" in studio.page.locator("#exact").inner_text()
    assert mark.inner_text() == "exact"
    scale = '#method [data-setting="scale"] input[type=range]'
    studio.set_range(studio.page.locator(scale), 0.9)
    studio.page.locator('#plots [data-quantity="mean"]').first.wait_for(state="attached")
    assert "known after the merge" in note.inner_text(), "what was merged is another recipe"


@pytest.mark.long
def test_dppa_can_come_first(studio: Studio) -> None:
    studio.wait_exact(80)
    choose(studio, "ties")
    studio.page.locator("#prune-first").check()
    studio.rate.wait_for()
    studio.wait_exact(80)
    assert studio.recipe == recipe_of(MethodChoice("ties", prune_first=True))
    assert studio.page.locator("#distribution line.threshold").count() == 2
    assert "hands to TIES" in studio.page.locator("#beforehand p").inner_text()


@pytest.mark.long
def test_an_answer_of_another_method_is_stale(studio: Studio) -> None:
    studio.wait_models()
    choose(studio, "linear")
    studio.ask("Tom has 12 apples. Tom buys 5 more. How many apples does Tom have now?")
    answer = studio.wait_answer()
    assert answer.get_attribute("data-recipe") == recipe_of(MethodChoice("linear"))
    assert studio.status.get_attribute("data-fresh") == "fresh"
    choose(studio, "dppa")
    assert studio.status.get_attribute("data-fresh") == "stale"
    assert answer.get_attribute("data-stale") == "true"
    assert studio.recipe == first_recipe()


@pytest.mark.long
def test_models_that_do_not_suit_a_method_are_told(studio: Studio) -> None:
    studio.wait_exact(80)
    choose(studio, "slerp")
    problem = studio.page.locator("#exact .problem")
    problem.wait_for()
    assert "one other" in problem.inner_text()
    studio.page.locator('.model-row[data-model="zoo:law"] input[type=checkbox]').uncheck()
    problem.wait_for(state="hidden")
    studio.page.locator('#status [data-recipe]:not([data-recipe=""])').wait_for(state="attached")


@pytest.mark.long
def test_emr_says_for_whom_it_answers(studio: Studio) -> None:
    studio.wait_exact(80)
    choose(studio, "emr")
    note = studio.page.locator("#beforehand p")
    assert "answers for math" in note.inner_text()
    studio.page.locator("#setting-domain").select_option("zoo:law")
    wanted = recipe_of(MethodChoice("emr", (("domain", "zoo:law"),)))
    studio.page.locator(f'#status [data-recipe="{wanted}"]').wait_for()
    assert "answers for law" in note.inner_text()


@pytest.mark.long
def test_the_keyboard_reaches_the_method_and_its_settings(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.page.locator("#method-choice").focus()
    studio.page.keyboard.type("TIES")
    studio.page.locator('#plots [data-method="ties"]').first.wait_for(state="attached")
    studio.page.keyboard.press("Tab")
    assert studio.page.evaluate("() => document.activeElement.id") == "prune-first"
    for _ in range(12):  # the summary, terms of the glossary in it, the paper, the first setting
        studio.page.keyboard.press("Tab")
        if studio.page.evaluate("() => document.activeElement.type") == "range":
            break
    studio.page.keyboard.press("ArrowRight")
    studio.page.locator(
        f'#status [data-recipe="{recipe_of(MethodChoice("ties", (("density", 0.21),)))}"]'
    ).wait_for()


@pytest.mark.long
@pytest.mark.parametrize(("width", "theme"), [(1440, "dark"), (390, "light")])
def test_nothing_sticks_out_and_all_of_it_reads(visit: Visit, width: int, theme: str) -> None:
    studio = visit(width=width, height=844, theme=theme)
    studio.wait_exact(80)
    studio.page.add_script_tag(path=str(AXE))
    for name in ("ties", "darex_q"):
        choose(studio, name)
        overflow = studio.page.evaluate(
            "() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, name
        result = studio.page.evaluate("() => axe.run({resultTypes: ['violations']})")
        serious = [v for v in result["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, [(v["id"], v["nodes"][0]["target"]) for v in serious]


@pytest.mark.long
def test_on_a_phone_the_shown_model_keeps_its_place_beside_long_colour_names(visit: Visit) -> None:
    studio = visit(width=390, height=844)
    studio.wait_exact(80)
    before = studio.page.locator("select#focus").bounding_box()
    studio.page.locator("#method-choice").select_option("ties")
    studio.page.locator('#plots [data-method="ties"]').first.wait_for(state="attached")
    after = studio.page.locator("select#focus").bounding_box()
    assert before and after
    assert after["width"] == pytest.approx(before["width"], abs=1)
    assert after["x"] + after["width"] <= 390
