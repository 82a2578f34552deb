"""Random Llama checkpoints of known sizes, with deltas like those of fine-tuning.

Nothing is trained. Real deltas may be smaller and so have more ties.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.shard_writer import WeightsWriter
from dppa_core.pruning.floats import from_float32, to_float32

BASE, DOMAINS = "base", ("math", "finance", "law")
SHARD_BYTES = 400_000_000
_SLICE = 1 << 22


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a Llama model with tied embeddings."""

    layers: int
    hidden: int
    intermediate: int
    key_value: int
    """Rows of the key and the value projection."""
    heads: int
    vocabulary: int

    def tensors(self) -> list[TensorSpec]:
        """All tensors, in bfloat16."""
        h, i, kv = self.hidden, self.intermediate, self.key_value
        inside = {
            "input_layernorm": (h,),
            "self_attn.q_proj": (h, h),
            "self_attn.k_proj": (kv, h),
            "self_attn.v_proj": (kv, h),
            "self_attn.o_proj": (h, h),
            "post_attention_layernorm": (h,),
            "mlp.gate_proj": (i, h),
            "mlp.up_proj": (i, h),
            "mlp.down_proj": (h, i),
        }
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens": (self.vocabulary, h)}
        for layer in range(self.layers):
            shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in inside.items()}
        shapes["model.norm"] = (h,)
        return [TensorSpec(f"{name}.weight", "BF16", shape) for name, shape in shapes.items()]

    def config(self) -> dict[str, object]:
        """The config.json of such a model."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value * self.heads // self.hidden,
            "head_dim": self.hidden // self.heads,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
        }


SIZES = {
    "S": Size(30, 576, 1536, 192, 9, 49152),
    "M": Size(24, 896, 4864, 128, 14, 151936),
    "B": Size(22, 2048, 5632, 256, 32, 65536),
    "L": Size(28, 1536, 8960, 256, 12, 151936),
    "M-1": Size(1, 896, 4864, 128, 14, 151936),
}
"""135 million, 494 million, 1.1 billion and 1.5 billion parameters; M with a single layer."""


def make(name: str, folder: Path) -> Path:
    """The folder with `base` and three domain models of one size; made if missing.

    Args:
        name: One of `SIZES`.
        folder: Where a folder of that name goes.
    """
    target = folder / name
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name}-"))
    try:
        _write(SIZES[name], fresh)
        os.replace(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # already moved into place
    return target


def _write(size: Size, folder: Path) -> None:
    specs = size.tensors()
    with ExitStack() as stack:
        writers = {}
        for model in (BASE, *DOMAINS):
            (folder / model).mkdir()
            (folder / model / "config.json").write_text(json.dumps(size.config(), indent=2))
            writer = WeightsWriter(folder / model, specs, SHARD_BYTES)
            writers[model] = stack.enter_context(closing(writer))
        for spec in specs:
            for start, parts in _slices(spec):
                for model, raw in parts.items():
                    writers[model].place(spec.name, raw, start)
        for writer in writers.values():
            writer.finish()


def _slices(spec: TensorSpec) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """The tensor of all four models, slice by slice: (first element, model -> raw)."""
    seed = zlib.crc32(spec.name.encode())
    spread = np.random.default_rng(seed).uniform(0.01, 0.1, len(DOMAINS))
    deviation = np.float32(0.02)
    for start in range(0, spec.numel, _SLICE):
        rng = np.random.default_rng([seed, start])
        count = min(_SLICE, spec.numel - start)
        weights = rng.standard_normal(count, np.float32) * deviation
        if len(spec.shape) == 1:  # a norm
            weights += 1
        raw = from_float32(weights, "BF16")
        parts, base = {BASE: raw}, to_float32(raw, "BF16")
        for domain, share in zip(DOMAINS, spread, strict=True):
            noise = _student(rng, count) * (np.float32(share) * deviation)
            parts[domain] = from_float32(base + noise, "BF16")
        yield start, parts


def _student(rng: np.random.Generator, count: int) -> np.ndarray:
    """Student's t with 4 degrees of freedom: a normal over the root of half a gamma."""
    squares = rng.standard_exponential(count, np.float32)
    squares += rng.standard_exponential(count, np.float32)
    return rng.standard_normal(count, np.float32) * np.sqrt(np.float32(2) / squares)


def main() -> None:
    """Read the arguments, make models, print where they are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthetic", description=__doc__)
    parser.add_argument("size", choices=SIZES, nargs="+")
    parser.add_argument("--folder", type=Path, required=True, help="where the models go")
    arguments = parser.parse_args()
    for name in arguments.size:
        sys.stdout.write(f"{make(name, arguments.folder)}\n")


if __name__ == "__main__":
    main()
