"""The embedded models: our step gives transformers' greedy words from equal logits."""

import os

import pytest
import torch

from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.decode import end_ids, prompt_ids
from dppa_core.models.own_step import OwnStep
from dppa_core.models.texts import ForeignTexts, OwnTexts
from dppa_core.tasks import DOMAINS, items

pytestmark = pytest.mark.usefixtures("one_torch_thread")
ALL = os.environ.get("DPPA_CASES") == "all"
ITEMS = None if ALL else 8
"""Test items of each domain; `make test-all` takes them all."""
TOGETHER, LONGEST = 64, 48
CLOSE = 1e-5
"""Of the largest logit, which is about 20: sums in another order differ by float32's rounding."""


@pytest.mark.cases(2)
@pytest.mark.parametrize("name", ["base", *DOMAINS])
def test_greedy_words_and_logits_are_those_of_transformers(name: str) -> None:
    resident = ModelPool(public=True).get(f"zoo:{name}")
    ends = end_ids(resident.model, resident.tokenizer)
    questions = [item.prompt for domain in DOMAINS for item in items(domain, n=ITEMS)]
    for start in range(0, len(questions), TOGETHER):
        prompts = [prompt_ids(resident, text) for text in questions[start : start + TOGETHER]]
        native, foreign = OwnTexts(OwnStep(resident.model)), ForeignTexts(resident.model)
        kept = [1] * len(prompts)
        logits, expected = (torch.cat(way.read(prompts, kept)) for way in (native, foreign))
        ended = torch.zeros(len(prompts), dtype=torch.bool)
        for _ in range(LONGEST):
            assert (logits - expected)[~ended].abs().max() < CLOSE * expected.abs().max()
            tokens = expected.argmax(-1)
            assert torch.equal(logits.argmax(-1)[~ended], tokens[~ended])
            ended |= torch.tensor([int(token) in ends for token in tokens])
            if bool(ended.all()):
                break
            logits, expected = native.step(tokens), foreign.step(tokens)
