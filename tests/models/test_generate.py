"""Replies: seeded, bounded, streamed, stopped within a token."""

import math
import threading
from dataclasses import replace

import pytest
import torch

from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.decode import prompt_ids, rendered_prompt
from dppa_core.models.generate import stream_reply, stream_tokens
from dppa_core.models.reply import GenerationSettings, ReplyToken
from dppa_core.models.resident import Resident
from tests.helpers.replies import greedy_replies

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


@pytest.mark.parametrize("settings", [(12, 0.0, 1.0), (12, 1.3, 0.9)])
def test_loss_and_entropy_are_those_of_one_pass_over_the_whole_reply(
    resident: Resident, settings: tuple[int, float, float]
) -> None:
    tokens = list(stream_tokens(resident, "three", GenerationSettings(*settings, seed=3)))
    before, written = prompt_ids(resident, "three"), [token.id for token in tokens]
    with torch.inference_mode():
        logits = resident.model(torch.tensor([before + written])).logits[0].float()
    logs = logits.log_softmax(-1)[len(before) - 1 :]
    assert len(written) > 2
    for row, token in zip(logs, tokens, strict=False):
        assert token.loss == pytest.approx(-float(row[token.id]), abs=1e-4)
        assert token.entropy == pytest.approx(
            -float((row.exp() * row).sum()) / math.log(2), abs=1e-4
        )


def ending_at(resident: Resident, monkeypatch: pytest.MonkeyPatch, step: int) -> list[ReplyToken]:
    """A greedy reply that the token of one step ends."""
    settings = GenerationSettings(12)
    ends = list(stream_tokens(resident, "three", settings))[step].id
    monkeypatch.setattr(resident.model.generation_config, "eos_token_id", ends)
    return list(stream_tokens(resident, "three", settings))


def test_the_token_that_ends_a_reply_counts_and_has_no_text(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = ending_at(resident, monkeypatch, 5)
    assert [token.last for token in tokens] == [*[False] * (len(tokens) - 1), True]
    assert tokens[-1].loss > 0
    if len(tokens) > 1:
        assert (tokens[-1].text, tokens[-1].end) == (tokens[-2].text, tokens[-2].end)


def test_ends_of_tokens_cut_the_reply_into_its_tokens(resident: Resident) -> None:
    class Reader:
        """Decodes a reply with a letter of two tokens between spaces."""

        chat_template, eos_token_id = None, None

        def __call__(self, _text: str, **_: object) -> dict[str, list[int]]:
            return {"input_ids": [3]}

        def decode(self, ids: list[int], **_: object) -> str:
            whole = b"  caf\xc3\xa9  au "
            return whole[: len(ids)].decode(errors="replace")

    tokens = list(stream_tokens(replace(resident, tokenizer=Reader()), "x", GenerationSettings(12)))
    assert [token.end for token in tokens][:9] == [0, 0, 1, 2, 3, 3, 4, 5, 6]
    assert tokens[-1].text == "café  au" and tokens[6].text == "café"


def test_the_prompt_is_shown_as_the_template_makes_it(resident: Resident) -> None:
    assert rendered_prompt(resident, "a <b>") == (
        "<|start|>user\na <b><|end|>\n<|start|>assistant\n"
    )


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
