"""Tiny random Llama checkpoints, written byte by byte, so that tests need no network and no zoo.

Does not use dppa_core: the files are written from the format's definition.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ("<|pad|>", "<|start|>", "<|end|>")
CHAT_TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a tiny Llama; every field as in its config.json."""

    layers: int = 2
    hidden: int = 32
    intermediate: int = 48
    heads: int = 4
    kv_heads: int = 2
    vocab: int = 259
    tied: bool = True

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every tensor, in file order."""
        h, kv = self.hidden, self.hidden // self.heads * self.kv_heads
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocab, h)}
        for i in range(self.layers):
            p = f"model.layers.{i}."
            shapes[p + "input_layernorm.weight"] = (h,)
            shapes[p + "self_attn.q_proj.weight"] = (h, h)
            shapes[p + "self_attn.k_proj.weight"] = (kv, h)
            shapes[p + "self_attn.v_proj.weight"] = (kv, h)
            shapes[p + "self_attn.o_proj.weight"] = (h, h)
            shapes[p + "post_attention_layernorm.weight"] = (h,)
            shapes[p + "mlp.gate_proj.weight"] = (self.intermediate, h)
            shapes[p + "mlp.up_proj.weight"] = (self.intermediate, h)
            shapes[p + "mlp.down_proj.weight"] = (h, self.intermediate)
        shapes["model.norm.weight"] = (h,)
        if not self.tied:
            shapes["lm_head.weight"] = (self.vocab, h)
        return shapes

    def config(self, dtype: str) -> dict[str, object]:
        """The config.json of a LlamaForCausalLM of this size."""
        torch_name = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}[dtype]
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.hidden // self.heads,
            "vocab_size": self.vocab,
            "max_position_embeddings": 256,
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
            "tie_word_embeddings": self.tied,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "dtype": torch_name,
        }


@dataclass(frozen=True, slots=True)
class TinyLlama:
    """A tiny model in memory: float32 arrays by tensor name."""

    shape: Shape = field(default_factory=Shape)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def save(self, folder: Path, *, dtype: str = "BF16", shards: int = 1) -> Path:
        """Write a usual Hugging Face folder: config, weights, tokenizer. Returns `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        _json(folder / "config.json", self.shape.config(dtype))
        _json(folder / "generation_config.json", {"eos_token_id": 2, "pad_token_id": 0})
        names = list(self.arrays)
        if shards == 1:
            write_file(folder / "model.safetensors", self.arrays, dtype)
        else:
            files = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
            weight_map = {name: files[i % shards] for i, name in enumerate(names)}
            for file in files:
                part = {n: self.arrays[n] for n in names if weight_map[n] == file}
                write_file(folder / file, part, dtype)
            size = sum(len(to_bytes(a, dtype)) for a in self.arrays.values())
            index = {"metadata": {"total_size": size}, "weight_map": weight_map}
            _json(folder / "model.safetensors.index.json", index)
        save_tokenizer(folder, self.shape.vocab)
        return folder


def random_llama(seed: int = 0, shape: Shape | None = None) -> TinyLlama:
    """A base: normal weights of standard deviation 0.05, norms at one."""
    size = shape or Shape()
    rng = np.random.default_rng(seed)
    arrays = {
        name: np.ones(s, np.float32) if len(s) == 1 else rng.normal(0, 0.05, s).astype(np.float32)
        for name, s in size.tensors().items()
    }
    return TinyLlama(size, arrays)


def tuned_llama(base: TinyLlama, seed: int, scale: float = 0.01) -> TinyLlama:
    """A domain model of `base`: heavy-tailed deltas, unlike by layer and module."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for i, (name, weight) in enumerate(base.arrays.items()):
        tail = rng.standard_t(3 + i % 5, weight.shape)
        arrays[name] = (weight + scale * (1 + i / 10) * tail).astype(np.float32)
    return TinyLlama(base.shape, arrays)


def to_bytes(array: np.ndarray, dtype: str) -> bytes:
    """`array` (float32) as little-endian BF16 (nearest even), F16 or F32."""
    if dtype == "F32":
        return array.astype("<f4").tobytes()
    if dtype == "F16":
        return array.astype("<f2").tobytes()
    bits = np.ascontiguousarray(array, "<f4").view("<u4")
    finite = np.isfinite(array)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return np.where(finite, rounded, (bits >> 16).astype("<u2")).astype("<u2").tobytes()


def write_file(path: Path, arrays: Mapping[str, np.ndarray], dtype: str = "BF16") -> None:
    """One safetensors file holding `arrays` in `dtype`."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    blobs, offset = [], 0
    for name, array in arrays.items():
        blob = to_bytes(array, dtype)
        spec = {"dtype": dtype, "shape": list(array.shape)}
        header[name] = spec | {"data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def save_tokenizer(folder: Path, vocab: int = 259) -> None:
    """A byte-level tokenizer without merges: three special tokens, then the 256 bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = list(SPECIAL) + alphabet
    if len(tokens) > vocab:
        raise ValueError(f"vocab must be at least {len(tokens)}, got {vocab}")
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": SPECIAL[0],
        "bos_token": SPECIAL[1],
        "eos_token": SPECIAL[2],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 256,
        "chat_template": CHAT_TEMPLATE,
    }
    _json(folder / "tokenizer_config.json", settings)


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
