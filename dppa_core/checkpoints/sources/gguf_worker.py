"""Converts the GGUF model in a folder into a checkpoint there; a process of its own.

`python -m dppa_core.checkpoints.sources.gguf_worker FOLDER` reads FOLDER/model.gguf, writes the
model, its tokenizer and their settings beside it, and removes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

FILE = "model.gguf"


def convert(folder: Path) -> None:
    """Dequantise the model, round it to bfloat16 and save it."""
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE)
    del model.config.quantization_config  # dequantised: it is a plain model from here on
    model.hf_quantizer = None
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=FILE)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / FILE).unlink()


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
