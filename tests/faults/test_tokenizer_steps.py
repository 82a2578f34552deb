"""Steps of a tokenizer.json that would make a text too long: refused before they run."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.checkpoints.vocabulary import tokenizer_files
from dppa_core.checkpoints.vocabulary.tokenizer_files import check_named_files
from dppa_core.errors import DamagedCheckpoint, NotAllowed
from dppa_core.models.loading import load_tokenizer
from tests.helpers.tiny_models import random_llama

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
TEXT, PIECE = (
    {"Sequence": {"id": "A", "type_id": 0}},
    {"SpecialToken": {"id": "</s>", "type_id": 0}},
)


def replace(pattern: str, content: str, kind: str = "String") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def sequence(*steps: dict[str, Any], key: str = "normalizers") -> dict[str, Any]:
    return {"type": "Sequence", key: list(steps)}


def nested(depth: int, *steps: dict[str, Any]) -> dict[str, Any]:
    """Steps that each hold the ones before three times."""
    return sequence(*steps) if not depth else sequence(*[nested(depth - 1, *steps)] * 3)


def templated(*pieces: dict[str, Any], ids: Sequence[int] = (2,)) -> dict[str, Any]:
    end = {"id": "</s>", "ids": list(ids), "tokens": len(ids) * ["</s>"]}
    return {
        "type": "TemplateProcessing", "single": list(pieces), "pair": list(pieces),
        "special_tokens": {"</s>": end},
    }  # fmt: skip


def charsmap(longest: int) -> str:
    """A map of sentencepiece: its trie's length, the trie, and what characters become."""
    return base64.b64encode(
        b"\4\0\0\0" + 4 * b"x" + b"a\0" + longest * "ﷺ".encode() + b"\0"
    ).decode()


def written(folder: Path, **changes: Any) -> FolderCheckpoint:
    random_llama(0).save(folder)
    path = folder / "tokenizer.json"
    plain = dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor", "decoder"))
    path.write_text(json.dumps(json.loads(path.read_text()) | plain | changes))
    return FolderCheckpoint(folder)


TENFOLD = replace("a", 10 * "a")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalizer": sequence(*10 * [TENFOLD])}, "a text that is read 1e+10 times as long"),
        ({"normalizer": nested(3, replace("a", "aa"))}, "a text that is read 1.34e+08 times"),
        ({"normalizer": nested(4, {"type": "NFC"})}, "it has 202 steps; at most 100 are read"),
        ({"normalizer": sequence(*5 * [replace("", "abc", "Regex")])}, "read 1.02e+03 times"),
        ({"normalizer": sequence(*5 * [replace("b?", "abc", "Regex")])}, "read 1.02e+03 times"),
        ({"normalizer": replace("a{900}?", 9000 * "c", "Regex")}, "read 9e+03 times"),
        ({"normalizer": sequence(*6 * [replace("[[:alpha:]]", "abcd", "Regex")])}, "1.56e+04"),
        ({"normalizer": {"type": "Prepend", "prepend": 100 * "a"}}, "read 101 times"),
        (
            {"normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap(999)}},
            "read 999 times",
        ),
        ({"pre_tokenizer": sequence(*4 * [BYTES], key="pretokenizers")}, "read 256 times"),
        ({"post_processor": templated(*101 * [TEXT])}, "read 101 times"),
        (
            {"post_processor": templated(TEXT, *2000 * [PIECE], ids=2000 * [2])},
            "its post_processor is 8000000 tokens; at most 1000000 are added",
        ),
        (
            {
                "post_processor": sequence(
                    templated(TEXT, PIECE, ids=9000 * [2]), templated(*99 * [TEXT]),
                    key="processors",
                )
            },
            "its post_processor is 1782000 tokens; at most 1000000 are added",
        ),
        ({"decoder": sequence(*10 * [TENFOLD], key="decoders")}, "written 1e+10 times"),
        (
            {
                "padding": {
                    "strategy": {"Fixed": 2 * 10**9}, "direction": "Right", "pad_id": 0,
                    "pad_to_multiple_of": None, "pad_type_id": 0, "pad_token": "x",
                }
            },
            "its padding is 2000000000 tokens; at most 1000000 are added",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("plain", [False, True])
def test_steps_that_blow_a_text_up_are_refused(
    changes: dict[str, Any], message: str, plain: bool, tmp_path: Path
) -> None:
    source = written(tmp_path / "model", **changes)
    with pytest.raises(DamagedCheckpoint, match=r"tokenizer.json: not a readable tok") as error:
        load_tokenizer(source, plain=plain)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_version_of_the_tokenizer_in_another_file_is_looked_at(tmp_path: Path) -> None:
    source = written(tmp_path / "model", normalizer=sequence(*10 * [TENFOLD]))
    (source.folder / "tokenizer.json").rename(source.folder / "tokenizer.4.0.0.json")
    settings = source.folder / "tokenizer_config.json"
    listed = json.loads(settings.read_text()) | {"fast_tokenizer_files": ["tokenizer.4.0.0.json"]}
    settings.write_text(json.dumps(listed))
    with pytest.raises(DamagedCheckpoint, match=r"tokenizer.4.0.0.json: .* 1e\+10 times"):
        load_tokenizer(source)


def test_a_version_named_often_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "model")
    looks: list[object] = []
    settings = source.folder / "tokenizer_config.json"
    settings.write_text(json.dumps({"fast_tokenizer_files": 100 * ["tokenizer.json"]}))
    monkeypatch.setattr(tokenizer_files, "check_growth", looks.append)
    check_named_files(source.folder)
    assert len(looks) == 1


def test_more_versions_than_are_published_are_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "model")
    settings = source.folder / "tokenizer_config.json"
    names = [f"tokenizer.{number}.json" for number in range(21)]
    settings.write_text(json.dumps({"fast_tokenizer_files": names}))
    with pytest.raises(NotAllowed, match="fast_tokenizer_files lists 21 names. At most 20 are"):
        check_named_files(source.folder)
    settings.write_text(json.dumps({"fast_tokenizer_files": names[:20]}))
    check_named_files(source.folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": sequence({"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"))},
        {
            "normalizer": sequence(
                replace("``", '"'), replace("''", '"'), {"type": "NFKD"}, {"type": "StripAccents"},
                {"type": "Lowercase"}, replace(" {2,}", " ", "Regex"),
                {"type": "Precompiled", "precompiled_charsmap": charsmap(18)},
            )
        },
        {
            "pre_tokenizer": sequence(
                {
                    "type": "Split", "behavior": "Isolated", "invert": False,
                    "pattern": {"Regex": r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s+(?!\S)|\s+"},
                },
                BYTES | {"use_regex": False},
                key="pretokenizers",
            ),
            "post_processor": sequence(BYTES, templated(TEXT, PIECE), key="processors"),
            "decoder": BYTES,
        },
        {
            "decoder": sequence(
                replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}, key="decoders",
            )
        },
    ],
    ids=["Llama 2", "ALBERT", "Llama 3", "decoder of Llama 2"],
)  # fmt: skip
def test_steps_of_published_tokenizers_are_read(changes: dict[str, Any], tmp_path: Path) -> None:
    assert load_tokenizer(written(tmp_path / "model", **changes))
