"""Reading a given text: losses and next tokens equal those of transformers' forward pass."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from dppa_core.errors import InvalidValue
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.decode import answer_ids, prompt_ids
from dppa_core.models.engine import Engine
from dppa_core.models.generate import read_text, stream_tokens
from dppa_core.models.reply import LIKELIEST_TOKENS, TEMPERATURES, GenerationSettings
from dppa_core.models.resident import Resident

pytestmark = pytest.mark.usefixtures("one_torch_thread")
PROMPT = "Tom has 12 apples. Tom buys 5 more. How many apples does Tom have now?"


@pytest.fixture(scope="module")
def resident() -> Resident:
    return ModelPool(public=True).get("zoo:math")


@pytest.mark.parametrize("text", ["", "12 + 5", "12 + 5 = 17. The answer is 17."])
def test_loss_and_next_tokens_are_those_of_transformers(resident: Resident, text: str) -> None:
    reading = read_text(resident, PROMPT, text)
    prompt, reply = prompt_ids(resident, PROMPT), answer_ids(resident, text)
    with torch.inference_mode():
        logits = resident.model(input_ids=torch.tensor([prompt + reply])).logits[0].float()
    losses = -logits.log_softmax(-1)[len(prompt) - 1 : -1]
    expected = sum(float(row[token]) for row, token in zip(losses, reply, strict=True))
    assert reading.loss == pytest.approx(expected / len(reply), abs=1e-4)
    after = logits[-2]  # of the position whose next token would be the end token
    best = after.topk(LIKELIEST_TOKENS)
    logits_of_best = [candidate.logit for candidate in reading.next]
    assert logits_of_best == pytest.approx(best.values.tolist(), abs=1e-3)
    for temperature, log_sum in zip(TEMPERATURES, reading.log_sums, strict=True):
        shares = (after / temperature).softmax(-1)[best.indices].tolist()
        computed = [math.exp(logit / temperature - log_sum) for logit in logits_of_best]
        assert computed == pytest.approx(shares, abs=1e-4)


def test_the_likeliest_next_token_is_the_one_the_model_writes(resident: Resident) -> None:
    written = list(stream_tokens(resident, PROMPT, GenerationSettings(40)))
    for before, after in zip(written, written[1:], strict=False):
        best = read_text(resident, PROMPT, before.text).next[0]
        assert best.end == after.last
        if not after.last:
            assert after.text.endswith(best.text.strip())


def test_a_text_beyond_the_last_position_is_refused(resident: Resident) -> None:
    with pytest.raises(InvalidValue, match="takes"):
        read_text(resident, PROMPT, "12 + 5 = 17. " * 150)


def test_the_engine_computes_between_replies_and_hands_errors_on() -> None:
    engine, threads = Engine(), set[str]()

    def work(number: int) -> int:
        threads.add(threading.current_thread().name)
        if number == 3:
            raise InvalidValue("three")
        return number

    def ask(number: int) -> int | str:
        try:
            return engine.once(lambda: work(number))
        except InvalidValue as error:
            return str(error)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(6))) == [0, 1, 2, "three", 4, 5]
    assert {name.rsplit("_", 1)[0] for name in threads} == {"dppa-engine"}
    engine.close()
