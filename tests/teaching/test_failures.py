"""Failing merges: numbers by hand, and the library's real error texts."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import UnknownName
from dppa_core.pruning.floats import to_float32
from dppa_core.teaching.failures.case import NONE, PASSED, REFUSED, SILENT
from dppa_core.teaching.failures.cases import CASES, RUNS, run_case
from dppa_core.teaching.failures.of_weights import moved_rows
from dppa_core.teaching.failures.workshop import Workshop


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    workshop = Workshop(questions=2)  # a tiny model never stops talking
    yield workshop
    workshop.close()


def outcome(shop: Workshop, name: str, repaired: bool) -> dict[str, object]:
    return run_case(name, repaired, shop)


def bars(case: dict[str, object], plot: int) -> dict[str, str]:
    return {bar["label"]: bar["shown"] for bar in case["bars"][plot]["bars"]}


def test_a_weight_beyond_float16_is_refused_and_fits_bfloat16(
    zoo_env: Path, shop: Workshop
) -> None:
    broken, whole = (outcome(shop, "float16", repaired) for repaired in (False, True))
    assert broken["messages"][0]["kind"] == "refusal"
    assert "reach 68000, F16 holds less than 65520" in broken["messages"][0]["text"]
    assert "infinity minus infinity = NaN" in broken["said"]
    # bfloat16 has 8 bits: between 65536 and 131072 numbers are 512 apart; this is 133 * 512.
    assert bars(whole, 0)["merge"] == "68,096" and not whole["messages"]
    texts = [answer["text"] for answer in (*broken["answers"], *whole["answers"])]
    assert ["computes NaN or infinity" in text for text in texts] == [False, True, False, False]
    assert ", 1 of " in broken["said"] and ", 0 of " in whole["said"]  # only the largest


def test_words_in_other_rows_are_refused_or_matched(zoo_env: Path, shop: Workshop) -> None:
    broken, whole = (outcome(shop, "vocabulary", repaired) for repaired in (False, True))
    assert "5 rows, the base's 4" in broken["messages"][0]["text"]
    # Row 1 is SELECT minus cat: (-1, -0.6, 0.7), and 0.05 more everywhere.
    assert bars(broken, 0)["cat"] == f"{(0.95**2 + 0.55**2 + 0.75**2) ** 0.5:.2f}" == "1.33"
    assert set(bars(whole, 0).values()) == {f"{0.05 * 3**0.5:.2f}"} == {"0.09"}
    assert "3 tokens stand in other rows ('cat', 'dog', 'seven')" in whole["messages"][1]["text"]


def test_rows_that_move_take_the_next_word_along() -> None:
    words = torch.nn.Embedding.from_pretrained(torch.tensor([[0.0], [1.0], [2.0], [5.0]]))

    class Model:
        def get_input_embeddings(self) -> torch.nn.Embedding:
            return words

    assert moved_rows(Model()) == "3 of 4 rows are another word's."
    assert words.weight.flatten().tolist() == [0.0, 2.0, 1.0, 2.0]  # the mean, then 1 and 2


def test_a_tied_matrix_gets_its_delta_twice_or_once(zoo_env: Path, shop: Workshop) -> None:
    broken = outcome(shop, "tied-twice", False)
    first = broken["rows"][0]
    assert first == ("0.5", "+0.25", "0.75", "1", "0.75, 0.75")  # 0.5 + 0.25 + 0.25
    assert "lm_head.weight is model.embed_tokens.weight" in broken["messages"][0]["text"]
    # The text names the merge: the box differs in both.
    assert "counted twice" in broken["messages"][0]["text"]
    assert broken["bars"][0]["high"] == 2 and len(broken["answers"]) == 2


def test_a_foreign_base_is_warned_of(zoo_env: Path, shop: Workshop) -> None:
    broken = outcome(shop, "wrong-base", False)
    assert "this is another base" in broken["messages"][0]["text"]
    assert str(shop.room(".")) not in str(broken)
    assert set(bars(broken, 1)) == {"layer 0", "layer 1"}
    assert all(1.3 < float(length) < 1.7 for length in bars(broken, 1).values())  # about root 2


def test_what_came_true_is_an_option_of_the_prediction(zoo_env: Path, shop: Workshop) -> None:
    outcomes = {
        (case.name, repaired): outcome(shop, case.name, repaired)["outcome"]
        for case in CASES
        for repaired in (False, True)
    }
    assert all(
        outcomes[case.name, repaired] in case.options
        for case in CASES
        for repaired in (False, True)
    )
    assert outcomes["wrong-base", False] == outcomes["factor-six", False] == NONE
    assert outcomes["float16", False] == SILENT
    assert (outcomes["vocabulary", False], outcomes["vocabulary", True]) == (REFUSED, PASSED)


def test_predictions_have_options_of_equal_length_and_cases_questions_of_their_own() -> None:
    for case in CASES:
        lengths = [len(option) for option in case.options]
        assert max(lengths) - min(lengths) <= 2, case.name
    assert len({case.question for case in CASES}) == len(CASES)


def test_opposite_deltas_cancel_out(zoo_env: Path, shop: Workshop) -> None:
    added = bars(outcome(shop, "opposite-signs", False), 1)
    assert added["both added"] == "30\u202f%"  # 1 - 0.7
    opposed = open_checkpoint(str(shop.room("math-opposed")))
    base, math = open_checkpoint("zoo:base"), open_checkpoint("zoo:math")
    name = "model.layers.0.self_attn.q_proj.weight"
    w, t, o = (to_float32(checkpoint.raw(name), "BF16") for checkpoint in (base, math, opposed))
    assert np.abs(o - (w - 0.7 * (t - w))).max() <= np.abs(w).max() * 2**-8


def test_what_stays_and_how_long_it_is(zoo_env: Path, shop: Workshop) -> None:
    kept = bars(outcome(shop, "one-percent", False), 1)
    assert list(kept) == ["keep 1\u202f% (this merge)", "keep 10\u202f%", "keep 20\u202f%"]
    lengths = bars(outcome(shop, "factor-six", False), 1)
    # ‖D'‖² = a² ‖P1‖² + ‖P2‖²: the lengths at 1 and 2 give the one at 6.
    length_1, length_2, length_6 = (
        float(lengths[f"factor {a}"]) for a in ("1", "2", "6 (this merge)")
    )
    first = (length_2**2 - length_1**2) / 3
    assert length_6 == pytest.approx((length_1**2 + 35 * first) ** 0.5, rel=0.1)


def test_every_case_is_told_and_no_other_is_run(shop: Workshop) -> None:
    for case in CASES:
        assert all(asdict(case).values())
    assert [case.name for case in CASES] == list(RUNS) and len(RUNS) == 7
    with pytest.raises(UnknownName, match="Did you mean 'float16'"):
        run_case("float61", False, shop)
