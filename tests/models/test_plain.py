"""Small Llamas without transformers: the same tokens, to the bit; anything else is left to it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dppa_core.answering.in_process import OwnAnswerer
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DppaError
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.own_step import OwnStep
from dppa_core.models.plain import PlainModel
from dppa_core.models.reply import GenerationSettings
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

pytestmark = pytest.mark.usefixtures("one_torch_thread")
RECIPES = [
    MergeRecipe("zoo:base", (DomainModel("zoo:math", (rate,)), DomainModel("zoo:law", (0.5,))))
    for rate in (0.8, 0.7, 0.6)
]


@pytest.mark.cases(1)
@pytest.mark.parametrize("embedded", [True, False])
def test_models_and_merges_say_what_those_of_transformers_say(
    embedded: bool, tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not embedded:
        monkeypatch.setenv("DPPA_ZOO", str(tiny_zoo))
    pools = [ModelPool(public=True, plain=plain) for plain in (True, False)]
    plain, whole = (OwnAnswerer(pool) for pool in pools)
    for target in ("zoo:math", *RECIPES):  # the later merges are written over, or are copies
        settings = GenerationSettings(12, temperature=0.8, seed=3)
        replies = [list(way.replies(target, "Add 1 + 1.", settings)) for way in (plain, whole)]
        assert replies[0] == replies[1] and len(replies[0]) > 2
        assert plain.reading(target, "1?", "2.") == whole.reading(target, "1?", "2.")
        with pools[0].lend(target) as light, pools[1].lend(target) as heavy:
            assert isinstance(light.model, PlainModel) and not isinstance(heavy.model, PlainModel)
            heavy_parameters = dict(heavy.model.named_parameters(remove_duplicate=False))
            for name, value in light.model.named_parameters(remove_duplicate=False):
                assert torch.equal(value, heavy_parameters[name]), name
            angles = [OwnStep(way.model)._angles(300) for way in (light, heavy)]
            assert all(map(torch.equal, *angles))
            assert vars(light.tokenizer).keys() == vars(heavy.tokenizer).keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0}},
        {"model_type": "mistral", "sliding_window": None},
        {"num_key_value_heads": 3},
        {"hidden_act": "gelu"},
        {"rope_theta": 500.0},
        {"attention_bias": True},
        {"vocab_size": 300},
        {"num_hidden_layers": 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_any_other_configuration_is_left_to_transformers(
    changes: dict[str, Any], tiny_zoo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_zoo / "math", folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changes), "utf-8")
    outcomes = []
    for plain in (True, False):
        try:
            with ModelPool(plain=plain).lend(str(folder)) as resident:
                outcomes.append(type(resident.model))
        except DppaError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1] and outcomes[0] is not PlainModel


@pytest.mark.long
def test_an_answer_of_an_embedded_merge_imports_neither_transformers_models_nor_sympy() -> None:
    script = (
        "import sys\n"
        "from tests.models.test_plain import RECIPES\n"
        "from dppa_core.answering.in_process import OwnAnswerer\n"
        "from dppa_core.merging.in_memory.model_pool import ModelPool\n"
        "from dppa_core.models.reply import GenerationSettings\n"
        "pool = ModelPool(public=True, plain=True)\n"
        "settings = GenerationSettings(3)\n"
        "assert list(OwnAnswerer(pool).replies(RECIPES[0], '1 + 1', settings))\n"
        "heavy = 'sympy', 'accelerate', 'torch._dynamo', 'transformers.modeling_utils'\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_the_checkpoint_stays_the_same_object(tiny_zoo: Path) -> None:
    folder = str(tiny_zoo / "math")
    with ModelPool(plain=True).lend(folder) as resident:
        names = {name for name, _ in resident.model.named_parameters()}
    assert names == set(open_checkpoint(folder).names())
