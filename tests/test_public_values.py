"""What a notebook shows of a public value as the last line of a cell: a sentence, and a picture."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import dppa_core
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.pruning_parameters import Override
from dppa_core.pruning.share_plot import CHANGE, share_svg, shares_by_place

pytestmark = pytest.mark.usefixtures("one_torch_thread")
LONGEST = 400
"""Characters of a value that may hold a thousand matrices, items or trials."""


def profile() -> DeltaProfile:
    return dppa_core.profile("zoo:base", "zoo:math")


def recipe() -> dppa_core.MergeRecipe:
    names = [item.module.name for item in profile().modules]
    rates = {name: Override(0.5) for name in names}
    models = tuple(dppa_core.DomainModel(f"zoo:{one}", (0.9, 0.8)) for one in ("math", "law"))
    return dppa_core.MergeRecipe("zoo:base", models, overrides=rates)


VALUES: dict[str, tuple[Callable[[], Any], str]] = {
    "profile": (profile, r"zoo:math − zoo:base: 42 matrices in 6 layers, .*% changed"),
    "matrix of a profile": (lambda: profile().modules[0], r"layers\.0\.self_attn\.q_proj: "),
    "plan": (lambda: dppa_core.plan(profile(), 0.8), r"zoo:math .*levels 0\.8: .*20\.\d%"),
    "matrix of a plan": (lambda: dppa_core.plan(profile(), 0.8).modules[0], "q_proj: keeps"),
    "recipe": (recipe, r"dppa of zoo:math, zoo:law on zoo:base, .*42 overrides"),
    "evaluation": (
        lambda: dppa_core.evaluate("zoo:math", limit=4),
        r"zoo:math, test split: math .* of 4.*law",
    ),
    "preflight": (lambda: dppa_core.preflight(recipe()), r"zoo:base and zoo:math, zoo:law"),
    "diff": (lambda: dppa_core.diff("zoo:math", "zoo:law"), r"zoo:law − zoo:math: .* cosine"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_says_what_it_is_in_a_line(name: str) -> None:
    make, says = VALUES[name]
    text = repr(make())
    assert len(text) <= LONGEST and "\n" not in text
    assert re.search(says, text), text


def test_a_report_of_many_files_stays_short(tmp_path: Path) -> None:
    report = dppa_core.merge(recipe(), tmp_path / "out", shard_size=1)
    assert len(report.files) > 50 and len(repr(report)) < 1000


def drawing(html: str) -> ElementTree.Element:
    """The SVG in the picture of an HTML text."""
    coded = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert coded
    return ElementTree.fromstring(base64.b64decode(coded[1]))


def test_a_profile_is_drawn_with_how_far_each_matrix_moved() -> None:
    found = profile()
    html = found._repr_html_()
    words = [text.text or "" for text in drawing(html).iter() if text.text]
    item = found.modules[0]
    moved = (item.delta_square / item.base_square) ** 0.5
    assert f"{100 * moved:.3g}" in words
    assert {"q", "k", "v", "o", "gate", "up", "down"} < set(words)
    assert "zoo:math" in html and "alt=" in html


def test_a_small_change_is_drawn_on_a_small_scale() -> None:
    text = share_svg("adapter", {(0, "q"): 0.00034, (0, "k"): 0.00008}, CHANGE)
    assert ">0.034<" in text and ">0.05 %<" in text and ", 0.008 to 0.034;" in text


def test_a_plan_is_drawn_with_what_each_matrix_keeps() -> None:
    plan = dppa_core.plan(profile(), 0.8)
    words = [text.text or "" for text in drawing(plan._repr_html_()).iter()]
    assert f"{100 * plan.modules[3].kept / plan.modules[3].numel:.1f}" in words


def test_a_preflight_is_a_table_of_what_to_do() -> None:
    report = dppa_core.preflight("zoo:base", "zoo:nobody")
    html = report._repr_html_()
    (finding,) = report.blockers
    assert f"<td>blocker</td><td>{finding.topic}</td><td>zoo:nobody</td>" in html
    assert escape(finding.what) in html and "cannot be merged" in html


def test_experts_of_one_kind_are_drawn_together() -> None:
    rows = [(0, "up", 1.0, 10.0), (0, "up", 8.0, 10.0), (1, "up", 0.0, 0.0)]
    assert shares_by_place(rows) == {(0, "up"): 0.45, (1, "up"): 0.0}


def test_a_name_from_outside_is_no_markup() -> None:
    found = DeltaProfile("<b>base", '"><img src=x onerror=1>', profile().modules, 0)
    html = found._repr_html_()
    assert "<img src=x" not in html and "<b>" not in html
    assert json.dumps(html).count("<img") == 1


def test_a_profile_without_matrices_has_no_picture() -> None:
    assert "<img" not in DeltaProfile("b", "m", (), 3)._repr_html_()
