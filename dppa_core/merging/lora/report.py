"""What an adapter holds of a merge: said before it is written, and in its card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dppa_core.errors import many
from dppa_core.merging.cards.card import CardSubject
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.pruning.tensor_names import before_blocks, in_head

USUAL_RANK = 16
"""Of what is decomposed."""
MOST_RANK = 4096
VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""
_NORM = re.compile(r"norm|(?:^|\.)ln_", re.IGNORECASE)
_USE = """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("BASE")
model = PeftModel.from_pretrained(model, "FOLDER")
```
"""


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """The content of an adapter. Shares are of the sum of squares of the merged delta."""

    base: str
    """Reference of its base, of the Hub with its commit."""
    recipe_hash: str
    modules: int
    rank: int
    """The largest of a module."""
    dtype: str
    """Of the factors: "BF16", "F16" or "F32"."""
    joined: bool
    """True if it is the merge of the recipe's adapters itself."""
    dense: str
    """What whole matrices of a recipe of adapters were needed for; empty if they were not."""
    energy: float
    """Share kept of the whole delta."""
    modules_energy: float
    """Share kept of the delta of the adapted modules."""
    worst: str
    """The module of which the smallest share is kept."""
    worst_energy: float
    left_out: Mapping[str, float]
    """Tensor that changes and is not adapted -> its share of the whole delta, the largest first."""
    nbytes: int
    """Of the factors; the file has a header beside them."""
    sha256: str = ""
    """Of the file of factors; empty before it is written."""

    @property
    def vllm_rank(self) -> int | None:
        """The --max-lora-rank it needs; None if its rank is larger than vLLM allows."""
        return next((rank for rank in VLLM_RANKS if rank >= self.rank), None)

    @property
    def text(self) -> str:
        """Size, shares kept, and what is left out, in sentences."""
        size = f"Rank {self.rank} in {self.modules} modules, {in_bytes(self.nbytes)}"
        if self.joined:
            return f"{size}: the merge of the adapters itself, nothing lost."
        kept = f"{size}: keeps {_share(self.energy)} of the change (by its squares)"
        sentences = [f"{kept}, in the worst ({self.worst}) {_share(self.worst_energy)}."]
        if self.left_out:
            sentences.append(
                f"Of the change of linear modules it keeps {_share(self.modules_energy)}; an "
                f"adapter has no other: left out are {self._left_out()}."
            )
        if self.dense:
            sentences.append(f"The adapters were made whole matrices first: {self.dense}.")
        return " ".join(sentences)

    @property
    def serving(self) -> str:
        """How vLLM serves it."""
        if self.vllm_rank is None:
            return f"vLLM serves ranks up to {VLLM_RANKS[-1]}; --rank makes a smaller adapter."
        return f"vLLM serves it with --enable-lora --max-lora-rank {self.vllm_rank}."

    @property
    def subject(self) -> CardSubject:
        """What its card says of it."""
        rank = "" if self.joined else f" --rank {self.rank}"
        rows = [f"| `{name}` | {_share(share)} |" for name, share in self.left_out.items()]
        table = ["| left out | share of the change |", "| --- | --- |", *rows, ""]
        return CardSubject(
            library="peft",
            relation="adapter",
            tags=("lora",),
            command=f"dppa pack recipe.yaml --format lora{rank} --out DIR",
            sections=(
                "## The adapter\n",
                f"{self.text} {self.serving}\n",
                *(["\n".join(table)] if rows else []),
                _USE,
            ),
        )

    def _left_out(self) -> str:
        kinds: dict[str, list[float]] = {}
        for name, share in self.left_out.items():
            kinds.setdefault(_kind(name), []).append(share)
        plurals = {"bias": "biases"}
        return ", ".join(
            f"{many(len(shares), kind, plurals.get(kind, ''))} {_share(sum(shares))}"
            for kind, shares in kinds.items()
        )


def _kind(name: str) -> str:
    """What a tensor is that no adapter holds."""
    if name.endswith(".bias"):
        return "bias"
    if before_blocks(name):
        return "embedding"
    if _NORM.search(name):
        return "norm"
    return "head" if in_head(name) else "tensor of another kind"


def _share(value: float) -> str:
    """As "91.2%"; never 100% for less."""
    text = f"{100 * value:.3g}"
    return f"{'> 99.9' if text == '100' and value < 1 else text}%"
