"""User models on the page: a base of another family, with its domain models."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
)

from dppa_core.preflight_checks.fetchable_sets import fetchable_set
from dppa_core.recipes.yaml_text import load_recipe
from tests.e2e.page_driver import Studio
from tests.helpers.low_bit_models import FORMS, save
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

MATH = Path(__file__).parents[3] / "assets" / "zoo" / "math"


@pytest.fixture
def family(tmp_path: Path) -> tuple[Path, Path]:
    """A random GPT-2 of three layers and a fine-tuned copy of it."""
    torch.manual_seed(0)
    config = GPT2Config(
        n_embd=32, n_layer=3, n_head=4, vocab_size=64, bos_token_id=0, eos_token_id=0
    )
    model = GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path / "origin")
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.01 * torch.randn(weight.shape)
    model.save_pretrained(tmp_path / "tuned")
    return tmp_path / "origin", tmp_path / "tuned"


@pytest.mark.long
def test_another_family_takes_the_place_of_all(studio: Studio, family: tuple[Path, Path]) -> None:
    studio.wait_exact(80)
    studio.use_models(str(family[1]), base=str(family[0]))
    studio.page.get_by_text("Base model: origin (folder)").wait_for()
    studio.page.wait_for_function(
        "() => document.querySelectorAll('#heatmap g.cell').length === 3 * 4"
    )
    assert {kind for _, kind in studio.cells()} == {"qkv", "o", "up", "down"}
    assert studio.page.locator(".model-row").count() == 1
    studio.wait_exact(80)
    studio.set_rate(60)
    assert float(studio.exact("kept")) == pytest.approx(40, abs=0.5)

    studio.page.locator('#panes [data-pane="score"]').click()
    run = studio.page.locator("#score-run")
    expect(run).to_be_hidden()  # the embedded questions are not for these
    studio.page.get_by_role("button", name="Ask these all the same").click()
    expect(run).to_be_visible()


@pytest.mark.long
def test_the_merge_asks_in_the_chat_template_of_the_chosen_model(
    studio: Studio, tmp_path: Path
) -> None:
    own = shutil.copytree(MATH, tmp_path / "tutor")
    (own / "chat_template.jinja").write_text("Pupil: {{ messages[-1]['content'] }} Tutor:")
    studio.wait_models()
    template = studio.page.get_by_label("Chat template of the merge")
    expect(template).to_be_hidden()  # the embedded models share one
    studio.use_models(str(own))
    template.select_option(label="That of tutor")
    studio.page.locator("#answer-with").get_by_label("merged").set_checked(True)
    studio.ask("Compare 3 and 4.")
    studio.wait_answer()
    studio.page.locator("#transcript .turn button[aria-expanded]").last.click()
    read = studio.page.locator("#transcript").get_by_label("The question as read by merged")
    expect(read).to_have_text("Pupil: Compare 3 and 4. Tutor:")
    state = json.loads(studio.page.evaluate("() => dppa.stateText(dppa.stateNow())"))
    assert state["template"] == str(own)


@pytest.mark.long
def test_a_command_in_a_sentence_is_code_and_has_no_backticks(studio: Studio) -> None:
    """In the card of a set, in a finding, in a notice, and among the results."""
    page = studio.page
    studio.wait_models()
    page.locator("#preset-choice").select_option(fetchable_set("llama-2-7b").title)
    expect(page.locator(".offer-lines code")).to_have_text("hf auth login")
    page.locator(".offer .remove").click()
    page.locator('#views button[data-view="experiments"]').click()
    page.locator(".result-more summary").click()
    expect(page.locator(".result-how p code").last).to_have_text("dppa reproduce first --limit 200")
    page.locator("#experiment-choice").select_option("last")
    expect(page.locator("#experiments .problem code")).to_have_text("dppa zoo train")
    studio.use_models(", ".join(f"/m{i}" for i in range(40)))
    expect(page.locator("#own-models .field-note")).to_contain_text("dppa merge takes any number")
    assert "`" not in page.locator("body").inner_text()


@pytest.mark.long
def test_on_a_base_of_few_bits_the_number_format_is_bfloat16(
    studio: Studio, tmp_path: Path
) -> None:
    studio.wait_exact(80)
    base = random_llama(1, Shape(hidden=64, intermediate=96))
    few = save(base, tmp_path / "origin", FORMS["fp8"])
    tuned = tuned_llama(base, 2, 0.01).save(tmp_path / "tuned")
    studio.use_models(str(tuned), base=str(few))
    studio.page.get_by_text("Base model: origin (folder)").wait_for()
    dtype = studio.page.get_by_label("Number format of the merge")
    expect(dtype.locator("option:checked")).to_have_text("bfloat16: the base is FP8")
    studio.page.locator('#panes [data-pane="export"]').click()
    note = studio.page.locator('.take-row[data-kind="checkpoint"] .take-note')
    expect(note).to_have_text("In bfloat16. dppa merge --format same writes FP8.")


@pytest.fixture
def encoders(tmp_path: Path) -> tuple[Path, Path]:
    """A random encoder with the head of a language model, and a classifier made from it."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=64, num_hidden_layers=2, **sizes)
    BertForMaskedLM(config).save_pretrained(tmp_path / "encoder")
    tuned = BertForSequenceClassification.from_pretrained(tmp_path / "encoder")
    with torch.no_grad():
        for weight in tuned.bert.parameters():
            weight += 0.01 * torch.randn(weight.shape)
    tuned.save_pretrained(tmp_path / "tone")
    return tmp_path / "encoder", tmp_path / "tone"


@pytest.mark.long
def test_encoders_with_other_heads_are_merged_once_that_is_chosen(
    studio: Studio, encoders: tuple[Path, Path], tmp_path: Path
) -> None:
    studio.wait_exact(80)
    heads = studio.page.get_by_label("Heads of the models")
    dtype = studio.page.get_by_label("Number format of the merge")
    expect(heads).to_be_hidden()  # the embedded models share one
    studio.use_models(str(encoders[1]), base=str(encoders[0]))
    studio.page.get_by_text("Base model: encoder (folder)").wait_for()
    studio.page.get_by_text("Its head differs from the base's").first.wait_for()
    heads.select_option(label="Take the base's")
    dtype.select_option(label="bfloat16")
    studio.wait_exact()
    state = json.loads(studio.page.evaluate("() => dppa.stateText(dppa.stateNow())"))
    assert (state["heads"], state["dtype"]) == ("base", "bfloat16")
    studio.page.locator('#panes [data-pane="export"]').click()
    with studio.page.expect_download() as waited:
        studio.page.locator('.take-row[data-kind="recipe"] button', has_text="Save").click()
    waited.value.save_as(tmp_path / "recipe.yaml")
    saved = load_recipe(tmp_path / "recipe.yaml")
    assert (saved.heads, saved.dtype, saved.base) == ("base", "bfloat16", str(encoders[0]))
