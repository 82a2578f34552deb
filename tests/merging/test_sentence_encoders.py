"""Encoders of sentences keep their files: modules, pooling, dense layer, prompts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DamagedCheckpoint, NotAllowed
from dppa_core.merging.to_folder import MergeReport, merge_to_folder
from dppa_core.merging.upload import push_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.command import Command
from tests.helpers.encoders import PROMPTS, SIZES, save, save_sentence_encoder
from tests.helpers.hub_writing import TOKEN, writable_hub

pytestmark = pytest.mark.usefixtures("one_torch_thread")
FILES = (
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
)
TEXTS = ("a good film", "bad", "not a bad film a good film")


@pytest.fixture
def encoders(tmp_path: Path) -> list[Path]:
    """A base and two fine-tunes of it."""
    torch.manual_seed(0)
    base = save_sentence_encoder(BertModel(BertConfig(**SIZES)), tmp_path / "base")
    return [
        base,
        *(
            save_sentence_encoder(BertModel.from_pretrained(base), tmp_path / name, seed)
            for seed, name in enumerate(("news", "law"), 1)
        ),
    ]


def merged(encoders: Sequence[Path | str], out: Path, **options: Any) -> MergeReport:
    base, *tuned = map(str, encoders)
    recipe = MergeRecipe(base, tuple(map(DomainModel, tuned)), "task_arithmetic")
    return merge_to_folder(recipe, out, sync=False, **options)


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**read(path), **values}), "utf-8")


def embed(folder: Path, prompt: str, texts: Sequence[str]) -> torch.Tensor:
    """The vectors that the files of a folder make of texts, module by module as they are listed."""
    text = read(folder / "config_sentence_transformers.json")["prompts"][prompt]
    longest = read(folder / "sentence_bert_config.json")["max_seq_length"]
    settings = {"padding": True, "truncation": True, "max_length": longest}
    texts = [text + one for one in texts]
    tokens = AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", **settings)
    vectors = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    for row in read(folder / "modules.json")[1:]:
        inner = folder / row["path"]
        if row["type"].endswith("Pooling"):
            assert read(inner / "config.json")["pooling_mode_mean_tokens"]
            mask = tokens["attention_mask"][..., None]
            vectors = (vectors * mask).sum(1) / mask.sum(1)
        elif row["type"].endswith("Dense"):
            assert read(inner / "config.json")["activation_function"].endswith("Tanh")
            layer = load_file(inner / "model.safetensors")
            vectors = (vectors @ layer["linear.weight"].T + layer["linear.bias"]).tanh()
        else:
            assert row["type"].endswith("Normalize")
            vectors = torch.nn.functional.normalize(vectors)
    return vectors.detach()


@torch.inference_mode()
def reference(encoders: Sequence[Path], texts: Sequence[str]) -> torch.Tensor:
    """The same by hand: one text after the other, weights added in torch."""
    base, *tuned = (BertModel.from_pretrained(folder).eval() for folder in encoders)
    layer = load_file(encoders[0] / "2_Dense" / "model.safetensors")
    for name, weight in base.named_parameters():
        old = weight.clone()
        for model in tuned:
            weight += model.get_parameter(name) - old
    tokenizer, vectors = AutoTokenizer.from_pretrained(encoders[0]), []
    for text in texts:
        ids = tokenizer(PROMPTS["query"] + text)["input_ids"]
        ids = ids if len(ids) <= 6 else [*ids[:5], ids[-1]]
        mean = base(torch.tensor([ids])).last_hidden_state[0].mean(0)
        vector = (layer["linear.weight"] @ mean + layer["linear.bias"]).tanh()
        vectors.append(vector / vector.norm())
    return torch.stack(vectors)


def test_a_merge_keeps_every_file_and_embeds_as_the_reference_in_torch(
    encoders: list[Path], tmp_path: Path
) -> None:
    report = merged(encoders, tmp_path / "out")
    assert not report.warnings
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (encoders[0] / name).read_bytes(), name
    vectors = embed(tmp_path / "out", "query", TEXTS)
    torch.testing.assert_close(vectors, reference(encoders, TEXTS), atol=1e-5, rtol=1e-5)
    assert (vectors - embed(encoders[0], "query", TEXTS)).norm(dim=1).min() > 1e-3
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "library_name: sentence-transformers\npipeline_tag: sentence-similarity\n" in card


def test_a_base_without_them_gets_those_of_the_first_model_that_has_some(
    encoders: list[Path], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    plain = save(BertModel(BertConfig(**SIZES)), tmp_path / "plain")
    report = merged([plain, *encoders[1:]], tmp_path / "out")
    assert report.warnings == (f"Pooling and prompts are of {encoders[1]}: the base has none.",)
    vectors = embed(tmp_path / "out", "query", TEXTS)
    torch.testing.assert_close(vectors, reference(encoders, TEXTS), atol=1e-5, rtol=1e-5)


def test_models_that_pool_or_prompt_otherwise_are_named_and_other_versions_are_not(
    encoders: list[Path], tmp_path: Path
) -> None:
    _, news, law = encoders
    change(news / "config_sentence_transformers.json", __version__={"pytorch": "9"})
    rows = read(news / "modules.json")
    for row in rows:
        row["type"] = row["type"].replace(".models.", ".base.modules.x.")
    (news / "modules.json").write_text(json.dumps(rows), "utf-8")
    (news / "3_Normalize").mkdir()
    (news / "3_Normalize" / "config.json").write_text('{"module_input_name": "x"}', "utf-8")
    assert not merged(encoders, tmp_path / "out").warnings
    change(law / "1_Pooling" / "config.json", pooling_mode_mean_tokens=False)
    layer = load_file(law / "2_Dense" / "model.safetensors")
    torch.save({name: 2 * weight for name, weight in layer.items()}, law / "2_Dense" / "x")
    (law / "2_Dense" / "model.safetensors").unlink()
    (law / "2_Dense" / "x").rename(law / "2_Dense" / "pytorch_model.bin")
    assert merged(encoders, tmp_path / "out", overwrite=True).warnings == tuple(
        f"{name} of {law} differs; the merge takes that of {encoders[0]}."
        for name in ("1_Pooling/config.json", "2_Dense/model.safetensors")
    )


def test_weights_of_a_module_in_bin_are_written_as_safetensors(
    encoders: list[Path], dppa: Command, tmp_path: Path
) -> None:
    dense = encoders[0] / "2_Dense"
    layer = load_file(dense / "model.safetensors")
    torch.save(layer, dense / "pytorch_model.bin")
    (dense / "model.safetensors").unlink()
    assert dppa("convert", encoders[0], "--out", tmp_path / "copy") == 0
    names = sorted(path.name for path in (tmp_path / "copy" / "2_Dense").iterdir())
    assert names == ["config.json", "model.safetensors"]
    copy = load_file(tmp_path / "copy" / "2_Dense" / "model.safetensors")
    assert copy.keys() == layer.keys()
    assert all(torch.equal(copy[name], weight) for name, weight in layer.items())
    assert "sentence-similarity" in (tmp_path / "copy" / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"path": "", "type": "custom_st.Transformer"}, "'custom_st.Transformer' is code"),
        (
            {"path": "../1_Pooling", "type": "sentence_transformers.models.Pooling"},
            "'../1_Pooling'",
        ),
    ],
)
def test_modules_of_code_or_of_other_places_are_left_out_and_said_to_be(
    encoders: list[Path], tmp_path: Path, row: dict[str, str], words: str
) -> None:
    rows = read(encoders[0] / "modules.json")
    (encoders[0] / "modules.json").write_text(json.dumps([rows[0], row]), "utf-8")
    (warning,) = merged(encoders, tmp_path / "out").warnings
    assert (
        warning.startswith("The files of sentence-transformers are left out") and words in warning
    )
    assert not any((tmp_path / "out" / name).exists() for name in FILES)
    assert "pipeline_tag" not in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_a_link_out_of_the_folder_is_not_followed(encoders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"key": 1}')
    pooling = encoders[0] / "1_Pooling" / "config.json"
    pooling.unlink()
    pooling.symlink_to(tmp_path / "secret.json")
    (warning,) = merged(encoders, tmp_path / "out").warnings
    assert "leads out of the folder" in warning and "secret" not in warning
    assert not (tmp_path / "out" / "1_Pooling").exists()


def test_a_damaged_list_of_modules_is_refused(encoders: list[Path], tmp_path: Path) -> None:
    (encoders[0] / "modules.json").write_text('{"path": ""}')
    with pytest.raises(DamagedCheckpoint, match=r"modules\.json: not a list of modules"):
        merged(encoders, tmp_path / "out")


def test_a_merge_replaces_its_own_folder_but_none_with_files_of_others(
    encoders: list[Path], tmp_path: Path
) -> None:
    merged(encoders, tmp_path / "out")
    merged(encoders, tmp_path / "out", overwrite=True)
    (tmp_path / "out" / "1_Pooling" / "notes.txt").write_text("mine")
    with pytest.raises(NotAllowed, match="holds 1_Pooling, which no merge writes"):
        merged(encoders, tmp_path / "out", overwrite=True)


# huggingface_hub (2.4) passes files in a way its client deprecates
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_the_files_are_fetched_from_the_hub_and_sent_there(
    encoders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (encoders[0] / "onnx").mkdir()
    (encoders[0] / "onnx" / "model.onnx").write_bytes(b"code")
    hub = writable_hub(tmp_path / "hub", monkeypatch, TOKEN)
    try:
        hub.add("acme/base", encoders[0])
        merged(["hub:acme/base", *encoders[1:]], tmp_path / "out")
        folder = open_checkpoint("hub:acme/base").folder
        push = push_folder(tmp_path / "out", "ada/merged")
    finally:
        hub.close()
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert {*FILES, "vocab.txt"} < {*names} and "onnx/model.onnx" not in names
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (encoders[0] / name).read_bytes()
    assert {*FILES} < push.files.keys()
    sent = hub.models["ada/merged"].folder / "1_Pooling" / "config.json"
    assert sent.read_bytes() == (encoders[0] / "1_Pooling" / "config.json").read_bytes()
