"""GGUF files: what transformers reads back is the model that was written."""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from dppa_core.checkpoints.sources.zoo import zoo_root
from dppa_core.errors import IncompatibleCheckpoints, InvalidValue
from dppa_core.merging.to_gguf import interleaved, write_gguf
from tests.helpers.command import Command
from tests.helpers.families import random_model

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA = QWEN.replace(r"\p{N}| ?", r"\p{N}{1,3}| ?")
TEKKEN = r"[^\r\n\p{L}\p{N}]?[\p{Lu}]*[\p{Ll}]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s+"
"""Expressions of published tokenizers; the last one has no name here."""
WORDS = 1024
"""Size of the embedded models' vocabulary, whose tokenizer is taken."""


def saved(family: str, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """A random model of a family, with the tokenizer of the embedded models."""
    # transformers reads no head width of Qwen3 and takes the real models'
    more = {"head_dim": 128} if family == "qwen3" else {}
    random_model(family, vocab_size=WORDS, **more).to(dtype).save_pretrained(folder)
    for name in TOKENIZER:
        shutil.copyfile(zoo_root() / "base" / name, folder / name)
    return folder


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_a_file_is_read_back_as_the_same_model(
    family: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    folder = saved(family, tmp_path / "model", dtype)
    report = write_gguf(folder, tmp_path / "model.gguf")
    assert report.nbytes == (tmp_path / "model.gguf").stat().st_size
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    again = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="model.gguf", dtype=torch.float32
    )
    before, after = model.state_dict(), again.state_dict()
    assert set(before) == set(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    ids = torch.arange(12)[None]
    assert torch.equal(model.eval()(ids).logits, again.eval()(ids).logits)


def test_rows_of_a_head_are_paired_as_llama_cpp_rotates_them() -> None:
    rows = np.arange(8)[:, None]  # two heads of four: (0, 2), (1, 3) are the rotated pairs
    assert interleaved(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_the_tokenizer_and_the_chat_template_go_along(tmp_path: Path) -> None:
    write_gguf(zoo_root() / "math", tmp_path / "math.gguf")
    before = AutoTokenizer.from_pretrained(zoo_root() / "math")
    after = AutoTokenizer.from_pretrained(tmp_path, gguf_file="math.gguf")
    for text in ("Tom has 12 apples.", "naïve — 'quoted'", "  two  spaces\n"):
        assert after(text)["input_ids"] == before(text)["input_ids"]
    assert after.chat_template == before.chat_template
    assert after.eos_token_id == before.eos_token_id


def test_a_merge_can_be_taken_away_as_gguf(dppa: Command, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:law, levels: [0.8]}]\n"
    )
    file = tmp_path / "merged.gguf"
    words = (str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "merged"), "--gguf", str(file))
    assert dppa("merge", *words, "--json") == 0
    assert dppa.json["gguf"]["nbytes"] == file.stat().st_size
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype=torch.float32)
    name = "model.layers.1.self_attn.k_proj.weight"
    assert torch.equal(merged.get_parameter(name), again.get_parameter(name))
    words = (*words[:1], "--out", str(tmp_path / "other"), *words[3:])
    assert dppa("merge", *words) != 0 and "exists already" in dppa.err
    assert not (tmp_path / "other").exists(), "refused before the long work"


def test_what_has_no_known_form_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    gemma = saved("gemma", tmp_path / "gemma")
    with pytest.raises(IncompatibleCheckpoints, match=r"a gemma model.*llama, mistral"):
        write_gguf(gemma, tmp_path / "gemma.gguf")
    llama = saved("llama", tmp_path / "llama")
    config = json.loads((llama / "config.json").read_text("utf-8"))
    scaled = {**config, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    scaled.pop("rope_parameters", None)
    (llama / "config.json").write_text(json.dumps(scaled))
    with pytest.raises(IncompatibleCheckpoints, match="scaled by 'yarn'"):
        write_gguf(llama, tmp_path / "llama.gguf")
    (llama / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidValue, match=r"ends in \.gguf"):
        write_gguf(llama, tmp_path / "llama.bin")
    (llama / "tokenizer.json").unlink()
    with pytest.raises(IncompatibleCheckpoints, match="byte-level BPE"):
        write_gguf(llama, tmp_path / "llama.gguf")
    assert not list(tmp_path.glob("*.gguf")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([{"type": "ByteLevel"}], "gpt-2"),
        ([{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel"}], "smollm"),
        ([{"type": "Split", "pattern": {"Regex": QWEN}}, {"type": "ByteLevel"}], "qwen2"),
        ([{"type": "Split", "pattern": {"Regex": LLAMA}}, {"type": "ByteLevel"}], "llama-bpe"),
    ],
)
def test_the_way_a_text_is_split_has_its_name_in_llama_cpp(
    steps: list[object], name: str, tmp_path: Path
) -> None:
    folder = saved("llama", tmp_path / "model")
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    file.write_text(json.dumps(content))
    write_gguf(folder, tmp_path / "model.gguf")
    fields = gguf.GGUFReader(tmp_path / "model.gguf").fields
    assert fields["tokenizer.ggml.pre"].contents() == name


@pytest.mark.parametrize(
    "step",
    [
        {"type": "Whitespace"},
        {"type": "Split", "pattern": {"Regex": TEKKEN}},
        {"type": "Digits", "individual_digits": False},
    ],
    ids=["words", "tekken", "digits"],
)
def test_a_tokenizer_that_splits_otherwise_is_refused(
    step: dict[str, object], tmp_path: Path
) -> None:
    folder = saved("llama", tmp_path / "model")
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    steps = [step, {"type": "ByteLevel"}]
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    file.write_text(json.dumps(content))
    with pytest.raises(IncompatibleCheckpoints, match="splits texts in a way"):
        write_gguf(folder, tmp_path / "model.gguf")
