"""The spectrum of two models: the library's numbers, by mouse and keyboard, screen and phone."""

import pytest
from playwright.sync_api import expect

from dppa_core.profiling.delta_spectrum import overlap
from dppa_core.profiling.spectrum import cached_spectrum
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS


def test_ranks_overlaps_and_the_singular_values_of_a_matrix(visit: Visit) -> None:
    math, law = (cached_spectrum("zoo:base", f"zoo:{name}") for name in ("math", "law"))
    for width in (1440, 390):
        studio = visit(width=width)
        studio.wait_models()
        page = studio.page
        studio.choose("quantity", "conflict")
        page.locator("#partner").select_option("zoo:law")
        page.locator("#by-directions").click()
        expect(page.locator("#spectrum-view .how").first).to_contain_text("42 matrices, about 1")
        expect(page.locator("#spectrum-second")).to_have_value("zoo:law")
        page.locator("#spectrum-run").click()
        done = page.locator('#spectrum [data-spectrum-state="done"]')
        done.wait_for(state="attached", timeout=ANSWER_MS)
        cells = page.locator("#spectrum-map g.cell")
        drawn = "cells => cells.map(cell => +cell.dataset.value)"
        expect(page.locator("#spectrum-measure")).to_have_value("overlap of both")
        page.locator("#spectrum-measure").select_option("effective rank of math")
        assert cells.evaluate_all(drawn) == [matrix.rank for matrix in math.matrices]
        last = math.matrices[-1]
        cells.last.click()
        title = page.locator("#spectrum-matrix .plot-title")
        expect(title).to_contain_text(f"math changed in about {last.rank} directions of 256; law")
        assert page.locator("#spectrum-matrix svg path.curve-line").count() == 4
        page.locator("#spectrum-map").focus()
        for key in ("ArrowUp", "Enter"):
            page.keyboard.press(key)
        expect(title).to_contain_text("Layer 4, down")
        expect(title).to_be_focused()
        page.locator("#spectrum-measure").select_option("overlap of both")
        both = [overlap(*pair) for pair in zip(math.matrices, law.matrices, strict=True)]
        shares = [pair.share for pair in both if pair]
        assert cells.evaluate_all(drawn) == pytest.approx(shares, abs=1e-3)
        expect(page.locator("#spectrum .plot-title").first).to_contain_text("Math and law share")
        assert page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth") <= 0
