"""The engine: replies computed in a batch equal those computed alone."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from dppa_core.errors import Cancelled, NonFiniteWeights
from dppa_core.models.decode import token_steps
from dppa_core.models.engine import Engine
from dppa_core.models.own_step import knows
from dppa_core.models.sampling import greedy, sampler
from tests.models.test_own_step import TEXT, model_of

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def models() -> tuple[Any, ...]:
    """Two models with our step, one computed by transformers."""
    torch.manual_seed(1)
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=60, n_positions=64, n_embd=16, n_layer=2, n_head=2))
    results = (model_of("llama"), model_of("qwen3"), gpt.eval())
    assert [knows(model) for model in results] == [True, True, False]
    return results


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


QUESTION = st.tuples(st.integers(0, 2), TEXT, TEXT, st.integers(1, 12))


@given(questions=st.lists(QUESTION, min_size=1, max_size=8), workers=st.integers(1, 2))
@settings(max_examples=25)
def test_logits_are_the_same_whoever_joins_leaves_or_stops(
    models: tuple[Any, ...], questions: list[Any], workers: int
) -> None:
    engine = Engine(workers)

    def ask(question: Any, steps: Any) -> torch.Tensor:
        model, text, answer, leaves = question
        drawn, following = list[torch.Tensor](), iter(answer)

        def choose(logits: torch.Tensor) -> torch.Tensor:  # no choice depends on rounding
            drawn.append(logits)
            return torch.tensor([next(following)])

        tokens = steps(models[model], text, choose, len(answer), None)
        for _ in range(min(leaves, len(answer))):
            next(tokens)
        tokens.close()
        return torch.cat(drawn[:leaves])

    with ThreadPoolExecutor(len(questions)) as pool:
        beside = list(pool.map(lambda question: ask(question, engine.steps), questions))
    for logits, question in zip(beside, questions, strict=True):
        torch.testing.assert_close(logits, ask(question, token_steps), atol=1e-5, rtol=1e-5)
    engine.close()


def test_a_turn_that_ends_at_once_is_never_run_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, counted = Engine(4), list[int]()
    submit = engine._threads.submit

    def slow_submit(*work: Any) -> Any:  # the turn ends before the caller of submit goes on
        future = submit(*work)
        time.sleep(0.002)
        return future

    monkeypatch.setattr(engine._threads, "submit", slow_submit)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(engine.once, partial(counted.append, place)) for place in range(200)]
        assert [future.result(30) for future in futures] == [None] * 200
    assert sorted(counted) == list(range(200))
    engine.close()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_tokens_losses_and_entropies_are_those_of_a_model_alone(
    models: tuple[Any, ...], engine: Engine, temperature: float
) -> None:
    texts = [[1, 2, 3], [4], [5, 6]]

    def begun(text: list[int], steps: Any) -> Any:
        return steps(models[0], text, sampler(temperature, 0.9, 7), 6)

    runs = [begun(text, engine.steps) for text in texts]
    results = [list(run) for run in zip(*runs, strict=True)]  # a token of each in turn
    for row, text in enumerate(texts):
        alone = list(begun(text, token_steps))
        for (token, batched), (expected, numbers) in zip(
            [step[row] for step in results], alone, strict=True
        ):
            assert token == expected
            assert batched.loss == pytest.approx(numbers.loss, abs=1e-4)
            assert batched.entropy == pytest.approx(numbers.entropy, abs=1e-4)


def test_stop_ends_a_reply_within_a_token_and_no_other(
    models: tuple[Any, ...], engine: Engine
) -> None:
    stop = threading.Event()
    stopped = engine.steps(models[0], [1], greedy, 50, stop)
    waiting = engine.steps(models[0], [2], greedy, 50)
    next(stopped), next(waiting)
    stop.set()
    with pytest.raises(Cancelled):
        for _ in range(50):
            next(stopped)
    assert len(list(waiting)) == 49


def test_a_model_without_numbers_fails_its_own_replies_alone(
    models: tuple[Any, ...], engine: Engine
) -> None:
    norm = models[1].model.norm.weight.detach()
    before = norm.clone()
    norm[0] = float("nan")
    try:
        with pytest.raises(NonFiniteWeights):
            list(engine.steps(models[1], [1, 2], greedy, 4))
        assert len(list(engine.steps(models[0], [1, 2], greedy, 4))) == 4
    finally:
        norm.copy_(before)
    assert len(list(engine.steps(models[1], [1, 2], greedy, 4))) == 4, "and it goes on"


def test_a_first_token_goes_before_replies_that_are_continued(models: tuple[Any, ...]) -> None:
    engine, order = Engine(), list[str]()
    going = [engine.steps(model, [1, 2], greedy, 40) for model in models[1:]]
    for reply in going:
        next(reply)

    def late() -> None:
        next(engine.steps(models[0], [3], greedy, 1))
        order.append("first token")

    thread = threading.Thread(target=late)
    thread.start()
    written = [list(reply) for reply in going]
    order.append("the others' last")
    thread.join()
    assert order[0] == "first token" and [len(tokens) for tokens in written] == [39, 39]
    engine.close()


def test_a_closed_engine_ends_what_waits(models: tuple[Any, ...]) -> None:
    engine = Engine()
    reply = engine.steps(models[0], [1], greedy, 10_000)
    next(reply)
    engine.close()
    with pytest.raises(Cancelled):
        begun = time.monotonic()
        while time.monotonic() < begun + 20:
            next(reply)
    with pytest.raises(Cancelled):
        next(engine.steps(models[0], [1], greedy, 5))
