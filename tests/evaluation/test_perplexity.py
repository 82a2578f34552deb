"""Perplexity in windows: every token once, equal to a plain loop, clear refusals."""

import math
import threading
from pathlib import Path

import pytest
import torch

from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.evaluation.perplexity import perplexity, read_text, windows
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.resident import Resident

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
TEXT = "The term is fair. " * 3 + "Who ends it?"


@pytest.fixture
def resident() -> Resident:
    return ModelPool().get("zoo:math")


def test_windows_of_4_by_2_over_9_tokens() -> None:
    spans = list(windows(9, 4, 2))
    assert spans == [(0, 1, 4), (2, 4, 6), (4, 6, 8), (6, 8, 9)]


@pytest.mark.parametrize(("n", "window", "stride"), [(2, 2, 1), (7, 4, 3), (50, 8, 1), (5, 9, 4)])
def test_every_token_but_the_first_counts_once(n: int, window: int, stride: int) -> None:
    counted = [at for _, first, end in windows(n, window, stride) for at in range(first, end)]
    assert counted == list(range(1, n))
    assert all(
        start < first and end - start <= window for start, first, end in windows(n, window, stride)
    )


def test_the_loss_is_that_of_a_loop_over_tokens(resident: Resident) -> None:
    ids = resident.tokenizer(TEXT)["input_ids"]
    total = 0.0
    for start, first, end in windows(len(ids), 16, 5):
        for at in range(first, end):
            with torch.inference_mode():
                logits = resident.model(torch.tensor([ids[start:at]])).logits[0, -1]
            total -= float(logits.log_softmax(-1)[ids[at]])
    result = perplexity(resident, TEXT, window=16, stride=5)
    assert result.tokens == len(ids) - 1 and result.bytes == len(TEXT)
    assert result.loss.value == pytest.approx(total / result.tokens, rel=1e-5)
    assert result.perplexity.value == pytest.approx(math.exp(total / result.tokens), rel=1e-5)
    assert result.bits_per_byte == pytest.approx(total / math.log(2) / len(TEXT), rel=1e-5)
    assert result.loss.low <= result.loss.value <= result.loss.high


def test_a_window_ends_where_the_models_positions_end(resident: Resident) -> None:
    assert perplexity(resident, TEXT, window=10_000).window == 256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 1}, "window must be at least 2"),
        ({"window": 8, "stride": 8}, "stride must lie in 1 to 7"),
        ({"stride": 0}, "stride must lie in 1 to 255"),
    ],
)
def test_what_is_out_of_range_is_named(
    resident: Resident, options: dict[str, int], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        perplexity(resident, TEXT, **options)


def test_a_text_that_is_none_is_refused(resident: Resident, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="1 tokens; 2 is the least"):
        perplexity(resident, "a")
    path = tmp_path / "text"
    for content, message in ((b"\xff\xfe", "no plain text"), (b" \n", "holds no text")):
        path.write_bytes(content)
        with pytest.raises(InvalidValue, match=message):
            read_text(path)
    with pytest.raises(InvalidValue, match="cannot be read"):
        read_text(tmp_path / "nowhere")
    with pytest.raises(InvalidValue, match="cannot be read"):
        read_text(tmp_path)


def test_stop_ends_it(resident: Resident) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        perplexity(resident, TEXT, stop=stop)
