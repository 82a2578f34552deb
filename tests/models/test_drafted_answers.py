"""Replies drafted from right answers: the same as without drafts; the answers' losses."""

import threading
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dppa_core.errors import Cancelled
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models import drafted_answers as module
from dppa_core.models.answer_loss import Exchange, own_replies, reply_logits, surprise
from dppa_core.models.decode import prompt_ids, text_of
from dppa_core.models.drafted_answers import answers, fitting
from dppa_core.models.resident import Resident
from dppa_core.models.texts import ForeignTexts, Texts, texts_of

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
PROMPTS = ("1 + 1?", "Is this clause fair?", "A", "How much is left of the sum?", "Name it.")


@pytest.fixture
def resident() -> Resident:
    return ModelPool().get("zoo:math")


def own_exchanges(resident: Resident, longest: int) -> tuple[Exchange, ...]:
    prompts = [tuple(prompt_ids(resident, prompt)) for prompt in PROMPTS]
    return own_replies(resident, prompts, longest=longest, stop=None)


def drafts(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """The reply, its start, one wrong from the middle, one wrong at once, one token."""
    right, part, astray, at_once, short = exchanges
    return [
        right,
        Exchange(part.prompt, part.reply[:3]),
        Exchange(astray.prompt, (*astray.reply[:4], (astray.reply[4] + 1) % 250, 7, 9)),
        Exchange(at_once.prompt, ((at_once.reply[0] + 1) % 250, 8)),
        Exchange(short.prompt, short.reply[:1]),
    ]


def foreign(model: Any) -> Texts:
    """For an unknown family."""
    return ForeignTexts(model)


def uncut(model: Any) -> Texts:
    """For a model that keeps its past in one state."""
    texts = ForeignTexts(model)
    texts.can_cut = False
    return texts


WAYS = pytest.mark.parametrize("way", [texts_of, foreign, uncut])


def test_a_batch_takes_a_fourth_of_the_free_memory(resident: Resident) -> None:
    config = resident.model.config
    heads = config.num_key_value_heads * config.head_dim
    questions = [Exchange((1,) * 7, (2,) * 3), Exchange((1,), (2,) * 5)]
    keys, logits = 2 * config.num_hidden_layers * heads * 4, 4 * config.vocab_size
    question_bytes = keys * (10 + 12) + logits * (5 + 1)
    assert fitting(resident.model, questions, 12, 4 * 9 * question_bytes) == 9
    assert fitting(resident.model, questions, 12, 4 * 9 * question_bytes - 4) == 8
    assert fitting(resident.model, questions, 12, 0) == 1


@pytest.mark.parametrize("missing", ["num_attention_heads", "vocab_size", "hidden_size"])
def test_a_configuration_that_tells_no_size_of_keys_bounds_no_batch(
    resident: Resident, missing: str
) -> None:
    sizes = {"num_attention_heads": 2, "hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 9}
    model = SimpleNamespace(config=SimpleNamespace(**sizes), dtype=torch.float32)
    assert fitting(model, [Exchange((1,), (2,))], 12, 10**9)
    delattr(model.config, missing)
    assert fitting(model, [Exchange((1,), (2,))], 12, 0) is None


def test_short_memory_makes_batches_smaller(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = list[int]()
    monkeypatch.setattr(module, "free_memory", lambda _model: 1)
    answers(resident, own_exchanges(resident, 3), longest=3, progress=counts.append)
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("together", [1, 2, 5])
@WAYS
def test_a_draft_changes_no_reply(
    resident: Resident,
    together: int,
    way: Callable[[Any], Texts],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "texts_of", way)
    written = own_exchanges(resident, 12)
    drafted = answers(resident, drafts(written), longest=12, together=together)
    assert [item.reply for item in drafted] == [
        text_of(resident.tokenizer, [t for t in item.reply if t != 2]) for item in written
    ]


@WAYS
def test_losses_are_those_of_each_answer_by_itself(
    resident: Resident, way: Callable[[Any], Texts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "texts_of", way)
    read = drafts(own_exchanges(resident, 8))
    drafted = answers(resident, read, longest=8)
    for item, exchange in zip(drafted, read, strict=True):
        with torch.inference_mode():
            loss = float(surprise(*reply_logits(resident.model, [exchange])).double().sum())
        assert item.loss == pytest.approx(loss, rel=1e-5) and item.tokens == len(exchange.reply)


def test_a_reply_ends_where_its_draft_ends_it(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = own_exchanges(resident, 6)[0]
    last = written.reply[3]  # pretend that this token ends replies
    monkeypatch.setattr(module, "end_ids", lambda model, tokenizer: frozenset({last}))
    first = written.reply.index(last)
    for draft in (written.reply, written.reply[:1]):
        drafted = answers(resident, [Exchange(written.prompt, draft)], longest=6)
        assert drafted[0].reply == text_of(resident.tokenizer, written.reply[:first])


def test_a_longer_draft_makes_no_longer_reply(resident: Resident) -> None:
    written = own_exchanges(resident, 9)
    drafted = answers(resident, written, longest=4)
    assert [item.reply for item in drafted] == [
        text_of(resident.tokenizer, [t for t in item.reply[:4] if t != 2]) for item in written
    ]


def test_progress_is_told_batch_by_batch_and_stop_ends_the_work(resident: Resident) -> None:
    counts: list[int] = []
    answers(resident, own_exchanges(resident, 3), longest=3, together=2, progress=counts.append)
    assert counts == [2, 4, 5]
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        answers(resident, own_exchanges(resident, 3), stop=stop)


def test_workers_share_the_cores_and_change_no_reply_and_no_loss(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, drafted = drafts(own_exchanges(resident, 8)), module._drafted
    alone = answers(resident, read, longest=8, together=1)
    busy = threading.Lock()

    def watched(*arguments: Any) -> Iterator[Any]:
        assert busy.acquire(blocking=False)
        yield from drafted(*arguments)
        busy.release()

    assert answers(resident, read, longest=8, together=1, workers=3) == alone
    monkeypatch.setattr(module, "_CORES", threading.BoundedSemaphore(1))
    monkeypatch.setattr(module, "_drafted", watched)
    assert answers(resident, read, longest=8, together=1, workers=3) == alone
