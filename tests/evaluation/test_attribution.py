"""The loss of an answer without one part's delta, against newly made and loaded merges."""

import threading
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from dppa_core.errors import (
    Cancelled,
    IncompatibleCheckpoints,
    InvalidValue,
    NotAllowed,
)
from dppa_core.evaluation.analysis.attribution import (
    Attribution,
    Effect,
    TensorGroup,
    attribution_sentence,
    parts_of,
)
from dppa_core.evaluation.analysis.attribution_run import attribute
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.models.overlay import Shell
from dppa_core.pruning.coefficients import PartCoefficient as Weight
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash
from tests.helpers.command import Command
from tests.helpers.families import random_model
from tests.helpers.tiny_models import Shape, random_llama, save_tokenizer, tuned_llama

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

PROMPT, ANSWER = "How many apples?", "Seventeen."
LAYERS = [["layers.0"], ["layers.1"], ["embed_tokens", "model.norm", "lm_head"]]
MODULES = [
    f"layers.{layer}.{place}"
    for layer in range(2)
    for place in (
        *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
        *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    )
]


def recipe(method: str = "dppa", names: tuple[str, ...] = ("math", "law")) -> MergeRecipe:
    bands = ((0.9, 0.7), (1.6, 1.0)) if method == "dppa" else ((0.0,), (1.0,))
    return MergeRecipe(
        "zoo:base", tuple(DomainModel(f"zoo:{name}", *bands, 0.8) for name in names), method
    )


def by_hand(folder: Path, prompt: str, answer: str) -> float:
    """Loss of an answer by a folder as transformers loads it, token by token."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    turns = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    prompt_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    reply_ids = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model(torch.tensor([prompt_ids + reply_ids])).logits[0].double().log_softmax(-1)
    at = len(prompt_ids) - 1
    return -sum(float(logits[at + i, token]) for i, token in enumerate(reply_ids)) / len(reply_ids)


def without(folder: Path, base: Path, parts: list[str], target: Path) -> Path:
    """The merge in `folder`, with the base's tensors where a name contains one of `parts`."""
    merged, old = load_file(folder / "model.safetensors"), load_file(base / "model.safetensors")
    kept = {
        name: old[name].to(value.dtype) if any(f".{p}." in f".{name}" for p in parts) else value
        for name, value in merged.items()
    }
    target.mkdir()
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (target / file.name).write_bytes(file.read_bytes())
    save_file(kept, target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.mark.cases(2)
@pytest.mark.parametrize("method", ["dppa", "ties", "task_arithmetic"])
@pytest.mark.parametrize("by", ["layer", "module"])
def test_every_change_is_that_of_a_merge_with_the_base_in_that_place(
    by: str, method: str, zoo_env: Path, tmp_path: Path
) -> None:
    merge = recipe(method)
    merge_to_folder(merge, tmp_path / "whole", sync=False)
    loss = by_hand(tmp_path / "whole", PROMPT, ANSWER)
    with ModelPool().lend(merge) as resident:
        attribution = attribute(merge, resident, PROMPT, ANSWER, by=by)
    assert attribution.loss == pytest.approx(loss, abs=2e-6)
    groups = LAYERS if by == "layer" else [[name] for name in MODULES]
    assert len(attribution.effects) == len(groups)
    for number, (group, effect) in enumerate(zip(groups, attribution.effects, strict=True)):
        folder = without(tmp_path / "whole", zoo_env / "base", group, tmp_path / str(number))
        slow = by_hand(folder, PROMPT, ANSWER)
        assert effect.loss == pytest.approx(slow, abs=2e-6), effect.part
        assert effect.change == pytest.approx(slow - loss, abs=4e-6), effect.part
    assert attribution.base_loss == pytest.approx(
        by_hand(zoo_env / "base", PROMPT, ANSWER), abs=2e-6
    )


@pytest.mark.parametrize("part", ["layers.1", "layers.0.mlp.up_proj"])
def test_it_is_what_a_recipe_says_whose_coefficients_are_0_there(part: str) -> None:
    merge, pool = recipe(), ModelPool()
    parts = (Weight(part, 0.0), Weight(None, 0.8))
    models = tuple(DomainModel(m.model, m.levels, m.amplification, parts) for m in merge.models)
    zeroed = MergeRecipe("zoo:base", models)
    by = "module" if "mlp" in part else "layer"
    attribution = attribute(merge, pool.get(merge), PROMPT, ANSWER, by=by)
    expected = attribute(zeroed, pool.get(zeroed), PROMPT, ANSWER, by=by)
    (effect,) = [
        e for e in attribution.effects if any(f".{part}." in f".{t}" for t in e.part.tensors)
    ]
    assert effect.loss == expected.loss
    assert effect.change != 0


def test_the_merge_in_memory_is_not_touched(zoo_env: Path) -> None:
    merge = recipe()
    resident = ModelPool().get(merge)
    before = {name: value.clone() for name, value in resident.model.state_dict().items()}
    addresses = {name: value.data_ptr() for name, value in resident.model.state_dict().items()}
    attribute(merge, resident, PROMPT, by="module")
    for name, value in resident.model.state_dict().items():
        assert torch.equal(value, before[name]) and value.data_ptr() == addresses[name]


def test_the_answer_is_the_merges_own_where_none_is_given() -> None:
    from dppa_core.models.generate import stream_reply  # noqa: PLC0415
    from dppa_core.models.reply import GenerationSettings  # noqa: PLC0415

    merge = recipe()
    resident = ModelPool().get(merge)
    attribution = attribute(merge, resident, PROMPT)
    assert attribution.own and attribution.recipe == recipe_hash(merge)
    assert attribution.answer == list(stream_reply(resident, PROMPT, GenerationSettings(96)))[-1]


def test_a_lone_model_that_is_the_base_changes_nothing() -> None:
    merge = recipe("task_arithmetic", ("base",))
    attribution = attribute(merge, ModelPool().get(merge), PROMPT, ANSWER)
    assert [effect.change for effect in attribution.effects] == [0.0] * 3
    assert attribution.base_loss == attribution.loss
    assert attribution_sentence(attribution).startswith(
        "No layer matters for this answer by itself"
    )


def test_an_untied_head_is_part_of_what_lies_outside(
    tmp_path: Path,
) -> None:
    base = random_llama(shape=Shape(tied=False))
    base.save(tmp_path / "base")
    tuned_llama(base, 5).save(tmp_path / "math")
    merge = MergeRecipe(
        str(tmp_path / "base"), (DomainModel(str(tmp_path / "math")),), "task_arithmetic"
    )
    attribution = attribute(merge, ModelPool().get(merge), PROMPT, ANSWER)
    assert attribution.effects[-1].part == TensorGroup(
        None, "outside", ("lm_head.weight", "model.embed_tokens.weight", "model.norm.weight")
    )
    assert attribution.effects[-1].change != 0


def test_experts_stacked_in_memory_are_exchanged_one_by_one(tmp_path: Path) -> None:
    for name in ("base", "math"):
        model = random_model("mixtral", max_position_embeddings=128)
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.05 * torch.randn(weight.shape) * (name == "math")
        model.save_pretrained(tmp_path / name)
        save_tokenizer(tmp_path / name)
    models = (DomainModel(str(tmp_path / "math")),)
    merge = MergeRecipe(str(tmp_path / "base"), models, "task_arithmetic", dtype="float32")
    merge_to_folder(merge, tmp_path / "whole", sync=False)
    attribution = attribute(merge, ModelPool().get(merge), PROMPT, ANSWER, by="module")
    (effect,) = [e for e in attribution.effects if (e.part.layer, e.part.kind) == (0, "down")]
    assert len(effect.part.tensors) > 1
    parts = [tensor.removesuffix(".weight") for tensor in effect.part.tensors]
    folder = without(tmp_path / "whole", tmp_path / "base", parts, tmp_path / "without")
    assert effect.loss == pytest.approx(by_hand(folder, PROMPT, ANSWER), abs=2e-5)
    assert effect.change != 0


# stopping, and what is refused


def test_it_tells_how_far_it_is_and_stops_between_two_parts() -> None:
    merge, reports, stop = recipe(), list[tuple[int, int, str]](), threading.Event()

    def tell(number: int, total: int, part: str) -> None:
        reports.append((number, total, part))
        if number == 3:
            stop.set()

    resident = ModelPool().get(merge)
    with pytest.raises(Cancelled):
        attribute(merge, resident, PROMPT, by="module", progress=tell, stop=stop)
    assert [number for number, _, _ in reports] == [0, 0, 1, 2, 3]
    assert reports[1] == (0, 14, "the q module of layer 0")


@pytest.mark.parametrize(
    ("prompt", "answer", "by", "says"),
    [
        ("  ", None, "layer", "The prompt is empty"),
        ("x" * 2001, None, "layer", "2001 characters"),
        (PROMPT, " ", "layer", "The answer is empty"),
        (PROMPT, "y" * 2001, "layer", "The answer has 2001"),
        (PROMPT, "many " * 100, "layer", "the model reads at most"),
        (PROMPT, None, "tensor", "by must be one of layer, module, got 'tensor'"),
    ],
)
def test_bad_input_is_named(prompt: str, answer: str | None, by: str, says: str) -> None:
    merge = recipe()
    with pytest.raises(InvalidValue, match=says):
        attribute(merge, ModelPool().get(merge), prompt, answer, by=by)


def test_strangers_name_no_folder(tmp_path: Path, zoo_env: Path) -> None:
    merge = MergeRecipe(str(zoo_env / "base"), (DomainModel("zoo:math"),), "task_arithmetic")
    with pytest.raises(NotAllowed):
        attribute(merge, ModelPool().get(merge), PROMPT, public=True)


def test_a_tensor_that_is_nowhere_in_memory_is_named() -> None:
    shell = Shell(ModelPool().get("zoo:base").model, {"model.norm.weight": (32,)})
    with pytest.raises(IncompatibleCheckpoints, match="lm_head.weight does not lie in memory"):
        with shell.holding({"lm_head.weight": torch.zeros(2)}):
            pass


# words


def made_of(*changes: float, by: str = "layer") -> Attribution:
    kind = "q" if by == "module" else None
    effects = tuple(
        Effect(TensorGroup(layer, kind, ()), 1.0 + change, change)
        for layer, change in enumerate(changes)
    )
    return Attribution("1f", "p", "a", True, 3, by, 1.0, 2.0, effects)


def test_the_sentence_names_what_matters_most_and_what_stands_in_the_way() -> None:
    assert attribution_sentence(made_of(0.5, 0.1)) == (
        "The answer needs layer 0 most: without its delta the loss rises from 1 to 1.5 nats per "
        "token."
    )
    assert attribution_sentence(made_of(0.25, -0.5, by="module")) == (
        "The answer needs the q module of layer 0 most: without its delta the loss rises from 1 "
        "to 1.25 nats per token. The q module of layer 1 stands in its way: without it the loss "
        "falls to 0.500."
    )
    assert attribution_sentence(made_of(0.0002, -0.5)).startswith(
        "The answer needs no layer by itself."
    )
    assert "matters" in attribution_sentence(made_of(0.0002, -0.0004))


def test_a_model_without_modules_has_none_to_take_out() -> None:
    with pytest.raises(InvalidValue, match="no module"):
        parts_of({"embed.weight": (2, 2)}, "module")


# the command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math}]\nmethod: dppa\n")
    return path


def test_the_command_gives_one_object(dppa: Command, file: Path) -> None:
    assert dppa("attribute", file, "--prompt", PROMPT, "--by", "module", "--json") == 0
    assert dppa.json["by"] == "module" and dppa.json["unit"] == "nats per token"
    assert len(dppa.json["effects"]) == 14
    assert {"layer", "kind", "name", "loss", "change"} == set(dppa.json["effects"][0])


def test_the_command_shows_a_line_for_each_layer(dppa: Command, file: Path) -> None:
    assert dppa("attribute", file, "--prompt", PROMPT, "--answer", ANSWER) == 0
    lines = dppa.out.splitlines()
    assert lines[0] == "the answer: 'Seventeen.' (11 tokens)"
    assert [line.split()[0] for line in lines[3:7]] == ["layer", "0", "1", "outside"]
    assert max(map(len, lines[:7])) <= 100


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--prompt", " "), "The prompt is empty"),
        (("--prompt", "x", "--by", "head"), "--by must be one of layer, module, got 'head'"),
    ],
)
def test_the_command_names_what_it_cannot_use(
    dppa: Command, file: Path, options: tuple[str, ...], says: str
) -> None:
    assert dppa("attribute", file, *options) == 1
    assert says in dppa.err and dppa.err.count("\n") == 1
