"""Folders with broken models: one clear line when loaded or asked, no traceback."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import (
    DamagedCheckpoint,
    DppaError,
    InvalidValue,
    NonFiniteWeights,
    NotAllowed,
)
from dppa_core.merging.in_memory import source
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import open_merger
from dppa_core.models import decode
from dppa_core.models.generate import stream_reply
from dppa_core.models.loading import build_model
from dppa_core.models.reply import GenerationSettings
from dppa_core.models.resident import Resident
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.error_translation import ForeignCode
from tests.helpers.replies import greedy_replies
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama, write_file

pytestmark = pytest.mark.usefixtures("one_torch_thread")

BASE, UNTIED = random_llama(0), random_llama(0, Shape(tied=False))
EMBEDDING, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
IDS = torch.arange(8)[None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return BASE.save(tmp_path / "model")


def load(folder: Path) -> Resident:
    return ModelPool().get(str(folder))


def one_line(error: pytest.ExceptionInfo[DppaError]) -> None:
    assert "\n" not in str(error.value) and len(str(error.value)) < 800


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def with_tensors(folder: Path, model: TinyLlama = BASE, **more: np.ndarray | None) -> Path:
    """The model's folder with some tensors changed, added, or (None) left out."""
    named = {name.replace("__", "."): array for name, array in more.items()}
    arrays = {n: a for n, a in {**model.arrays, **named}.items() if a is not None}
    return TinyLlama(model.shape, arrays).save(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused_on_load(folder: Path, value: float) -> None:
    norm = BASE.arrays[NORM].copy()
    norm[3] = value
    with_tensors(folder, **{NORM: norm})
    with pytest.raises(NonFiniteWeights, match=f"model: {NORM} holds {value} at element 3") as e:
        load(folder)
    one_line(e)


def test_a_weight_that_the_dtype_in_memory_cannot_hold_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = np.full_like(BASE.arrays[NORM], 3.4e38)
    TinyLlama(BASE.shape, {**BASE.arrays, NORM: huge}).save(folder, dtype="F32")
    assert load(folder).model.dtype == torch.float32
    monkeypatch.setattr(source, "FLOAT32_LIMIT", 0)
    with pytest.raises(NonFiniteWeights, match=f"{NORM} holds values that torch.bfloat16 cannot"):
        load(folder)


def test_large_models_compute_in_bfloat16(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numel = sum(array.size for array in BASE.arrays.values())
    monkeypatch.setattr(source, "FLOAT32_LIMIT", numel)
    small = load(folder)
    monkeypatch.setattr(source, "FLOAT32_LIMIT", numel - 1)
    large = load(folder)
    assert small.model.dtype == torch.float32 and small.nbytes == 4 * numel
    assert large.model.dtype == torch.bfloat16 and large.nbytes == 2 * numel
    assert {p.dtype for p in large.model.parameters()} == {torch.bfloat16}


def test_a_head_that_is_missing_and_not_tied_is_refused(folder: Path) -> None:
    with_tensors(folder, UNTIED, **{HEAD: None})
    with pytest.raises(DamagedCheckpoint, match=f"{HEAD} is missing"):
        load(folder)


@pytest.mark.parametrize("case", ["both", "unlike", "head only", "embedding only"])
def test_tied_heads_are_loaded_as_transformers_loads_them(folder: Path, case: str) -> None:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415  (heavy)

    table = BASE.arrays[EMBEDDING]
    more: dict[str, np.ndarray | None] = {
        "both": {HEAD: table},
        "unlike": {HEAD: table + np.float32(0.5)},
        "head only": {EMBEDDING: None, HEAD: table},
        "embedding only": {},
    }[case]
    with_tensors(folder, **more)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ours = load(folder).model
    assert torch.equal(ours(IDS).logits, theirs(IDS).logits)
    assert not [name for name, value in ours.named_parameters() if value.is_meta]


def test_a_tied_head_stored_twice_stays_equal_in_a_merge(tmp_path: Path) -> None:
    for name, model in (("base", BASE), ("math", tuned_llama(BASE, 1))):
        with_tensors(tmp_path / name, model, **{HEAD: model.arrays[EMBEDDING]})
    for method, levels in (("dppa", (0.5,)), ("dare", (0.5,)), ("task_arithmetic", (0.0,))):
        parameters = {} if method == "task_arithmetic" else {"other_tensors": "prune"}
        model = DomainModel(str(tmp_path / "math"), levels, coefficient=0.7)
        merger = open_merger(MergeRecipe(str(tmp_path / "base"), (model,), method, parameters))
        assert merger.tensor(HEAD)[2].tobytes() == merger.tensor(EMBEDDING)[2].tobytes()


def test_rotary_buffers_of_old_checkpoints_are_ignored_in_memory_and_copied_in_a_merge(
    tmp_path: Path,
) -> None:
    names = [f"model.layers.{i}.self_attn.rotary_emb.inv_freq" for i in range(2)]
    stored = {name: np.float32([1.0, 0.1, 0.01, 0.001]) for name in names}
    for name, model in (("base", BASE), ("math", tuned_llama(BASE, 1))):
        with_tensors(tmp_path / name, model, **stored)
    plain = BASE.save(tmp_path / "plain")
    assert torch.equal(load(tmp_path / "base").model(IDS).logits, load(plain).model(IDS).logits)
    model = DomainModel(str(tmp_path / "math"), (0.5,))
    recipe = MergeRecipe(str(tmp_path / "base"), (model,), dtype="float32")
    merger = open_merger(recipe)
    base = SafetensorsCheckpoint(tmp_path / "base")
    for name in names:
        assert merger.tensor(name)[2].tobytes() == base.raw(name).tobytes()
    assert ModelPool().get(recipe).model(IDS).logits.isfinite().all()


def test_counters_are_ignored_and_double_precision_is_read(folder: Path) -> None:
    checkpoint = SafetensorsCheckpoint(folder)
    names = checkpoint.names()
    tensors = {n: (checkpoint.dtype(n), checkpoint.shape(n), checkpoint.raw(n)) for n in names}
    expected = build_model(checkpoint, tensors, torch.float32)
    tensors |= {
        "steps": ("I64", (), np.array([7])),
        NORM: ("F64", (32,), np.ones(32)),
    }
    model = build_model(checkpoint, tensors, torch.float32)
    assert torch.equal(model(IDS).logits, expected(IDS).logits)
    tensors[NORM] = ("F64", (32,), np.full(32, np.nan))
    with pytest.raises(NonFiniteWeights, match=NORM):
        build_model(checkpoint, tensors, torch.float32)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model_type": None}, DamagedCheckpoint, "must name a model_type, got None"),
        ({"model_type": 7}, DamagedCheckpoint, "must name a model_type, got 7"),
        ({"model_type": "lama"}, DamagedCheckpoint, "'lama' is unknown.*mean 'llama'.*newer than"),
        ({"model_type": "x" * 9000}, DamagedCheckpoint, "xx…xx.* is unknown"),
        ({"model_type": "vit"}, DamagedCheckpoint, "the type 'vit' is no causal language model"),
        (
            {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}},
            NotAllowed,
            "code of its own .auto_map., which is never run",
        ),
        ({"num_attention_heads": 0}, DamagedCheckpoint, "ZeroDivisionError"),
        ({"hidden_size": "wide"}, DamagedCheckpoint, "hidden_size' expected int, got str"),
        ({"hidden_size": -1}, DamagedCheckpoint, "hidden size .-1. is not a multiple"),
        ({"hidden_act": "nonsense"}, DamagedCheckpoint, "cannot build a model.*'nonsense'"),
        (
            {"rope_parameters": {"rope_type": "yarn", "factor": "x"}},
            DamagedCheckpoint,
            "config.json",
        ),
    ],
)
def test_a_config_that_describes_no_model(
    folder: Path, changes: dict[str, object], error: type[DppaError], message: str
) -> None:
    edit(folder / "config.json", **changes)
    with pytest.raises(error, match=f"{folder}: .*{message}") as caught:
        load(folder)
    one_line(caught)


def test_an_empty_config(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    with pytest.raises(DamagedCheckpoint, match="must name a model_type"):
        load(folder)


def test_code_that_a_known_architecture_brings_along_is_not_run(folder: Path) -> None:
    (folder / "mine.py").write_text("raise SystemExit('this code ran')")
    names = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    edit(folder / "config.json", auto_map=names)
    assert load(folder).model(IDS).logits.isfinite().all()


def _without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        _without_tokenizer,
        lambda f: (f / "tokenizer.json").write_text('{"model": 3}'),
        lambda f: (f / "tokenizer.json").write_text("{"),
        lambda f: (f / "tokenizer_config.json").write_text("[1]"),
        lambda f: edit(
            f / "tokenizer_config.json",
            tokenizer_class="Y",
            auto_map={"AutoTokenizer": ["x.Y", None]},
        ),
        lambda f: edit(f / "tokenizer_config.json", eos_token={"content": 3}),
    ],
    ids=["none", "no tokenizer", "no JSON", "no table", "code of its own", "no token"],
)
def test_a_tokenizer_that_cannot_be_read(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    message = (
        "(: its tokenizer cannot|/tokenizer(_config)?.json: (not a JSON object|cannot)) ?(be read)?"
    )
    with pytest.raises(DamagedCheckpoint, match=f"{folder}{message}") as caught:
        load(folder)
    one_line(caught)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('no such role') }}", "TemplateError: no such role"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ messages[3].role.name }}", "UndefinedError"),
        ("{% for i in range(10**9) %}x{% endfor %}", "Range too big"),
        ("{{ 'x' * 2000000 }}", "makes 2000000 characters of a conversation of 5"),
        ([{"name": "a", "template": "x"}], "chat template fails"),
        ("{% if false %}x{% endif %}", "makes no tokens of it"),
    ],
)
def test_a_chat_template_that_fails(folder: Path, template: object, message: str) -> None:
    edit(folder / "tokenizer_config.json", chat_template=template)
    resident = load(folder)
    for ask in (
        lambda: list(stream_reply(resident, "hello")),
        lambda: greedy_replies(resident, ["hello"]),
    ):
        with pytest.raises(DamagedCheckpoint, match=f"{folder}: .*{message}") as caught:
            ask()
        one_line(caught)


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    small = random_llama(0, Shape(vocab=60))
    write_file(folder / "model.safetensors", small.arrays)
    edit(folder / "config.json", vocab_size=60)
    resident = load(folder)
    with pytest.raises(DamagedCheckpoint, match="has a token 201, its model 60 tokens"):
        next(stream_reply(resident, "hello"))


def test_what_ends_a_reply_is_read_from_the_generation_config(folder: Path) -> None:
    edit(folder / "generation_config.json", eos_token_id=[7, 9])
    resident = load(folder)
    assert decode.end_ids(resident.model, resident.tokenizer) == {2, 7, 9}
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(DamagedCheckpoint, match="generation_config.json cannot be read"):
        load(folder)


def test_a_model_that_computes_no_numbers_has_no_answer(folder: Path) -> None:
    huge = {name: array * 1e37 for name, array in BASE.arrays.items() if ".mlp." in name}
    with_tensors(folder, **huge)
    resident = load(folder)
    for settings in (GenerationSettings(), GenerationSettings(temperature=1.0)):
        with pytest.raises(NonFiniteWeights, match="computes NaN or infinity.*Large factors"):
            list(stream_reply(resident, "hello", settings))
    with pytest.raises(NonFiniteWeights, match="computes NaN or infinity"):
        greedy_replies(resident, ["hello"])


def test_a_batch_of_replies_stays_within_the_positions_of_the_model(folder: Path) -> None:
    resident = load(folder)
    used = len(decode.prompt_ids(resident, "hello"))
    resident.model.config.max_position_embeddings = used + 3
    (reply,) = greedy_replies(resident, ["hello"], limit=40)
    assert list(stream_reply(resident, "hello"))[-1] == reply
    resident.model.config.max_position_embeddings = used
    with pytest.raises(InvalidValue, match=f"takes {used} tokens and the model reads at most"):
        greedy_replies(resident, ["hello"])


class PanicException(BaseException):
    """A panic of Rust code."""


def test_foreign_errors_become_one_line_and_ours_pass() -> None:
    with (
        pytest.raises(DamagedCheckpoint, match="^x: fails .KeyError: 'a'.. Why not.$"),
        ForeignCode("x: fails", "Why not."),
    ):
        {}["a"]  # noqa: B018
    with pytest.raises(DamagedCheckpoint, match="PanicException: a b"), ForeignCode("x", ""):
        raise PanicException("a\nb")
    for passing in (InvalidValue("ours"), KeyboardInterrupt(), MemoryError()):
        with pytest.raises(type(passing)), ForeignCode("x", ""):
            raise passing
