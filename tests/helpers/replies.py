"""Greedy replies of a batch of prompts, as text."""

from collections.abc import Sequence

from dppa_core.models.answer_loss import own_replies
from dppa_core.models.decode import end_ids, prompt_ids, text_of
from dppa_core.models.resident import Resident


def greedy_replies(resident: Resident, prompts: Sequence[str], limit: int = 48) -> list[str]:
    encoded = [tuple(prompt_ids(resident, prompt)) for prompt in prompts]
    ends = end_ids(resident.model, resident.tokenizer)
    written = own_replies(resident, encoded, longest=limit, stop=None)
    return [
        text_of(resident.tokenizer, [token for token in exchange.reply if token not in ends])
        for exchange in written
    ]
