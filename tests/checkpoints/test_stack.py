"""Layers of several models, read as one model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dppa_core.checkpoints.adapters.stack import StackCheckpoint, StackedLayers, stacked_config
from dppa_core.checkpoints.in_memory import MemoryCheckpoint
from dppa_core.checkpoints.sources.open import ModelRef, needs_download, open_checkpoint
from dppa_core.checkpoints.sources.references import (
    LayerRange,
    hub_parts,
    layer_ranges,
    layer_sources,
    rename_models,
    short_name,
    stack_reference,
    stack_summary,
    stacked_models,
)
from dppa_core.errors import IncompatibleCheckpoints, InvalidValue, NotAllowed
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

LLAMA = (
    "model.embed_tokens.weight",
    "model.layers.{}.mlp.up_proj.weight",
    "model.norm.weight",
    "lm_head.weight",
)
GPT2 = ("wte.weight", "h.{}.mlp.c_fc.weight", "ln_f.bias")


def model(
    number: int, depth: int = 4, names: tuple[str, ...] = LLAMA, width: int = 3, **config: Any
) -> MemoryCheckpoint:
    """A model whose weights say where they come from: 100 times its number, plus the layer."""
    arrays = {}
    for name in names:
        for layer in range(depth) if "{}" in name else (90,):
            arrays[name.format(layer)] = np.full((2, width), 100 * number + layer)
    made = MemoryCheckpoint(arrays)
    made.config = {"num_hidden_layers": depth, "tie_word_embeddings": False, **config}
    return made


def stack(*ranges: tuple[MemoryCheckpoint, int, int]) -> StackCheckpoint:
    return StackCheckpoint(
        [
            StackedLayers(made, f"model {int(made.raw(made.names()[0])[0]) // 100}", start, stop)
            for made, start, stop in ranges
        ]
    )


def sources(made: StackCheckpoint) -> dict[str, int]:
    return {name: int(made.raw(name)[0]) for name in made.names()}


def test_layers_are_numbered_anew_and_the_ends_are_those_of_the_first_and_the_last() -> None:
    made = stack((model(1), 0, 2), (model(2), 1, 4))
    assert sources(made) == {
        "model.embed_tokens.weight": 190,
        "model.layers.0.mlp.up_proj.weight": 100,
        "model.layers.1.mlp.up_proj.weight": 101,
        "model.layers.2.mlp.up_proj.weight": 201,
        "model.layers.3.mlp.up_proj.weight": 202,
        "model.layers.4.mlp.up_proj.weight": 203,
        "model.norm.weight": 290,
        "lm_head.weight": 290,
    }
    assert made.config["num_hidden_layers"] == 5


def test_layers_may_repeat_and_names_may_begin_differently() -> None:
    inner = tuple(f"transformer.{name}" for name in GPT2)
    settings = {"num_hidden_layers": None, "tie_word_embeddings": True}
    first = model(1, 3, GPT2, n_layer=3, **settings)
    made = stack((first, 0, 2), (first, 1, 3), (model(2, 3, inner, n_layer=3, **settings), 0, 1))
    assert sources(made) == {
        "wte.weight": 190,
        **{f"h.{n}.mlp.c_fc.weight": v for n, v in enumerate((100, 101, 101, 102, 200))},
        "ln_f.bias": 290,
    }
    assert made.config["n_layer"] == 5
    assert made.config["num_hidden_layers"] is None


def test_lists_by_layer_follow_the_layers() -> None:
    kinds = ["full", "sliding", "full", "chunked"]
    first = model(1, layer_types=kinds, eos_token_id=[1, 2, 3, 4])
    second = model(2, layer_types=["other"] * 4, eos_token_id=[5])
    made = stack((first, 0, 2), (first, 1, 4), (second, 3, 4))
    assert made.config["layer_types"] == ["full", "sliding", "sliding", "full", "chunked", "other"]
    assert made.config["eos_token_id"] == [1, 2, 3, 4]
    wrapped = [
        StackedLayers(model(1, text_config={"num_hidden_layers": 4, "layer_types": kinds}), "a", *s)
        for s in ((0, 1), (3, 4))
    ]
    inner = stacked_config(wrapped)["text_config"]
    assert inner == {"num_hidden_layers": 2, "layer_types": ["full", "chunked"]}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: stack((model(1), 0, 5)), r"model 1\[0:5\]: it has 4 layers"),
        (lambda: stack((model(1), 0, 2), (model(2, width=5), 0, 2)), "1 is 3 wide, model 2 5"),
        (lambda: stack((model(1), 0, 2), (model(2, names=GPT2), 0, 2)), "one architecture"),
        (lambda: stack((model(1, names=LLAMA[:1]), 0, 1)), "0 series of layers"),
        (
            lambda: stack((model(1, names=(*LLAMA, "vision.layers.{}.up.weight")), 0, 1)),
            "2 series of layers: model.layers., vision.layers.",
        ),
        (
            lambda: stack((model(1), 0, 2), (model(2, names=LLAMA[:3]), 0, 2)),
            "model 1 has a head of its own",
        ),
    ],
)
def test_models_that_do_not_fit_are_refused(made: Any, message: str) -> None:
    with pytest.raises(IncompatibleCheckpoints, match=message):
        made()


def test_a_reference_is_read_and_written_back() -> None:
    text = "stack:zoo:base[0:3,1:4],hub:acme/x-7b@main[2:4],./a,b+./ad[0:1]"
    ranges = layer_ranges(text)
    assert ranges == (
        LayerRange("zoo:base", 0, 3),
        LayerRange("zoo:base", 1, 4),
        LayerRange("hub:acme/x-7b@main", 2, 4),
        LayerRange("./a,b+./ad", 0, 1),
    )
    assert stack_reference(ranges) == str(ModelRef.parse(text)) == text
    assert stacked_models(text) == ("zoo:base", "hub:acme/x-7b@main", "./a,b+./ad")
    assert hub_parts(text) == ("hub:acme/x-7b@main",)
    assert short_name(text) == "base[0:3],base[1:4],x-7b[2:4],a,b+ad[0:1]"
    assert short_name("stack:zoo:base[0:1,0:1,0:1,0:1,2:3]") == "base[0:1],base[0:1],…,base[2:3]"
    assert layer_sources("stack:zoo:base[2:4],zoo:math[0:1]") == (
        ("base", 2),
        ("base", 3),
        ("math", 0),
    )
    assert stack_summary("stack:zoo:base[0:3],zoo:math[2:3,0:2]") == (
        "6 layers: 0–2 from 0–2 of base, 3 from 2 of math, 4–5 from 0–1 of math"
    )
    assert rename_models("stack:a[0:2],b[1:2]", str.upper) == "stack:A[0:2],B[1:2]"
    assert layer_ranges("zoo:base") == layer_sources("./x[0:3]") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stack:zoo:base", "a stack is written as"),
        ("stack:[0:2]", "a stack is written as"),
        ("stack:stack:zoo:base[0:2][0:1]", "a stack is written as"),
        ("stack:zoo:base[2:2]", "no layer"),
        ("stack:zoo:base[3:1]", "no layer"),
        ("stack:zoo:base[0:200,0:57]", "257 layers; it may have 256"),
    ],
)
def test_half_a_reference_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        ModelRef.parse(text)


def test_strangers_stack_embedded_models_only() -> None:
    assert ModelRef.parse("stack:zoo:base[0:2],zoo:math[1:2]", public=True).source == "stack"
    for text in ("stack:zoo:base[0:2],/etc[0:1]", "stack:hub:a/b[0:1]", "stack:zoo:base[0:1]+/etc"):
        with pytest.raises(NotAllowed):
            ModelRef.parse(text, public=True)


def test_folders_are_opened_once_and_adapters_are_models_of_a_stack(tmp_path: Path) -> None:
    base = random_llama(0, Shape(layers=3))
    base.save(tmp_path / "base")
    tuned_llama(base, 1).save(tmp_path / "math")
    text = f"stack:{tmp_path}/base[0:2],{tmp_path}/math[0:3],{tmp_path}/base[2:3]"
    made = open_checkpoint(text)
    assert made.folder == tmp_path / "base"
    assert made.folders == (tmp_path / "math", tmp_path / "base")
    assert ModelRef.parse(text).parts() == tuple(map(str, made.folders))
    assert len(made.identities()) == 2
    assert not needs_download(ModelRef.parse(text))
    name = "model.layers.3.mlp.up_proj.weight"
    assert not made.raw(name).flags.owndata  # a view of the mapped file
    assert made.content_hash() != open_checkpoint(f"stack:{tmp_path}/base[0:3]").content_hash()
