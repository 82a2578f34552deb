"""Weights of few bits, read and merged, against slow code by each format's specification."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.checkpoints.low_bit.alphabets import (
    E2M1,
    E4M3,
    E5M2,
    Alphabet,
    integers,
    pack,
    unpack,
)
from dppa_core.errors import DamagedCheckpoint, IncompatibleCheckpoints
from tests.helpers.low_bit_models import (
    FORMS,
    READ_ONLY,
    Form,
    change_config,
    save,
    state_apart,
    unpacked,
)
from tests.helpers.tiny_models import Shape, random_llama

ODD = Shape(hidden=40, intermediate=56)
"""Sizes that are no multiples of the blocks."""
MODEL = random_llama(1, ODD)
UP = "model.layers.1.mlp.up_proj.weight"


EVERY = FORMS | READ_ONLY


@pytest.fixture(params=EVERY.values(), ids=EVERY.keys())
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


@pytest.fixture
def folder(tmp_path: Path, form: Form) -> Path:
    return save(MODEL, tmp_path / "model", form)


def test_a_model_of_few_bits_reads_as_one_of_float32(folder: Path, form: Form) -> None:
    checkpoint = FolderCheckpoint(folder)
    assert "quantization_config" not in checkpoint.config
    assert set(checkpoint.names()) == set(MODEL.arrays)
    for name, values in unpacked(folder, form, MODEL).items():
        few = form.takes(name, MODEL.arrays[name])
        assert checkpoint.dtype(name) == ("F32" if few else "BF16")
        assert checkpoint.shape(name) == values.shape
        if few:
            np.testing.assert_array_equal(checkpoint.raw(name).copy(), values.ravel())


def test_any_part_of_a_tensor_is_that_part_of_the_whole(folder: Path) -> None:
    raw = FolderCheckpoint(folder).raw(UP)
    whole = raw.copy()
    for start, stop in ((0, 1), (7, 7), (39, 81), (41, 2079), (2000, 2080)):
        np.testing.assert_array_equal(raw[start:stop][1:].copy(), whole[start:stop][1:])
    assert np.asarray(raw[5]) == whole[5] and raw[5:8].max() == whole[5:8].max()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_what_did_not_change_is_written_as_it_was(folder: Path, form: Form) -> None:
    checkpoint = FolderCheckpoint(folder)
    few = checkpoint.low_bit
    assert few is not None and set(few.tensors) == {
        name for name, array in MODEL.arrays.items() if form.takes(name, array)
    }
    for name in few.tensors:
        folded = few.blocked(name)
        assert folded is not None
        parts, error = folded.fold(0, checkpoint.raw(name).reshape(folded.shape))
        assert error == 0
        for part, values in parts.items():
            np.testing.assert_array_equal(values.ravel(), folded.part(part).ravel())


def test_a_missing_part_and_one_of_another_shape_are_named(folder: Path) -> None:
    folded = FolderCheckpoint(folder).folded(UP)
    assert folded is not None
    part = folded.parts["scales"]
    tensors = load_file(folder / "model.safetensors")
    other = tensors[part].new_zeros(3, 7)
    del tensors[part]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(DamagedCheckpoint, match=f"{UP}.* is quantised, and .*{part}.* missing"):
        FolderCheckpoint(folder)
    save_file({**tensors, part: other}, folder / "model.safetensors")
    with pytest.raises(DamagedCheckpoint, match=rf"{part}.* \[3, 7\], and for .*{UP}.* must be"):
        FolderCheckpoint(folder)


NAME = "model.layers.0.mlp.up_proj.weight"


def stored(folder: Path, settings: dict[str, object], **tensors: torch.Tensor) -> np.ndarray:
    """The elements of a matrix, stored as given."""
    module = NAME.removesuffix(".weight")
    folder.mkdir(exist_ok=True)
    parts = {f"{module}.{name}": tensor for name, tensor in tensors.items()}
    save_file({**parts, "model.norm.weight": torch.ones(4)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    change_config(folder, quantization_config=settings)
    checkpoint = FolderCheckpoint(folder)
    return checkpoint.raw(NAME).reshape(checkpoint.shape(NAME))


def test_fp8_by_hand(tmp_path: Path) -> None:
    # 0x38 is 1, 0x40 is 2, 0xB8 is -1, 0x01 the least subnormal 2^-9, 0x7E the largest, 448
    codes = torch.tensor([[0x38, 0x40, 0xB8], [0x01, 0x7E, 0x00]], dtype=torch.uint8)
    codes = codes.view(torch.float8_e4m3fn)
    settings: dict[str, object] = {"quant_method": "fp8", "weight_block_size": [1, 2]}
    scales = torch.tensor([[0.5, 2.0], [512.0, 1.0]])
    values = stored(tmp_path, settings, weight=codes, weight_scale_inv=scales)
    assert values.tolist() == [[0.5, 1.0, -2.0], [1.0, 448 * 512, 0.0]]


def test_experts_of_fp8_are_read_and_written_one_by_one(tmp_path: Path) -> None:
    matrices = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    parts = [FORMS["fp8"].pack("weight", matrix) for matrix in matrices]
    codes, scales = (
        torch.stack(list(each)) for each in zip(*(p.values() for p in parts), strict=True)
    )
    settings = dict(FORMS["fp8"].settings)
    values = stored(tmp_path, settings, weight=codes, weight_scale_inv=scales)
    expected = [FORMS["fp8"].unpack(part, "weight").numpy() for part in parts]
    np.testing.assert_array_equal(values, expected)
    few = FolderCheckpoint(tmp_path).low_bit
    folded = few.blocked(NAME) if few else None
    assert folded is not None
    flat = np.ravel(expected)
    np.testing.assert_array_equal(folded.raw()[20:80].copy(), flat[20:80])  # across two experts
    for expert in range(3):
        written, error = folded.fold(expert, expected[expert])
        assert error == 0
        np.testing.assert_array_equal(written["codes"], codes[expert].view(torch.uint8))
        np.testing.assert_array_equal(written["scales"], scales[expert])


def test_whole_numbers_of_compressed_tensors_by_hand(tmp_path: Path) -> None:
    # the nibbles of a word from its lower end: 0 to 7, which stand for -8 to -1
    settings = dict(FORMS["compressed-int4"].settings)
    settings["config_groups"] = {
        "group_0": {"weights": {"num_bits": 4, "strategy": "group", "group_size": 4}}
    }
    values = stored(
        tmp_path,
        settings,
        weight_packed=torch.tensor([[0x76543210]], dtype=torch.int32),
        weight_scale=torch.tensor([[1.0, 0.5]]),
        weight_shape=torch.tensor([1, 8]),
    )
    assert values.tolist() == [[-8.0, -7.0, -6.0, -5.0, -2.0, -1.5, -1.0, -0.5]]


def test_fp4_by_hand(tmp_path: Path) -> None:
    settings = dict(FORMS["nvfp4"].settings)
    codes = torch.tensor([[0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]], dtype=torch.uint8)
    scales = torch.tensor([[3.0]]).to(torch.float8_e4m3fn)
    values = stored(
        tmp_path,
        settings,
        weight_packed=codes,
        weight_scale=scales,
        weight_global_scale=torch.tensor([6.0]),
    )
    half = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0]
    assert values.tolist() == [[*half, *(-value for value in half)]]
    scales = torch.tensor([[126]], dtype=torch.uint8)  # 2^(126 - 127)
    codes = torch.cat([codes, codes], 1)
    values = stored(tmp_path, settings, weight_packed=codes, weight_scale=scales)
    assert values.tolist() == [[*half, *(-value for value in half)] * 2]


def test_fp4_of_the_model_optimizer_by_hand(tmp_path: Path) -> None:
    codes = torch.tensor([[0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]], dtype=torch.uint8)
    parts = {"weight_scale": torch.tensor([[3.0]]).to(torch.float8_e4m3fn), "weight": codes}
    settings = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
    values = stored(tmp_path, settings, **parts, weight_scale_2=torch.tensor(0.5))
    half = [0.0, 0.75, 1.5, 2.25, 3.0, 4.5, 6.0, 9.0]
    assert values.tolist() == [[*half, *(-value for value in half)]]


def test_the_model_optimizer_may_state_its_format_in_a_file_of_its_own(tmp_path: Path) -> None:
    form = FORMS["modelopt-nvfp4"]
    save(MODEL, tmp_path, form)
    state_apart(tmp_path)
    checkpoint = FolderCheckpoint(tmp_path)
    expected = unpacked(tmp_path, form, MODEL)
    assert checkpoint.low_bit is not None and checkpoint.low_bit.title == "Model Optimizer"
    np.testing.assert_array_equal(checkpoint.raw(UP).copy(), expected[UP].ravel())
    nothing = {"quantization": {"quant_algo": None, "kv_cache_quant_algo": "FP8"}}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(nothing))
    with pytest.raises(IncompatibleCheckpoints, match="weight_scale"):
        FolderCheckpoint(tmp_path)


@pytest.mark.parametrize(
    ("part", "value", "problem"),
    [
        ("pre_quant_scale", torch.ones(16), "scales inputs, as AWQ"),
        ("weight_scale", torch.ones(1, 1), "holds a scale for each row or block"),
    ],
)
def test_other_formats_of_the_model_optimizer_are_refused_by_name(
    tmp_path: Path, part: str, value: torch.Tensor, problem: str
) -> None:
    parts = {"weight": torch.ones(1, 16).to(torch.float8_e4m3fn), "weight_scale": torch.ones(())}
    settings = {"quant_method": "modelopt", "quant_algo": "FP8"}
    with pytest.raises(IncompatibleCheckpoints, match=f"{problem}. Allowed are FP8 with one scale"):
        stored(tmp_path, settings, **(parts | {part: value}))


def test_gptq_and_awq_by_hand(tmp_path: Path) -> None:
    word = torch.tensor([[0x76543210]], dtype=torch.int32)
    scale, every = torch.full((1, 1), 0.5).half(), torch.full((1, 8), 0.5).half()
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 8}
    # eight inputs of one output; the zero point 3 is stored less 1
    zero = torch.tensor([[0x2]], dtype=torch.int32)
    values = stored(tmp_path, gptq, qweight=word, scales=scale, qzeros=zero)
    assert values.tolist() == [[-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0]]
    second = {**gptq, "checkpoint_format": "gptq_v2"}
    values = stored(tmp_path, second, qweight=word, scales=scale, qzeros=zero)
    assert values.tolist() == [[-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5]]
    # eight outputs of one input, in the order 0, 2, 4, 6, 1, 3, 5, 7
    awq = {"quant_method": "awq", "bits": 4, "group_size": 1}
    zeros = torch.tensor([[0x11111111]], dtype=torch.int32)
    values = stored(tmp_path, awq, qweight=word, scales=every, qzeros=zeros)
    assert values.ravel().tolist() == [-0.5, 1.5, 0.0, 2.0, 0.5, 2.5, 1.0, 3.0]


def test_bitsandbytes_by_hand(tmp_path: Path) -> None:
    settings: dict[str, object] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    codes = torch.tensor([[127, -127], [0, 1]], dtype=torch.int8)
    values = stored(tmp_path, settings, weight=codes, SCB=torch.tensor([2.0, 127.0]))
    assert values.tolist() == [[2.0, -2.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("gptq", {"bits": 3}, "qweight.* holds 3 bits. Allowed are 2, 4 and 8."),
        ("awq", {"version": "gemv"}, "qweight.* the version 'gemv'. Allowed are 4 bits"),
        ("awq", {"bits": 8}, "qweight.* holds 8 bits .* Allowed are 4 bits"),
        ("compressed-int4", {"config_groups": {}}, "packed as no group .* 2, 4 or 8 bits"),
    ],
)
def test_a_variant_that_is_not_read_is_refused_in_one_line(
    tmp_path: Path, name: str, change: dict[str, object], message: str
) -> None:
    save(MODEL, tmp_path, FORMS[name])
    change_config(tmp_path, quantization_config={**FORMS[name].settings, **change})
    with pytest.raises(IncompatibleCheckpoints, match=message) as caught:
        FolderCheckpoint(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "message"),
    [("weight_g_idx", "orders inputs by activations"), ("bitmask", "holds a sparse matrix")],
)
def test_act_order_and_sparse_matrices_of_compressed_tensors_are_refused(
    tmp_path: Path, part: str, message: str
) -> None:
    save(MODEL, tmp_path, FORMS["compressed-int4"])
    tensors = load_file(tmp_path / "model.safetensors")
    tensors[UP.replace("weight", part)] = torch.zeros(40, dtype=torch.int32)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(IncompatibleCheckpoints, match=f"up_proj.{part}.* {message}.* Allowed are"):
        FolderCheckpoint(tmp_path)


@pytest.mark.parametrize("block", [[16], [16, 0], "16x8", [16.0, 8.0]])
def test_a_block_that_is_no_block_is_damage(tmp_path: Path, block: object) -> None:
    save(MODEL, tmp_path, FORMS["fp8"])
    settings = {**FORMS["fp8"].settings, "weight_block_size": block}
    change_config(tmp_path, quantization_config=settings)
    with pytest.raises(DamagedCheckpoint, match="weight_block_size must be two whole numbers"):
        FolderCheckpoint(tmp_path)


def test_a_configuration_without_such_tensors_is_damage(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    change_config(tmp_path, quantization_config=dict(FORMS["gptq"].settings))
    with pytest.raises(DamagedCheckpoint, match=r"quantised \(GPTQ\), and none is"):
        FolderCheckpoint(tmp_path)


def test_floats_of_8_bits_are_those_of_torch() -> None:
    rng = np.random.default_rng(0)
    numbers = (rng.normal(size=20_000) * 10 ** rng.uniform(-4, 2, 20_000)).astype(np.float32)
    numbers = np.clip(numbers, -448, 448)[None]
    for alphabet, dtype in ((E4M3, torch.float8_e4m3fn), (E5M2, torch.float8_e5m2)):
        codes = torch.from_numpy(numbers).to(dtype).view(torch.uint8).numpy()
        np.testing.assert_array_equal(alphabet.encode(numbers), codes)
        every = torch.arange(256, dtype=torch.uint8).view(dtype).float().numpy()
        finite = np.isfinite(every)
        np.testing.assert_array_equal(alphabet.values[finite], every[finite])
        assert np.isnan(alphabet.values[~finite]).all()


def test_a_block_takes_the_scale_that_rounds_it_best(tmp_path: Path) -> None:
    save(MODEL, tmp_path, FORMS["compressed-int4"])
    few = FolderCheckpoint(tmp_path).low_bit
    assert few is not None
    folded = few.blocked(UP)
    assert folded is not None
    before = folded.raw().reshape(folded.shape)
    after = before.copy()
    after[0] *= 3  # beyond the range of its scales
    parts, error = folded.fold(0, after)
    scales, stored_scales = parts["scales"], folded.part("scales")
    assert (scales[0] > stored_scales[0]).all()
    np.testing.assert_array_equal(scales[1:], stored_scales[1:])
    assert 0 < error < np.square(after[0] / 7 / 2 * np.sqrt(40)).max()


@pytest.mark.parametrize("alphabet", [E4M3, E5M2, E2M1, integers(4), integers(8, offset=0)])
def test_a_step_is_the_distance_to_the_next_number_away_from_zero(alphabet: Alphabet) -> None:
    for code, number in enumerate(alphabet.values):
        beyond = alphabet.values[np.abs(alphabet.values) > abs(number)]
        beyond = beyond[(beyond < 0) == np.signbit(number)]
        if beyond.size:
            assert alphabet.gaps[code] == np.abs(beyond - number).min()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_fill_words_from_their_lower_end(bits: int) -> None:
    codes = np.random.default_rng(0).integers(0, 2**bits, (3, 11)).astype(np.uint8)
    packed = pack(codes, bits, 4)
    assert packed.shape[1] % 4 == 0
    np.testing.assert_array_equal(unpack(packed, bits)[:, :11], codes)
    assert unpack(packed, bits)[:, 11:].sum() == 0
