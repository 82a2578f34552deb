"""Replies: seeded, bounded, streamed, stopped within a token."""

import threading

import pytest

from dppa_core.decode import greedy_replies
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.generate import GenerationSettings, stream_reply
from dppa_core.pool import ModelPool
from dppa_core.resident import Resident

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def resident(zoo_env: object) -> Resident:
    return ModelPool().get("zoo:base")


def test_a_streamed_greedy_reply_is_the_batched_one(resident: Resident) -> None:
    prompts = ["one two", "three", "four five six", "seven"]
    batched = greedy_replies(resident, prompts, limit=12)
    settings = GenerationSettings(max_new_tokens=12)
    streamed = [[*stream_reply(resident, prompt, settings), ""] for prompt in prompts]
    assert batched == [texts[-2] if len(texts) > 1 else "" for texts in streamed]


def test_the_same_seed_gives_the_same_sample(resident: Resident) -> None:
    def sample(seed: int) -> list[str]:
        settings = GenerationSettings(16, temperature=1.0, seed=seed)
        return list(stream_reply(resident, "hello", settings))

    assert sample(3) == sample(3)
    assert any(sample(3) != sample(seed) for seed in range(4, 8))


def test_a_tiny_top_p_is_greedy(resident: Resident) -> None:
    greedy = list(stream_reply(resident, "hello", GenerationSettings(8)))
    settings = GenerationSettings(8, temperature=1.0, top_p=1e-6)
    assert list(stream_reply(resident, "hello", settings)) == greedy


def test_it_never_writes_more_tokens_than_asked(resident: Resident) -> None:
    assert len(list(stream_reply(resident, "hello", GenerationSettings(5)))) <= 5


def test_stop_ends_it_at_the_next_token(resident: Resident) -> None:
    stop = threading.Event()
    reply = stream_reply(resident, "hello", GenerationSettings(64), stop)
    next(reply)
    stop.set()
    with pytest.raises(Cancelled):
        next(reply)


def test_closing_the_generator_is_enough(resident: Resident) -> None:
    reply = stream_reply(resident, "hello", GenerationSettings(64))
    next(reply)
    reply.close()
    assert list(reply) == []


def test_an_empty_prompt_is_refused(resident: Resident) -> None:
    with pytest.raises(InvalidValue, match="empty"):
        next(stream_reply(resident, "  "))


def test_a_prompt_without_end_is_refused_with_its_length(resident: Resident) -> None:
    with pytest.raises(InvalidValue, match="2001 characters; at most 2000"):
        next(stream_reply(resident, "x" * 2001))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_new_tokens", 0),
        ("max_new_tokens", 257),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("seed", -1),
        ("seed", 2**63),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("temperature", float("nan")),
    ],
)
def test_settings_outside_their_range_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InvalidValue, match=field):
        GenerationSettings(**{field: value})
