"""Golden values of what a browser's tab computes itself, by the library, which is the definition.

`python -m tests.reference.tab_golden` records them anew after an intended change: kept counts of
plans, SHA-256 of merged tensors, token ids and decoded texts, greedy answers, readings. Long lists
are kept as digests of a few values each; where one differs, the values are computed again.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.models.decode import end_ids, greedy_tokens, prompt_ids
from dppa_core.models.generate import read_text
from dppa_core.models.loading import load_tokenizer
from dppa_core.models.resident import Resident
from dppa_core.models.texts import texts_of
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from tests.reference.tab_cases import (
    ANSWERERS,
    BASE,
    READINGS,
    RECIPES,
    Plan,
    questions,
    random_plans,
    sample,
    texts,
)

FILE = Path(__file__).with_name("tab_golden.json")
DIGITS, TOGETHER, LIMIT = 8, 8, 48
"""Hexadecimal digits of a digest, values that share one, most tokens of an answer."""


def digests(values: Sequence[Any]) -> list[str]:
    """A digest of every `TOGETHER` values, in their order; the last one may have fewer."""
    parts = (values[start : start + TOGETHER] for start in range(0, len(values), TOGETHER))
    plain = (json.dumps(part, separators=(",", ":")) for part in parts)
    return [hashlib.sha256(text.encode()).hexdigest()[:DIGITS] for text in plain]


def split(joined: str) -> list[str]:
    """Recorded digests, apart."""
    return [joined[start : start + DIGITS] for start in range(0, len(joined), DIGITS)]


def kept_counts(plans: Iterable[Plan]) -> list[list[list[int]]]:
    """Of each plan, elements kept by level and module."""
    counts = []
    for model, levels, strength in plans:
        profile = cached_profile(BASE, model)
        modules = plan_pruning(profile, levels, PruningParameters(strength=strength)).modules
        counts.append([[m.levels[k].kept for m in modules] for k in range(len(levels))])
    return counts


def weights(name: str) -> list[str]:
    """The beginning of the SHA-256 of every merged tensor of a recipe, in the order of names."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "merge"
        merge_to_folder(RECIPES[name], out, sync=False)
        tensors = json.loads((out / "merge.json").read_text("utf-8"))["tensors"]
    hashes = {tensor["name"]: tensor["sha256"] for tensor in tensors}
    return [hashes[tensor][:DIGITS] for tensor in sorted(hashes)]


def tokens(parts: Iterable[str]) -> list[tuple[list[int], str]]:
    """Token ids of texts, and the text of these ids."""
    tokenizer = load_tokenizer(open_checkpoint(BASE))
    numbers = (
        [int(i) for i in tokenizer(text, add_special_tokens=False)["input_ids"]] for text in parts
    )
    return [(ids, tokenizer.decode(ids, skip_special_tokens=True)) for ids in numbers]


@cache
def _pool() -> ModelPool:
    return ModelPool()


def resident(answerer: str) -> Resident:
    """A model alone (`zoo:…`), or the merge of a recipe."""
    return _pool().get(RECIPES.get(answerer, answerer))


def answers(answerer: str, prompts: Sequence[str]) -> list[list[int]]:
    """Token ids of greedy answers, each with its end token."""
    model = resident(answerer)
    ends = end_ids(model.model, model.tokenizer)
    ids = [prompt_ids(model, prompt) for prompt in prompts]
    return greedy_tokens(model.model, ids, ends, limit=LIMIT)


def gaps(answerer: str, prompt: str, written: Sequence[int]) -> list[float]:
    """How far the two largest logits lie apart before each token of an answer."""
    model = resident(answerer)
    text = [*prompt_ids(model, prompt), *written]
    logits = texts_of(model.model).read([text[:-1]], [len(written)])[0]
    return [float(a - b) for a, b in logits.topk(2).values.tolist()]


def reading(answerer: str, question: int, reply: str) -> dict[str, Any]:
    """How a model reads the beginning of a reply."""
    read = read_text(resident(answerer), questions()[question], reply)
    return {
        "loss": read.loss,
        "next": [[token.text, token.end, round(token.logit, 6)] for token in read.next],
        "log_sums": [round(value, 6) for value in read.log_sums],
    }


@cache
def golden() -> dict[str, Any]:
    """The recorded values."""
    values: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return values


def record() -> dict[str, Any]:
    """All of them, computed now."""
    return {
        "plans": "".join(digests(kept_counts(random_plans()))),
        "weights": {name: "".join(weights(name)) for name in RECIPES},
        "texts": "".join(digests(tokens(texts()))),
        "answers": {name: "".join(digests(answers(name, sample(name)))) for name in ANSWERERS},
        "readings": [reading(*case) for case in READINGS],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(record(), indent=1, ensure_ascii=False) + "\n", "utf-8")
