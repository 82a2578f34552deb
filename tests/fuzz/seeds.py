"""Seed inputs of the fuzzer: valid files, most of them real, and regressions."""

import json
from pathlib import Path
from typing import Any

import yaml

from components.session.presets import all_presets
from components.session.state import state_of
from tests.helpers.tiny_models import CHAT_TEMPLATE

ROOT = Path(__file__).resolve().parents[2]
REGRESSIONS = Path(__file__).with_name("regressions")
ZOO = ROOT / "assets" / "zoo" / "math"


def seeds(target: str) -> list[bytes]:
    """Inputs of a target: real ones first, then earlier findings."""
    kept = sorted((REGRESSIONS / target).glob("*"))
    return [*_REAL[target](), *(path.read_bytes() for path in kept)]


def _headers() -> list[bytes]:
    with (ZOO / "model.safetensors").open("rb") as file:
        whole = file.read(int.from_bytes(file.read(8), "little"))
    header = json.loads(whole)
    few = dict(sorted(header.items(), key=lambda pair: _offset(pair[1]))[:3])
    return [json.dumps(few).encode(), json.dumps({"__metadata__": {"format": "pt"}}).encode()]


def _offset(entry: dict[str, Any]) -> int:
    return int(entry.get("data_offsets", [-1])[0])


def _both(value: Any) -> list[bytes]:
    """A value as YAML, and as JSON, which YAML reads too and which is mutated as a tree."""
    text = json.dumps(value)
    return [yaml.safe_dump(json.loads(text), sort_keys=False).encode(), text.encode()]


def _recipes() -> list[bytes]:
    """Short ones: parsing YAML takes longer than all the rest."""
    plain = b"dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math, levels: [0.9, 0.8]}]\n"
    layers = b"dppa: 1\nbase: a\nmodels:\n- {model: b, coefficient: {0: 1, 1: 0.5, 2: -3.25e-1}}\n"
    two = [{"model": "b", "levels": [0.8]}, {"model": "c", "levels": [0.5]}]
    parts = [{"part": "mlp", "value": 0.5}, {"value": 1}]
    fisher = {"strength": 0.08, "significance": "fisher"}
    rest: tuple[dict[str, Any], ...] = (
        {"method": "ties", "models": two, "prune": {"method": "dppa", "strength": 0.1}},
        {"overrides": {"layers.3.mlp.down_proj": {"rate": 0.5}}, "chat_template": "base"},
        {"models": [{"model": "b", "coefficient": parts}], "vocabulary": "union", "seed": 3},
        {"parameters": fisher, "calibration": {"tasks": ["math"], "tokens": 64}},
        {"models": [{"model": "b", "levels": [0.9, 0.8], "amplification": [1.6, 1]}]},
    )
    head = {"dppa": 1, "base": "a", "models": [{"model": "b"}], "dtype": "float32"}
    return [plain, layers, *(data for recipe in rest for data in _both(head | recipe))]


_MERGEKIT: dict[str, dict[str, Any]] = {
    "linear": {"weight": 0.3},
    "ties": {"weight": [{"filter": "self_attn", "value": [0, 0.5, 1]}, {"value": 0.5}]},
    "dare_ties": {"weight": 0.3, "density": 0.25},
    "breadcrumbs": {"weight": 0.3, "density": 0.25, "gamma": 0.01},
    "della": {"weight": [0.3, 0.5], "density": 0.5, "epsilon": 0.1},
    "sce": {},
    "nuslerp": {"weight": 0.3},
    "karcher": {},
    "ramplus_tl": {},
}
"""Method -> parameters of a model."""


def _mergekit() -> list[bytes]:
    shared = {"base_model": "base", "dtype": "bfloat16", "tokenizer_source": "union"}
    listed: list[bytes] = []
    for method, parameters in _MERGEKIT.items():
        models = [{"model": "base"}, *({"model": name, "parameters": parameters} for name in "ab")]
        if method == "linear":
            models[0]["parameters"] = parameters
        listed += _both({"merge_method": method, "models": models, **shared})
    sources = [{"model": name, "layer_range": [0, 2]} for name in ("base", "a")]
    slerp = {"merge_method": "slerp", "slices": [{"sources": sources}]}
    return [*listed, *_both({**slerp, "parameters": {"t": [0, 0.5, 1]}, **shared})]


def _links() -> list[bytes]:
    return [json.dumps(state_of(session)).encode() for session in all_presets().values()]


def _lora() -> list[bytes]:
    patterned = {"rank_pattern": {"q_proj": 4, "layers.0.*": 2}, "alpha_pattern": {"q_proj": 3.5}}
    plain = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}
    return [json.dumps(plain).encode(), json.dumps({**plain, **patterned}).encode()]


def _tokenizers() -> list[bytes]:
    fast = json.loads((ZOO / "tokenizer.json").read_text("utf-8"))
    fast["model"] |= {"vocab": {"a": 0, "b": 1, "ab": 3}, "merges": [["a", "b"]]}
    fast["added_tokens"] = [
        {**entry, "id": n} for n, entry in enumerate(fast["added_tokens"][:1], 4)
    ]
    replaced = {"type": "Replace", "pattern": {"String": "a"}, "content": "b a"}
    stepped = {**fast, "normalizer": {"type": "Sequence", "normalizers": [replaced]}}
    settings = json.loads((ZOO / "tokenizer_config.json").read_text("utf-8"))
    decoder = {"7": {"content": "<|x|>", "special": True}}
    generation = {"eos_token_id": [2, 4], "pad_token_id": 0, "suppress_tokens": [1]}
    files = {"tokenizer.json": fast, "tokenizer_config.json": settings}
    more = {"chat_template.jinja": CHAT_TEMPLATE, "generation_config.json": generation}
    old = {
        "vocab.json": {"a": 0, "b": 1},
        "added_tokens.json": {"<|y|>": 5},
        "tokenizer_config.json": {**settings, "added_tokens_decoder": decoder},
        "special_tokens_map.json": {"eos_token": "<|y|>"},
    }
    unigram = {"model": {"type": "Unigram", "vocab": [["a", -1.0], ["b", -2.0]]}}
    named = [{"name": "default", "template": CHAT_TEMPLATE}]
    unigram_files = {"tokenizer.json": unigram, "chat_template.json": {"chat_template": named}}
    steps = {**files, "tokenizer.json": stepped}
    return [
        json.dumps(contents).encode()
        for contents in (files, {**files, **more}, old, unigram_files, steps)
    ]


_REAL = {
    "header": _headers,
    "recipe": _recipes,
    "mergekit": _mergekit,
    "link": _links,
    "lora": _lora,
    "tokenizer": _tokenizers,
}
