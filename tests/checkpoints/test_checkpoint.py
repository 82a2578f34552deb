"""Checkpoints: read as stored, rounded as IEEE says; references."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint
from dppa_core.checkpoints.sources.zoo import ZOO_MODELS, zoo_names, zoo_root
from dppa_core.errors import (
    DamagedCheckpoint,
    InvalidValue,
    MissingCheckpoint,
    NotAllowed,
    UnknownName,
)
from dppa_core.preflight_checks.preflight_report import preflight_models
from dppa_core.profiling.calibration.texts import read_source
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.recipes.calibration import Calibration
from tests.helpers.pickles import save_pickled
from tests.helpers.tiny_models import random_llama


def test_every_bfloat16_widens_and_comes_back() -> None:
    raw = np.arange(1 << 16, dtype=np.uint16)
    expected = torch.from_numpy(raw.view(np.int16)).view(torch.bfloat16).float().numpy()
    values = to_float32(raw, "BF16")
    np.testing.assert_array_equal(values.view(np.uint32), expected.view(np.uint32))
    back = from_float32(values, "BF16")
    number = ~np.isnan(values)
    np.testing.assert_array_equal(back[number], raw[number])
    assert np.isnan(to_float32(back[~number], "BF16")).all()


@pytest.mark.parametrize(("dtype", "name"), [("BF16", torch.bfloat16), ("F16", torch.float16)])
def test_rounding_equals_torch(dtype: str, name: torch.dtype) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 200_000, dtype=np.uint32)
    bits[:1000] = (bits[:1000] & 0xFFFF0000) | 0x8000
    values = bits.view(np.float32)
    values = values[~np.isnan(values)]
    expected = torch.from_numpy(values).to(name).view(torch.int16).numpy()
    np.testing.assert_array_equal(from_float32(values, dtype).view(np.int16), expected)


def test_a_held_tensor_outlives_what_is_written_over_its_file(tmp_path: Path) -> None:
    random_llama(0).save(tmp_path)
    checkpoint = SafetensorsCheckpoint(tmp_path)
    first, second = checkpoint.names()[:2]
    before = checkpoint.raw(first).copy()
    checkpoint.hold()
    assert not checkpoint.raw(first).flags.writeable
    path = checkpoint.files[0].path
    path.write_bytes(bytes(path.stat().st_size))
    np.testing.assert_array_equal(checkpoint.raw(first), before)
    with pytest.raises(DamagedCheckpoint, match="was changed while it was read"):
        checkpoint.raw(second)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_checkpoint_is_read_as_stored(tmp_path: Path, dtype: str, shards: int) -> None:
    model = random_llama(0)
    model.save(tmp_path, dtype=dtype, shards=shards)
    checkpoint = SafetensorsCheckpoint(tmp_path)
    assert set(checkpoint.names()) == set(model.arrays)
    for name, values in model.arrays.items():
        assert checkpoint.shape(name) == values.shape and checkpoint.dtype(name) == dtype
        stored = to_float32(checkpoint.raw(name), dtype)
        np.testing.assert_allclose(stored, values.ravel(), rtol=2**-8, atol=1e-7)
        assert not checkpoint.raw(name).flags.writeable
    with pytest.raises(MissingCheckpoint, match="no tensor 'lm_haed'"):
        checkpoint.raw("lm_haed")


def test_the_content_hash_follows_the_weights(tmp_path: Path) -> None:
    random_llama(0).save(tmp_path / "a")
    random_llama(0).save(tmp_path / "b")
    random_llama(1).save(tmp_path / "c")
    a, b, c = (SafetensorsCheckpoint(tmp_path / name).content_hash() for name in "abc")
    assert a == b != c
    random_llama(1).save(tmp_path / "a")
    assert SafetensorsCheckpoint(tmp_path / "a").content_hash() == c


def test_a_file_replaced_by_one_of_its_size_and_time_is_hashed_anew(tmp_path: Path) -> None:
    random_llama(0).save(tmp_path / "a")
    random_llama(1).save(tmp_path / "b")
    old, new = (SafetensorsCheckpoint(tmp_path / name).content_hash() for name in "ab")
    replaced, replacement = (tmp_path / name / "model.safetensors" for name in "ab")
    before = replaced.stat()
    os.utime(replacement, ns=(before.st_atime_ns, before.st_mtime_ns))
    replacement.replace(replaced)
    assert replaced.stat().st_size == before.st_size
    assert SafetensorsCheckpoint(tmp_path / "a").content_hash() == new != old


def test_a_file_written_over_in_place_is_hashed_anew(tmp_path: Path) -> None:
    random_llama(0).save(tmp_path)
    path = tmp_path / "model.safetensors"
    old, before = SafetensorsCheckpoint(tmp_path).content_hash(), path.stat()
    data = path.read_bytes()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # a clock may tick every 4 ms only
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert SafetensorsCheckpoint(tmp_path).content_hash() != old


def test_a_damaged_note_of_a_hash_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    random_llama(0).save(tmp_path)
    content_hash = SafetensorsCheckpoint(tmp_path).content_hash()
    (note,) = (tmp_path / "cache" / "hashes").iterdir()
    whole = note.read_bytes()
    for damage in (b"", b"0" * 64, whole[:-1], whole[:-1] + b"x"):
        note.write_bytes(damage)
        assert SafetensorsCheckpoint(tmp_path).content_hash() == content_hash
        assert note.read_bytes() == whole


def test_references(zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ModelRef.parse("zoo:math") == ModelRef("zoo", "math")
    assert str(ModelRef.parse("zoo:math")) == "zoo:math"
    assert ModelRef.parse(" /some/folder ") == ModelRef("local", "/some/folder")
    assert zoo_root() == zoo_env and zoo_names() == ZOO_MODELS
    assert open_checkpoint("zoo:math").folder == zoo_env / "math"
    monkeypatch.chdir(zoo_env.parent)
    assert ModelRef.parse(f"{zoo_env.name}/math").source == "local"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("zoo:maht", UnknownName, "Did you mean 'zoo:math'"),
        ("zoo:../math", UnknownName, "no embedded model"),
        ("", InvalidValue, "must be a text such as zoo:math, or a folder, got ''"),
        (" ", InvalidValue, "must be a text"),
        ("a\0b", InvalidValue, r"cannot be printed: 'a\\x00b'"),
        ("a\nb", InvalidValue, "cannot be printed.*A line end"),
        ("x" * 5000, InvalidValue, "has 5000 characters; no path has more than 4096"),
        ("zoo:" + "x" * 4000, UnknownName, "'zoo:xx.*…xx"),
        ("zoo:" + "x" * 90, UnknownName, "no embedded model"),
        ("~nosuchuser/model+x", InvalidValue, "~nosuchuser/model: no user of that name"),
        ("a" + "+a" * 2000, InvalidValue, "….*more than 8 adapters on one model"),
        ("~nosuchuser/model", InvalidValue, "~nosuchuser/model: no user of that name"),
        ("/" + "x" * 300, DamagedCheckpoint, "cannot be read .File name too long"),
        ("/" + "x/" * 2040, MissingCheckpoint, "no such folder"),
        ("/no/such/folder", MissingCheckpoint, "no such folder"),
    ],
)
def test_a_reference_to_nothing_is_refused(
    zoo_env: Path, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_checkpoint(text)


def test_a_folder_behind_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for text in (f"{tmp_path}/loop", f"{tmp_path}/loop/below"):
        with pytest.raises(DamagedCheckpoint, match="cannot be read .*symbolic links"):
            open_checkpoint(text)


def test_a_public_page_opens_embedded_models_only(zoo_env: Path) -> None:
    assert open_checkpoint("zoo:math", public=True).names()
    for text in (str(zoo_env / "math"), "~", "/etc", "~root", "~nosuchuser", "/" + "x" * 300):
        with pytest.raises(NotAllowed, match="public page"):
            open_checkpoint(text, public=True)


def test_a_stranger_does_not_learn_what_this_computer_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "c++").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.path.exists", lambda path: pytest.fail(f"looked at {path}"))
    texts = ("here/c++", "here/q++", "gone/c++", "here/c", "here/q", "zoo:base+here/c", "a/b")
    messages = set()
    for text in texts:
        with pytest.raises(NotAllowed) as caught:
            open_checkpoint(text, public=True)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_where_roots_are_named_nothing_else_is_opened(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = tmp_path / "models" / "one", tmp_path / "other"
    for folder in (inside, outside):
        random_llama(0).save(folder)
    (tmp_path / "models" / "link").symlink_to(outside)
    (tmp_path / "models" / "loop").symlink_to(tmp_path / "models" / "loop")
    monkeypatch.setenv("DPPA_ROOTS", f"/nowhere{os.pathsep}{tmp_path / 'models'}")
    assert open_checkpoint(str(inside)).names() and open_checkpoint("zoo:math").names()
    around = f"{inside}/../../other"
    for text in (str(outside), around, f"{tmp_path}/models/link", f"zoo:math+{outside}", "~root"):
        with pytest.raises(NotAllowed, match="DPPA_ROOTS"):
            open_checkpoint(text)
    with pytest.raises(NotAllowed, match="DPPA_ROOTS"):
        read_source(Calibration(text="/etc/passwd"))
    assert "DPPA_ROOTS" in str(preflight_models(str(outside), [str(inside)]).findings)
    with pytest.raises((NotAllowed, DamagedCheckpoint)):
        open_checkpoint(f"{tmp_path}/models/loop")


def test_no_pickle_is_read_on_a_public_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pickled(random_llama(0), tmp_path / "math")
    monkeypatch.setenv("DPPA_ZOO", str(tmp_path))
    assert open_checkpoint("zoo:math").names()
    with pytest.raises(NotAllowed, match="a pickle, which can hold code"):
        open_checkpoint("zoo:math", public=True)
