"""User models on the page: a base of another family, with its domain models."""

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tests.e2e.page_driver import Studio


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


def test_another_family_takes_the_place_of_all(studio: Studio, family: tuple[Path, Path]) -> None:
    studio.wait_exact(80)
    studio.open_advanced()
    box = studio.page.locator("#reference input, #reference textarea").first
    box.fill(f"{family[0]}, {family[1]}")
    box.press("Enter")
    studio.page.locator("#use-base").click()
    studio.page.get_by_text("Base model: origin (folder)").wait_for()
    studio.page.wait_for_function(
        "() => document.querySelectorAll('#heatmap g.cell').length === 3 * 4"
    )
    assert {kind for _, kind in studio.cells()} == {"qkv", "o", "up", "down"}
    assert studio.page.locator(".model-row").count() == 1
    studio.wait_exact(80)
    studio.set_rate(60)
    assert float(studio.exact("kept")) == pytest.approx(40, abs=0.5)
