"""The tokenizer of a checkpoint in the form of GGUF, where that form is known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from dppa_core.errors import IncompatibleCheckpoints

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLITS = {_WORDS + r"\p{N}{1,3}" + _REST: "llama-bpe", _WORDS + r"\p{N}" + _REST: "qwen2"}
"""The whole expression that splits a text -> its name in llama.cpp."""


@dataclass(frozen=True, slots=True)
class GgufTokens:
    """A byte-level BPE tokenizer, and the chat template."""

    words: list[str]
    kinds: list[int]
    merges: list[str]
    split: str
    special: dict[str, int]
    template: str

    @staticmethod
    def read(folder: Path, count: int) -> GgufTokens:
        """Read tokenizer.json and its settings; raises IncompatibleCheckpoints for other kinds."""
        file = folder / "tokenizer.json"
        content = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        model = content.get("model", {})
        if model.get("type") != "BPE" or model.get("byte_fallback"):
            raise IncompatibleCheckpoints(
                f"{folder}: GGUF files are written with byte-level BPE tokenizers (Llama 3, Qwen, "
                "SmolLM) in tokenizer.json. llama.cpp's own convert_hf_to_gguf.py knows others."
            )
        words = [f"[PAD{number}]" for number in range(count)]
        kinds = [int(gguf.TokenType.UNUSED)] * count
        ids = [*model["vocab"].values(), *(t["id"] for t in content.get("added_tokens", ()))]
        if ids and max(ids) >= count:
            raise IncompatibleCheckpoints(
                f"{folder}: its tokenizer has a token {max(ids)}, its configuration {count:,} of "
                "them (vocab_size). Files of two models are the usual cause."
            )
        for word, number in model["vocab"].items():
            words[number], kinds[number] = word, int(gguf.TokenType.NORMAL)
        for added in content.get("added_tokens", ()):
            kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
            words[added["id"]], kinds[added["id"]] = added["content"], int(kind)
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
        split = _split(folder, content.get("pre_tokenizer") or {})
        return GgufTokens(words, kinds, merges, split, *_special(folder, words))

    def add(self, writer: Any) -> None:
        """Add it to a file."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.split)
        writer.add_token_list(self.words)
        writer.add_token_types(self.kinds)
        writer.add_token_merges(self.merges)
        for key, number in self.special.items():
            getattr(writer, f"add_{key}_token_id")(number)
        if self.template:
            writer.add_chat_template(self.template)


def _split(folder: Path, pre: Mapping[str, Any]) -> str:
    """The name in llama.cpp of the way a text is split before BPE."""
    steps = list(_steps(pre))
    patterns = [str(step["pattern"].get("Regex")) for step in steps if "pattern" in step]
    if len(patterns) == 1 and patterns[0] in _SPLITS:
        return _SPLITS[patterns[0]]
    kinds = [step.get("type") for step in steps]
    single = all(step.get("individual_digits", True) for step in steps)
    if patterns or not single or kinds not in (["ByteLevel"], ["Digits", "ByteLevel"]):
        raise IncompatibleCheckpoints(
            f"{folder}: its tokenizer splits texts in a way that has no name here. llama.cpp's own "
            "convert_hf_to_gguf.py knows more."
        )
    return "smollm" if "Digits" in kinds else "gpt-2"


def _steps(pre: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if pre.get("type") == "Sequence":
        for step in pre["pretokenizers"]:
            yield from _steps(step)
    elif pre:
        yield pre


def _special(folder: Path, words: list[str]) -> tuple[dict[str, int], str]:
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    special = {}
    for key in ("bos", "eos", "unk", "pad"):
        token = settings.get(f"{key}_token")
        text = token.get("content") if isinstance(token, dict) else token
        if text in words:
            special[key] = words.index(text)
    file = folder / "chat_template.jinja"
    if file.is_file():
        return special, file.read_text("utf-8")
    template = settings.get("chat_template") or ""
    if isinstance(template, list):  # several, by name
        template = {entry["name"]: entry["template"] for entry in template}.get("default", "")
    return special, str(template)
