"""A config.json of other sizes than its weights: refused before anything is built by it."""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BartConfig, BartForCausalLM

from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.checkpoints.config_sizes import check_sizes
from dppa_core.errors import DamagedCheckpoint
from dppa_core.merging.in_memory import spread
from dppa_core.merging.in_memory.source import tensors_of
from dppa_core.merging.to_gguf import write_gguf
from dppa_core.models.loading import build_model, load_tokenizer
from tests.helpers.families import FAMILIES, random_model
from tests.helpers.tiny_models import random_llama

pytestmark = pytest.mark.usefixtures("one_torch_thread", "_little_memory")

SECONDS, BYTES = 5.0, 1 << 30
"""What a refusal may take, at most; memory beyond it is not there."""
LARGE = 200_000_000


@pytest.fixture
def _little_memory() -> Iterator[None]:
    random_model("llama")  # imports what it needs
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def load(folder: Path, *, plain: bool = False) -> Any:
    source = FolderCheckpoint(folder)
    return build_model(source, tensors_of(source), torch.float32, "model", plain=plain)


def edit(folder: Path, **changes: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.mark.cases(4)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_integer_of_a_config_asks_for_more_than_the_weights_are(
    family: str, tmp_path: Path
) -> None:
    random_model(family).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    refused = set()
    for key in [key for key, value in config.items() if type(value) is int]:
        edit(tmp_path, **config | {key: LARGE})
        began = time.thread_time()
        try:
            load(tmp_path)
        except DamagedCheckpoint as error:
            assert "\n" not in str(error) and len(str(error)) < 800
            refused.add(key)
        assert time.thread_time() - began < SECONDS, key
    assert refused & {"vocab_size"} and refused & {"num_hidden_layers", "n_layer"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 3}, "num_hidden_layers 3, its weights have 2 layers"),
        (
            {"decoder_layers": 1, "num_hidden_layers": 1024},
            "num_hidden_layers 1024, its weights have 2 layers",
        ),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers 1000000000, its weights have 2 layers"),
        ({"vocab_size": 260}, "vocab_size 260, its weights have 259 rows in model.embed_tokens"),
        ({"text_config": {"num_hidden_layers": 3000}}, "3000, its weights have 2 layers"),
        ({"encoder_layers": 10**9}, "encoder_layers 1000000000, its weights have 20 tensors"),
        ({"intermediate_size": 10**7}, "describes 1920014600 parameters, its weights have 23808"),
    ],
)
def test_what_does_not_fit_is_named_before_a_model_is_built(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = edit(random_llama(0).save(tmp_path / "model"), **changes)
    for plain in (False, True):
        with pytest.raises(DamagedCheckpoint, match=message):
            load(folder, plain=plain)
    if "intermediate_size" not in changes:
        with pytest.raises(DamagedCheckpoint, match=message):
            load_tokenizer(FolderCheckpoint(folder))
        with pytest.raises(DamagedCheckpoint, match=message):
            write_gguf(folder, tmp_path / "model.gguf")
    with pytest.raises(DamagedCheckpoint, match=message):
        spread.load_spread(str(folder), dtype="float32")


def test_one_tensor_of_a_high_layer_stands_for_one_layer(tmp_path: Path) -> None:
    folder = edit(random_llama(0).save(tmp_path / "model"), num_hidden_layers=1024)
    tensors = load_file(folder / "model.safetensors") | {"model.layers.1023.x": torch.zeros(1)}
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(DamagedCheckpoint, match="num_hidden_layers 1024, its weights have 3 lay"):
        load(folder)


@pytest.mark.parametrize(("layers", "message"), [(1, None), (2, "decoder_layers 2, .* 1 layer")])
def test_an_encoder_that_is_not_loaded_has_layers_of_its_own(
    layers: int, message: str | None, tmp_path: Path
) -> None:
    config = BartConfig(
        vocab_size=60, d_model=8, encoder_layers=3, decoder_layers=1, decoder_attention_heads=2,
        decoder_ffn_dim=8, max_position_embeddings=16,
    )  # fmt: skip
    BartForCausalLM(config).save_pretrained(tmp_path)
    source = FolderCheckpoint(edit(tmp_path, decoder_layers=layers))
    with pytest.raises(DamagedCheckpoint, match=message) if message else nullcontext():
        check_sizes(source, "model")


def test_a_count_in_many_lists_is_found(tmp_path: Path) -> None:
    source = FolderCheckpoint(random_llama(0).save(tmp_path / "model"))
    source.config["num_heads"] = 5000
    for _ in range(2000):
        source.config["num_heads"] = [source.config["num_heads"]]
    with pytest.raises(DamagedCheckpoint, match="num_heads 5000, its weights have 20 tensors"):
        check_sizes(source, "model")


def test_weights_may_have_more_than_their_config_says(tmp_path: Path) -> None:
    """Layers that predict further tokens, and rows that fill a vocabulary up, are common."""
    folder = random_llama(0).save(tmp_path / "model")
    edit(folder, num_hidden_layers=1, vocab_size=200, max_window_layers=70)
    assert load_tokenizer(FolderCheckpoint(folder))
