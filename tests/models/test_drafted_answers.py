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


def own(resident: Resident, longest: int) -> tuple[Exchange, ...]:
    prompts = [tuple(prompt_ids(resident, prompt)) for prompt in PROMPTS]
    return own_replies(resident, prompts, longest=longest, stop=None)


def drafts(own: Sequence[Exchange]) -> list[Exchange]:
    """The reply, its start, one wrong from the middle, one wrong at once, one token."""
    right, part, astray, at_once, short = own
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
    one = resident.model.config
    heads = one.num_key_value_heads * one.head_dim
    asked = [Exchange((1,) * 7, (2,) * 3), Exchange((1,), (2,) * 5)]
    each = 2 * one.num_hidden_layers * heads * 4 * (10 + 12) + 4 * one.vocab_size * (5 + 1)
    assert fitting(resident.model, asked, 12, 4 * 9 * each) == 9
    assert fitting(resident.model, asked, 12, 4 * 9 * each - 4) == 8
    assert fitting(resident.model, asked, 12, 0) == 1


@pytest.mark.parametrize("missing", ["num_attention_heads", "vocab_size", "hidden_size"])
def test_a_configuration_that_tells_no_size_of_keys_bounds_no_batch(
    resident: Resident, missing: str
) -> None:
    told = {"num_attention_heads": 2, "hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 9}
    model = SimpleNamespace(config=SimpleNamespace(**told), dtype=torch.float32)
    assert fitting(model, [Exchange((1,), (2,))], 12, 10**9)
    delattr(model.config, missing)
    assert fitting(model, [Exchange((1,), (2,))], 12, 0) is None


def test_short_memory_makes_batches_smaller(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[int]()
    monkeypatch.setattr(module, "free_memory", lambda _model: 1)
    answers(resident, own(resident, 3), longest=3, progress=seen.append)
    assert seen == list(range(1, len(seen) + 1))


@pytest.mark.parametrize("together", [1, 2, 5])
@WAYS
def test_a_draft_changes_no_reply(
    resident: Resident,
    together: int,
    way: Callable[[Any], Texts],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "texts_of", way)
    written = own(resident, 12)
    found = answers(resident, drafts(written), longest=12, together=together)
    assert [one.reply for one in found] == [
        text_of(resident.tokenizer, [t for t in one.reply if t != 2]) for one in written
    ]


@WAYS
def test_losses_are_those_of_each_answer_by_itself(
    resident: Resident, way: Callable[[Any], Texts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "texts_of", way)
    read = drafts(own(resident, 8))
    found = answers(resident, read, longest=8)
    for one, exchange in zip(found, read, strict=True):
        with torch.inference_mode():
            loss = float(surprise(*reply_logits(resident.model, [exchange])).double().sum())
        assert one.loss == pytest.approx(loss, rel=1e-5) and one.tokens == len(exchange.reply)


def test_a_reply_ends_where_its_draft_ends_it(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = own(resident, 6)[0]
    last = written.reply[3]  # pretend that this token ends replies
    monkeypatch.setattr(module, "end_ids", lambda model, tokenizer: frozenset({last}))
    first = written.reply.index(last)
    for draft in (written.reply, written.reply[:1]):
        found = answers(resident, [Exchange(written.prompt, draft)], longest=6)
        assert found[0].reply == text_of(resident.tokenizer, written.reply[:first])


def test_a_longer_draft_makes_no_longer_reply(resident: Resident) -> None:
    written = own(resident, 9)
    found = answers(resident, written, longest=4)
    assert [one.reply for one in found] == [
        text_of(resident.tokenizer, [t for t in one.reply[:4] if t != 2]) for one in written
    ]


def test_progress_is_told_batch_by_batch_and_stop_ends_the_work(resident: Resident) -> None:
    seen: list[int] = []
    answers(resident, own(resident, 3), longest=3, together=2, progress=seen.append)
    assert seen == [2, 4, 5]
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        answers(resident, own(resident, 3), stop=stop)


def test_workers_share_the_cores_and_change_no_reply_and_no_loss(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, drafted = drafts(own(resident, 8)), module._drafted
    alone = answers(resident, read, longest=8, together=1)
    busy = threading.Lock()

    def watched(*given: Any) -> Iterator[Any]:
        assert busy.acquire(blocking=False)
        yield from drafted(*given)
        busy.release()

    assert answers(resident, read, longest=8, together=1, workers=3) == alone
    monkeypatch.setattr(module, "_CORES", threading.BoundedSemaphore(1))
    monkeypatch.setattr(module, "_drafted", watched)
    assert answers(resident, read, longest=8, together=1, workers=3) == alone
