"""A short real training of an embedded model, with the checkpoints that it leaves."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BASE = Path(__file__).parents[2] / "assets" / "zoo" / "base"
TEXT = "Tom has 12 apples and buys 5 more. How many apples does Tom have now? 17. "


def train(folder: Path, saves: int, every: int = 2) -> Path:
    """Steps of AdamW on a text, a checkpoint after every few; returns the folder."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    ids = torch.tensor([tokenizer(TEXT * 4)["input_ids"]])
    for step in range(1, saves * every + 1):
        batch = ids[:, torch.randint(0, 40, ()) :][:, :32]
        model(batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % every == 0:
            at = folder / f"checkpoint-{step}"
            model.save_pretrained(at)
            tokenizer.save_pretrained(at)
    return folder
