"""Files beside merged weights: whose tokenizer, template and generation settings, and why."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import Environment

from dppa_core.checkpoints.vocabulary.chat_templates import FORMATS
from dppa_core.errors import DamagedCheckpoint
from dppa_core.merging.cards.card import model_card
from dppa_core.merging.cards.companions import Companions
from dppa_core.merging.cards.record import planned_record
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import (
    DomainModel,
    InvalidRecipe,
    MergeRecipe,
    dump_recipe,
    parse_recipe,
)
from tests.helpers.command import Command
from tests.helpers.tiny_models import CHAT_TEMPLATE, Shape, TinyLlama, random_llama, tuned_llama

BASE = random_llama(0)
EMBEDDING = "model.embed_tokens.weight"
TURN = "<|turn|>"
THEIRS = "{% for m in messages %}<|turn|>{{ m['content'] }}{% endfor %}"


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def write(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value))


def without_template(folder: Path) -> None:
    settings = read(folder, "tokenizer_config.json")
    settings.pop("chat_template", None)
    write(folder, "tokenizer_config.json", settings)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A base without chat, and a chat model with an extra token in row 259."""
    base, chat = BASE.save(tmp_path / "base"), tmp_path / "chat"
    without_template(base)
    tuned = tuned_llama(BASE, 1)
    more = np.full((1, 32), 0.5, np.float32)
    arrays = {**tuned.arrays, EMBEDDING: np.concatenate([tuned.arrays[EMBEDDING], more])}
    TinyLlama(Shape(vocab=260), arrays).save(chat)
    tokenizer = read(chat, "tokenizer.json")
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": 259, "content": TURN})
    write(chat, "tokenizer.json", tokenizer)
    without_template(chat)
    (chat / "chat_template.jinja").write_text(THEIRS)
    write(chat, "generation_config.json", {"eos_token_id": [259, 2], "pad_token_id": 0})
    return base, chat


def recipe(base: Path, *models: Path, **choices: str) -> MergeRecipe:
    return MergeRecipe(str(base), tuple(DomainModel(str(m), (0.5,)) for m in models), **choices)


def beside(merge: MergeRecipe) -> Companions:
    return open_merger(merge).inputs.companions()


def template(companions: Companions) -> Any:
    return json.loads(companions.files["tokenizer_config.json"]).get("chat_template")


def test_the_base_s_own_files_are_copied_as_they_are(tmp_path: Path) -> None:
    base, math = BASE.save(tmp_path / "base"), tuned_llama(BASE, 1).save(tmp_path / "math")
    companions = beside(recipe(base, math))
    assert not companions.changed and companions.warnings == () and companions.key == ""
    assert companions.origins.chat_template == f"of {base}, the base"
    assert companions.origins.tokenizer == companions.origins.generation_config == str(base)
    assert {name: (base / name).read_bytes() for name in companions.files} == dict(companions.files)
    assert companions.config == read(base, "config.json")


def test_the_first_domain_model_with_a_template_gives_it_where_the_base_has_none(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    base, chat = folders
    plain = tuned_llama(BASE, 2).save(tmp_path / "plain")
    without_template(plain)
    companions = beside(recipe(base, plain, chat))
    assert (
        companions.origins.chat_template == f"of {chat}, the first that has one; the base has none"
    )
    assert template(companions) == THEIRS and companions.changed
    assert companions.origins.generation_config == str(
        chat
    ) and companions.origins.tokenizer == str(base)
    assert json.loads(companions.files["generation_config.json"]) == {
        "eos_token_id": [2],
        "pad_token_id": 0,
    }
    lost, left_out = companions.warnings
    assert f"The chat template of {chat} writes '{TURN}', which the merged vocabulary lacks" in lost
    assert f"names '{TURN}'" in left_out


def test_a_recipe_chooses_the_template(folders: tuple[Path, Path]) -> None:
    base, chat = folders
    companions = beside(recipe(base, chat, chat_template="base"))
    assert companions.origins.chat_template == f"none: {base} has none, and the recipe names it"
    assert template(companions) is None and companions.origins.generation_config == str(base)
    settings = read(base, "tokenizer_config.json")
    write(base, "tokenizer_config.json", {**settings, "chat_template": CHAT_TEMPLATE})
    assert template(beside(recipe(base, chat))) == CHAT_TEMPLATE
    companions = beside(recipe(base, chat, chat_template=str(chat)))
    assert companions.origins.chat_template == f"of {chat}, as the recipe says"
    assert template(companions) == THEIRS
    with pytest.raises(
        InvalidRecipe, match="chat_template must be auto, base, common, none, alpaca, .* a text in"
    ):
        recipe(base, chat, chat_template="mine")


def test_a_recipe_may_have_a_template_of_its_own_or_none(folders: tuple[Path, Path]) -> None:
    base, chat = folders
    text = "{% for m in messages %}\n{{ m['content'] }}<|mine|>{% endfor %}\n"
    own = recipe(base, chat, chat_template=text)
    assert parse_recipe(dump_recipe(own)) == own
    companions = beside(own)
    assert template(companions) == text and companions.key
    assert companions.origins.chat_template == "a text of the recipe"
    assert "writes '<|mine|>'" in companions.warnings[0]
    bare = beside(recipe(base, chat, chat_template="none"))
    assert template(bare) is None and bare.origins.chat_template == "none, as the recipe says"
    with pytest.raises(InvalidRecipe, match="60000 characters; at most 50000"):
        recipe(base, chat, chat_template="{" * 60_000)


def test_the_common_template_is_the_one_that_most_models_have(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    base, chat = folders
    chosen = recipe(base, chat, chat_template="common")
    assert template(beside(chosen)) == THEIRS
    several = tuned_llama(BASE, 2).save(tmp_path / "several")
    without_template(several)
    named = [{"name": "tool", "template": "t"}, {"name": "default", "template": "\nother\n"}]
    settings = read(several, "tokenizer_config.json")
    write(several, "tokenizer_config.json", {**settings, "chat_template": named})
    write(base, "tokenizer_config.json", {**settings, "chat_template": " other"})
    companions = beside(recipe(base, chat, several, chat_template="common"))
    assert template(companions) == "other"
    assert companions.origins.chat_template == f"of {base}, one of 2 with this template, the most"
    for folder in (base, several):
        without_template(folder)
    (chat / "chat_template.jinja").unlink()
    assert beside(chosen).origins.chat_template == "none: no model has one"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("chatml", "<|im_start|>user\nhi <|im_end|>\n<|im_start|>assistant\n"),
        (
            "llama3",
            "<|start|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            "exaone",
            "        [|system|][|endofturn|]\n\n    [|user|]hi \n        \n\n    [|assistant|]\n",
        ),
    ],
)
def test_a_format_is_a_template_too(folders: tuple[Path, Path], name: str, text: str) -> None:
    companions = beside(recipe(*folders, chat_template=name))
    assert companions.origins.chat_template == f"{name}, as the recipe says"
    assert f"The chat template {name} writes" in companions.warnings[0] and companions.changed
    turns = [{"role": "user", "content": "hi "}]
    written = Environment(trim_blocks=True).from_string(str(template(companions)))
    assert written.render(messages=turns, bos_token="<|start|>", add_generation_prompt=True) == text


def test_formats_without_special_tokens_write_what_mergekit_s_write() -> None:
    turns = [{"role": role, "content": f" {role}"} for role in ("system", "user", "assistant")]

    def written(name: str, turns: list[dict[str, str]]) -> str:
        template = Environment().from_string(FORMATS[name])
        settings = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
        return template.render(messages=turns, raise_exception=raised, **settings)

    def raised(message: str) -> None:
        raise ValueError(message)

    alpaca = "system\n\n### Instruction:\nuser"
    assert written("alpaca", turns) == f"{alpaca}\n\n### Response:\nassistant"
    assert written("alpaca", turns[:2]) == f"{alpaca}### Response:\n"
    assert written("mistral", turns) == "<s> [INST]  system\n\n user [/INST]  assistant</s>"
    assert written("mistral", turns[1:2]) == "<s> [INST]  user [/INST]"
    with pytest.raises(ValueError, match="take turns"):
        written("mistral", turns[2:])


def test_no_template_anywhere_is_said(tmp_path: Path) -> None:
    base, math = BASE.save(tmp_path / "base"), tuned_llama(BASE, 1).save(tmp_path / "math")
    for folder in (base, math):
        without_template(folder)
    assert beside(recipe(base, math)).origins.chat_template == "none: no model has one"
    (base / "tokenizer.json").unlink()
    (base / "tokenizer_config.json").unlink()
    assert beside(recipe(base, math)).origins.chat_template == f"none: {base} has no tokenizer"


def test_a_union_writes_one_tokenizer_that_knows_all(folders: tuple[Path, Path]) -> None:
    base, chat = folders
    companions = beside(recipe(base, chat, vocabulary="union"))
    assert (
        companions.origins.tokenizer == f"union (1 token added to {base})"
        and not companions.warnings
    )
    entry = json.loads(companions.files["tokenizer.json"])["added_tokens"][-1]
    assert (entry["content"], entry["id"], entry["special"]) == (TURN, 259, True)
    assert template(companions) == THEIRS
    assert json.loads(companions.files["generation_config.json"])["eos_token_id"] == [259, 2]
    assert companions.config["vocab_size"] == 260


def test_a_model_s_vocabulary_brings_its_tokenizer_and_special_tokens(
    folders: tuple[Path, Path],
) -> None:
    base, chat = folders
    write(chat, "config.json", {**read(chat, "config.json"), "eos_token_id": 259})
    companions = beside(recipe(base, chat, vocabulary=str(chat)))
    assert companions.origins.tokenizer == str(chat)
    assert companions.files["tokenizer.json"] == (chat / "tokenizer.json").read_bytes()
    assert companions.files["chat_template.jinja"] == THEIRS.encode()
    assert companions.config["eos_token_id"] == 259 and companions.config["vocab_size"] == 260
    assert (
        companions.files["generation_config.json"] == (chat / "generation_config.json").read_bytes()
    )


def test_a_damaged_file_of_the_tokenizer_is_named(folders: tuple[Path, Path]) -> None:
    base, chat = folders
    (base / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    for text, message in (
        ("{", "cannot be read"),
        ("[]", "not a JSON object"),
        ("3", "not .*but 3"),
    ):
        (base / "tokenizer_config.json").write_text(text)
        with pytest.raises(DamagedCheckpoint, match=f"{base}/tokenizer_config.json: {message}"):
            beside(recipe(base, chat, chat_template=str(chat)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("generation_config.json", b"PRIVATE KEY", "cannot be read"),
        ("generation_config.json", b"[1]", "not a JSON object"),
        ("special_tokens_map.json", b'{"a": 1, "a": 2}', "the key 'a' appears twice"),
        ("chat_template.jinja", b"\xff\xfe", "cannot be read .*codec"),
        ("merges.txt", b"\xff\xfe", "cannot be read .*codec"),
        ("merges.txt", b"#version: 0.2\na b\nroot:x:0:0::/root\n", "holds something else than"),
        ("merges.txt", b"a b\nroot secret x\n", "holds something else than"),
        ("bpe.codes", b"-----BEGIN PRIVATE KEY-----\n", "holds something else than"),
        ("vocab.txt", b"root:x:0:0::/root:/bin/sh\n", "holds something else than"),
        ("vocab.txt", b"[UNK]\nPRIVATE KEY\n", "holds something else than"),
        ("vocab.txt", b"the 12\nPRIVATE KEY\n", "holds something else than"),
        ("chat_template.jinja", b"-----BEGIN PRIVATE KEY-----\n", "holds something else than"),
        ("vocab.json", b"TOKEN=hf_abc\n", "holds something else than its name says. A hard link"),
        ("tokenizer.model", b"-----BEGIN PRIVATE KEY-----\n", "holds something else than"),
    ],
)
def test_nothing_is_copied_that_is_not_what_its_name_says(
    folders: tuple[Path, Path], name: str, content: bytes, message: str
) -> None:
    base, _ = folders
    math = tuned_llama(BASE, 1).save(base.with_name("math"))  # its template and settings count
    folder = math if name == "generation_config.json" else base
    (folder / name).write_bytes(content)
    with pytest.raises(DamagedCheckpoint, match=f"{folder}/{name}: .*{message}"):
        beside(recipe(base, math))


def test_companions_of_other_kinds_are_copied_as_they_are(folders: tuple[Path, Path]) -> None:
    base, _ = folders
    math = tuned_llama(BASE, 1).save(base.with_name("math"))
    texts = {
        "merges.txt": "#version: 0.2\n\u0120 t\n# #\n",
        "vocab.json": '\n{"a": 0}',
        "chat_template.jinja": CHAT_TEMPLATE,
        "tokenizer.model": "\n\x0e\n\x05<unk>",
    }
    for name, text in texts.items():
        (base / name).write_text(text, "utf-8")
    files = beside(recipe(base, math)).files
    assert {name: files[name].decode() for name in texts} == texts
    (base / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    assert beside(recipe(base, math)).files["tokenizer.model"] == b"IQ== 0\nIg== 1\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bpe.codes", "t h 30212\ni n</w> 1200\n"),
        ("bpe.codes", "t h\n"),
        ("merges.txt", "t h 30212\ni n</w> 1200\n"),
        ("vocab.txt", "the 30212\nof@@ 1200\n"),
        ("vocab.json", '\ufeff{"a": 0}'),
    ],
)
def test_words_and_merges_with_counts_are_copied_as_they_are(
    folders: tuple[Path, Path], name: str, text: str
) -> None:
    base, _ = folders
    math = tuned_llama(BASE, 1).save(base.with_name("math"))
    (base / name).write_text(text, "utf-8")
    assert beside(recipe(base, math)).files[name].decode() == text


def test_numbers_of_tokens_follow_their_text(tmp_path: Path) -> None:
    from tests.helpers.vocabularies import shuffled  # noqa: PLC0415  (only here)

    base = BASE.save(tmp_path / "base")
    chat = shuffled(tuned_llama(BASE, 1), tmp_path / "chat", 5)
    ids = {t["content"]: t["id"] for t in read(chat, "tokenizer.json")["added_tokens"]}
    settings = {
        "eos_token_id": [ids["<|end|>"], ids["<|start|>"]],
        "pad_token_id": ids["<|pad|>"],
        "temperature": 0.5,
        "forced_eos_token_id": None,
    }
    write(chat, "generation_config.json", settings)
    companions = beside(recipe(base, chat, chat_template=str(chat)))
    assert json.loads(companions.files["generation_config.json"]) == {
        **settings,
        "eos_token_id": [2, 1],
        "pad_token_id": 0,
    }


def test_tokens_are_added_to_every_file_that_lists_them(folders: tuple[Path, Path]) -> None:
    base, chat = folders
    write(base, "added_tokens.json", {})
    settings = read(base, "tokenizer_config.json")
    write(base, "tokenizer_config.json", {**settings, "added_tokens_decoder": {}})
    companions = beside(recipe(base, chat, vocabulary="union", chat_template="base"))
    assert json.loads(companions.files["added_tokens.json"]) == {TURN: 259}
    listed = json.loads(companions.files["tokenizer_config.json"])["added_tokens_decoder"]
    assert listed["259"]["content"] == TURN and listed["259"]["special"] is True


@pytest.mark.parametrize("vocabulary", ["base", "union", "0"])
def test_transformers_loads_what_was_merged(
    folders: tuple[Path, Path], tmp_path: Path, one_torch_thread: None, vocabulary: str
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415  (heavy)

    base, chat = folders
    source = str(chat) if vocabulary == "0" else vocabulary
    report = merge_to_folder(recipe(base, chat, vocabulary=source), tmp_path / "out", sync=False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    rows = 259 if vocabulary == "base" else 260
    assert model.get_input_embeddings().weight.shape[0] == model.config.vocab_size == rows
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert text == f"{TURN}hi"
    ids = tokenizer(f"a{TURN}b")["input_ids"]
    assert (259 in ids) == (vocabulary != "base") and max(ids) < rows
    assert model.generation_config.eos_token_id == ([2] if vocabulary == "base" else [259, 2])
    assert report.chat_template.startswith(f"of {chat}")


def test_a_merge_in_memory_speaks_with_the_merged_tokenizer(
    folders: tuple[Path, Path], one_torch_thread: None
) -> None:
    from dppa_core.merging.in_memory.model_pool import ModelPool  # noqa: PLC0415  (imports torch)

    base, chat = folders
    pool = ModelPool()
    union = pool.get(recipe(base, chat, vocabulary="union"))
    assert union.tokenizer.convert_tokens_to_ids(TURN) == 259
    assert union.model.config.vocab_size == 260
    plain = pool.get(recipe(base, chat, chat_template="base"))
    assert len(plain.tokenizer) == 259 and plain.tokenizer.chat_template is None


def test_a_lent_merge_is_not_overwritten_by_one_of_another_template(
    folders: tuple[Path, Path], one_torch_thread: None
) -> None:
    from dppa_core.merging.in_memory.model_pool import IDLE_MERGES, ModelPool  # noqa: PLC0415  (imports torch)

    base, chat = folders
    pool = ModelPool()
    for seed in range(IDLE_MERGES + 1):
        seeded = MergeRecipe(str(base), (DomainModel(str(chat), (0.5,)),), seed=seed)
        with pool.lend(seeded) as resident:
            assert resident.tokenizer.chat_template == THEIRS
    with pool.lend(recipe(base, chat, chat_template="base")) as resident:
        assert resident.tokenizer.chat_template is None


def test_report_card_and_command_say_whose_it_is(
    folders: tuple[Path, Path], tmp_path: Path, dppa: Command
) -> None:
    base, chat = folders
    union = recipe(base, chat, vocabulary="union")
    merger = open_merger(union)
    origins = merger.inputs.companions().origins
    card = model_card(union, planned_record(merger.inputs.parents(), merger.plan.plans, origins))
    card = card.replace("\\_", "_")
    assert f"Tokenizer: `union (1 token added to {base})`. Chat template: of {chat}, the" in card
    (tmp_path / "recipe.yaml").write_text(dump_recipe(union), "utf-8")
    out = tmp_path / "out"
    assert dppa("merge", tmp_path / "recipe.yaml", "--out", out, "--no-sync") == 0
    assert f"chat template: of {chat}, the first that has one; the base has none" in dppa.out
    assert "warning: vocabulary union: 260 tokens, 260 rows; 1 the base lacks" in dppa.out
    assert f"Chat template: of {chat}" in (out / "README.md").read_text().replace("\\_", "_")
    assert dppa("merge", tmp_path / "recipe.yaml", "--out", out, "--overwrite", "--json") == 0
    assert dppa.json["generation_config"] == str(chat)
    assert dppa.json["tokenizer"].startswith("union")
