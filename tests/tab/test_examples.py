"""Every example of the pinned question breaks once as more is pruned, and stays broken."""

from dataclasses import replace

import pytest

from components.session.presets import first_session
from components.views.see.pinned import examples, opening_question
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.generate import stream_reply
from dppa_core.models.reply import GenerationSettings
from dppa_core.tasks import example_of, score

RATES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
"""None, half, those of the row of four, and the most that the slider allows."""


@pytest.mark.long
def test_each_example_goes_wrong_at_one_rate_and_stays_wrong() -> None:
    pool, settings = ModelPool(64 << 20), GenerationSettings(48)
    marks: dict[str, list[bool]] = {}
    for rate in RATES:
        with pool.lend(replace(first_session(), rate=rate).recipe()) as merge:
            for example in examples():
                prompt = example["prompt"]
                *_, reply = stream_reply(merge, prompt, settings)
                item = example_of(prompt)
                assert item is not None
                marks.setdefault(prompt, []).append(score(item, reply))
    assert opening_question() in marks
    for prompt, right in marks.items():
        assert right == sorted(right, reverse=True) and right[0] and not right[-1], prompt
