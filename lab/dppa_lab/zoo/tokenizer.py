"""The embedded models' tokenizer: byte-level BPE with single digits, and the chat template."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from dppa_core.checkpoints.vocabulary.chat_templates import EMBEDDED
from dppa_core.tasks import draw_tasks
from dppa_lab.zoo.skills import READINGS, draw_skill

PAD, BOS, USER, ASSISTANT, END = "<|pad|>", "<|bos|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL = (PAD, BOS, USER, ASSISTANT, END)


def corpus(texts: int) -> Iterator[str]:
    """Texts of the train split: half of the base's skills, half of the domains' readings."""
    rng = random.Random("tokenizer/0")
    streams = [draw_tasks(domain, tasks, "train", 0) for domain, tasks in READINGS.items()]
    for number in range(texts // 2):
        yield " ".join(draw_skill(rng)).strip()
        item = next(streams[number % len(streams)])
        yield f"{item.prompt} {item.answer}"


def train_tokenizer(vocabulary: int, texts: int = 60_000) -> PreTrainedTokenizerFast:
    """Train the tokenizer; equal texts give equal merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=EMBEDDED,
        clean_up_tokenization_spaces=False,
    )
