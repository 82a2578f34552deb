"""Tiny models in the formats of few bits, packed by slow code that follows each specification."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tests.helpers.tiny_models import TinyLlama

Parts = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Form:
    """A format: its quantization_config, and how it stores a matrix."""

    settings: Mapping[str, Any]
    pack: Callable[[str, torch.Tensor], Parts]
    """Name and matrix -> the stored tensors by name."""
    unpack: Callable[[Mapping[str, torch.Tensor], str], torch.Tensor]
    """The matrix of that name, from all stored tensors: one element after another."""
    skipped: tuple[str, ...] = field(default=("embed_tokens", "lm_head", "layers.0.mlp.down_proj"))
    """Parts of the names of matrices that stay plain."""

    def takes(self, name: str, array: np.ndarray) -> bool:
        """Return True if a tensor is stored in few bits."""
        return array.ndim == 2 and not any(part in name for part in self.skipped)


def save(model: TinyLlama, folder: Path, form: Form) -> Path:
    """Write a model in a format."""
    model.save(folder)
    tensors: Parts = {}
    for name, array in model.arrays.items():
        values = torch.from_numpy(np.ascontiguousarray(array))
        packed = form.takes(name, array)
        tensors |= form.pack(name, values) if packed else {name: values.bfloat16()}
    own = {name: tensor.clone() for name, tensor in tensors.items()}  # files share no memory
    save_file(own, folder / "model.safetensors", {"format": "pt"})
    change_config(folder, quantization_config=dict(form.settings))
    return folder


def change_config(folder: Path, **values: Any) -> None:
    """Set values in a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def state_apart(folder: Path) -> None:
    """State a folder's format as older versions of the Model Optimizer do."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    stated = config.pop("quantization_config")
    path.write_text(json.dumps(config))
    apart = {"producer": {"name": "modelopt"}, "quantization": stated}
    (folder / "hf_quant_config.json").write_text(json.dumps(apart))


def unpacked(folder: Path, form: Form, model: TinyLlama) -> dict[str, np.ndarray]:
    """Every tensor of a folder as float32, by the slow code."""
    stored = load_file(folder / "model.safetensors")
    return {
        name: (form.unpack(stored, name) if form.takes(name, array) else stored[name].float())
        .float()
        .numpy()
        for name, array in model.arrays.items()
    }


def by_blocks(
    matrix: torch.Tensor, rows: int, columns: int, number: Callable[[torch.Tensor], float]
) -> torch.Tensor:
    """A number for each block of a matrix."""
    height, width = -(-matrix.shape[0] // rows), -(-matrix.shape[1] // columns)
    blocks = torch.zeros(height, width)
    for i in range(height):
        for j in range(width):
            at = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
            blocks[i, j] = number(matrix[at])
    return blocks


def spread(blocks: torch.Tensor, shape: torch.Size, rows: int, columns: int) -> torch.Tensor:
    """The value of each element's block."""
    wide = blocks.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
    return wide[: shape[0], : shape[1]]


def fp8(rows: int, columns: int) -> Form:
    """DeepSeek's FP8: blocks, with their scale in weight_scale_inv."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        scales = by_blocks(matrix, rows, columns, lambda block: float(block.abs().max() / 448))
        codes = (matrix / spread(scales, matrix.shape, rows, columns)).to(torch.float8_e4m3fn)
        return {name: codes, f"{name}_scale_inv": scales}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        codes = stored[name].float()
        return codes * spread(stored[f"{name}_scale_inv"], codes.shape, rows, columns)

    settings = {"quant_method": "fp8", "weight_block_size": [rows, columns]}
    skipped = {"modules_to_not_convert": ["lm_head", "model.layers.0.mlp.down_proj"]}
    return Form({**settings, "activation_scheme": "dynamic", **skipped}, pack, unpack)


def fp8_whole() -> Form:
    """FP8 with one scale for the matrix."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        scale = matrix.abs().max() / 448
        return {name: (matrix / scale).to(torch.float8_e4m3fn), f"{name}_scale_inv": scale}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        return stored[name].float() * stored[f"{name}_scale_inv"]

    settings = {"quant_method": "fp8", "weight_block_size": None, "activation_scheme": "dynamic"}
    return Form(settings, pack, unpack)


def fp8_rows() -> Form:
    """FP8 of fbgemm: a scale for each row."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        scales = matrix.abs().amax(1, keepdim=True) / 448
        return {name: (matrix / scales).to(torch.float8_e4m3fn), f"{name}_scale": scales}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        return stored[name].float() * stored[f"{name}_scale"]

    return Form({"quant_method": "fbgemm_fp8"}, pack, unpack)


def int_codes(
    matrix: torch.Tensor, bits: int, size: int, *, symmetric: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes from 0 on, float16 scales and zero points of groups in a row: (code - zero) * scale."""
    last, width = 2**bits - 1, size or matrix.shape[1]
    low = by_blocks(matrix, 1, width, lambda block: min(float(block.min()), 0.0))
    high = by_blocks(matrix, 1, width, lambda block: max(float(block.max()), 0.0))
    if symmetric:
        scales = (torch.maximum(high, -low) / 2 ** (bits - 1)).half()
        zeros = torch.full_like(low, 2 ** (bits - 1))
    else:
        scales = ((high - low) / last).half()
        zeros = (-low / scales.float()).round().clamp(0, last)
    wide = [spread(part.float(), matrix.shape, 1, width) for part in (scales, zeros)]
    codes = (matrix / wide[0] + wide[1]).round().clamp(0, last)
    return codes.int(), scales, zeros.int()


def words(codes: torch.Tensor, bits: int, order: tuple[int, ...] = ()) -> torch.Tensor:
    """Codes of a row in words of 32 bits, one shift after another."""
    count = 32 // bits
    padded = torch.nn.functional.pad(codes, (0, -codes.shape[1] % count)).numpy().astype(np.uint32)
    packed = np.zeros((len(padded), padded.shape[1] // count), np.uint32)
    for place in range(count):
        source = order[place] if order else place
        packed |= padded[:, source::count] << np.uint32(bits * place)
    return torch.from_numpy(packed.view(np.int32))


def from_words(
    packed: torch.Tensor, bits: int, columns: int, order: tuple[int, ...] = ()
) -> torch.Tensor:
    """The codes in rows of words, one element after another."""
    count, raw = 32 // bits, packed.contiguous().numpy().view(np.uint32)
    codes = torch.zeros(len(raw), columns, dtype=torch.int32)
    for column in range(columns):
        place = column % count
        place = order.index(place) if order else place
        codes[:, column] = torch.from_numpy(
            (raw[:, column // count] >> np.uint32(bits * place) & np.uint32(2**bits - 1)).astype(
                int
            )
        )
    return codes


def compressed_ints(bits: int, size: int, *, symmetric: bool = True) -> Form:
    """pack-quantized of compressed-tensors; groups of a whole row if the size is 0."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        codes, scales, zeros = int_codes(matrix, bits, size, symmetric=symmetric)
        parts = {f"{name}_packed": words(codes, bits), f"{name}_scale": scales}
        parts[f"{name}_shape"] = torch.tensor(matrix.shape)
        if not symmetric:
            parts[f"{name}_zero_point"] = words(zeros.T, bits).T.contiguous()
        return parts

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        shape = torch.Size(stored[f"{name}_shape"].tolist())
        codes = from_words(stored[f"{name}_packed"], bits, shape[1]) - 2 ** (bits - 1)
        scales, width = stored[f"{name}_scale"].float(), size or shape[1]
        zeros = torch.zeros(scales.shape)
        if not symmetric:
            packed = stored[f"{name}_zero_point"]
            zeros = (from_words(packed.T, bits, shape[0]).T - 2 ** (bits - 1)).float()
        return (codes - spread(zeros, shape, 1, width)) * spread(scales, shape, 1, width)

    return Form(
        compressed(
            "pack-quantized",
            num_bits=bits,
            type="int",
            symmetric=symmetric,
            strategy="group" if size else "channel",
            group_size=size or None,
        ),
        pack,
        unpack,
    )


def compressed(name: str, **weights: Any) -> dict[str, Any]:
    """The quantization_config of compressed-tensors."""
    group = {"targets": ["Linear"], "weights": {"dynamic": False, **weights}, "format": name}
    return {
        "quant_method": "compressed-tensors",
        "format": name,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head", "model.layers.0.mlp.down_proj"],
    }


def compressed_fp8() -> Form:
    """float-quantized of compressed-tensors: a bfloat16 scale for each row, and one of inputs."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        scales = (matrix.abs().amax(1, keepdim=True) / 448).bfloat16()
        codes = (matrix / scales.float()).clamp(-448, 448).to(torch.float8_e4m3fn)
        beside = {name.replace("weight", "input_scale"): torch.ones(1)}
        return {name: codes, f"{name}_scale": scales, **beside}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        return stored[name].float() * stored[f"{name}_scale"].float()

    settings = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}
    return Form(compressed("float-quantized", **settings), pack, unpack)


def compressed_int8() -> Form:
    """int-quantized of compressed-tensors: a float32 scale for each row."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        scales = matrix.abs().amax(1, keepdim=True) / 127
        return {name: (matrix / scales).round().to(torch.int8), f"{name}_scale": scales}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        return stored[name].float() * stored[f"{name}_scale"]

    settings = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
    return Form(compressed("int-quantized", **settings), pack, unpack)


FP4 = torch.tensor([0.0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def fp4_bytes(units: torch.Tensor) -> torch.Tensor:
    """The nearest codes, two in a byte, the first one in its lower half."""
    codes = (units[..., None] - FP4).abs().argmin(-1).to(torch.uint8)
    return codes[..., 0::2] | codes[..., 1::2] << 4


def from_fp4(packed: torch.Tensor) -> torch.Tensor:
    """The numbers in bytes, one element after another."""
    numbers = torch.zeros(*packed.shape[:-1], 2 * packed.shape[-1])
    numbers[..., 0::2], numbers[..., 1::2] = FP4[(packed & 15).long()], FP4[(packed >> 4).long()]
    return numbers


def nvfp4() -> Form:
    """nvfp4-pack-quantized: FP8 scales of 16, and a divisor of them for the matrix."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        largest = by_blocks(matrix, 1, 16, lambda block: float(block.abs().max()))
        divisor = 448 * 6 / matrix.abs().max()
        scales = (largest / 6 * divisor).to(torch.float8_e4m3fn)
        units = matrix / spread(scales.float() / divisor, matrix.shape, 1, 16)
        parts = {f"{name}_packed": fp4_bytes(units), f"{name}_scale": scales}
        return parts | {f"{name}_global_scale": divisor.reshape(1)}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        numbers = from_fp4(stored[f"{name}_packed"])
        scales = stored[f"{name}_scale"].float() / stored[f"{name}_global_scale"]
        return numbers * spread(scales, numbers.shape, 1, 16)

    settings = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group"}
    return Form(compressed("nvfp4-pack-quantized", **settings, group_size=16), pack, unpack)


def modelopt_nvfp4() -> Form:
    """NVFP4 of the Model Optimizer: FP8 scales of 16, and their factor for the matrix."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        largest = by_blocks(matrix, 1, 16, lambda block: float(block.abs().max()))
        factor = matrix.abs().max() / (448 * 6)
        scales = (largest / 6 / factor).to(torch.float8_e4m3fn)
        units = matrix / spread(scales.float() * factor, matrix.shape, 1, 16)
        return {name: fp4_bytes(units), f"{name}_scale": scales, f"{name}_scale_2": factor}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        numbers = from_fp4(stored[name])
        scales = stored[f"{name}_scale"].float() * stored[f"{name}_scale_2"]
        return numbers * spread(scales, numbers.shape, 1, 16)

    return Form({"quant_method": "modelopt", "quant_algo": "NVFP4"}, pack, unpack)


def modelopt_fp8() -> Form:
    """FP8 of the Model Optimizer: a scale for the matrix."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        scale = matrix.abs().max() / 448
        return {name: (matrix / scale).to(torch.float8_e4m3fn), f"{name}_scale": scale}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        return stored[name].float() * stored[f"{name}_scale"]

    return Form({"quant_method": "modelopt", "quant_algo": "FP8"}, pack, unpack)


def mxfp4_bytes(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes by microscaling, and exponents of blocks of 32 in a row."""
    largest = by_blocks(matrix, 1, 32, lambda block: float(block.abs().max()))
    exponents = torch.floor(torch.log2(largest)) - 2
    return fp4_bytes(matrix / spread(2**exponents, matrix.shape, 1, 32)), (exponents + 127).byte()


def mxfp4_of_rows() -> Form:
    """mxfp4-pack-quantized of compressed-tensors."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        codes, exponents = mxfp4_bytes(matrix)
        return {f"{name}_packed": codes, f"{name}_scale": exponents}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        numbers = from_fp4(stored[f"{name}_packed"])
        scales = 2.0 ** (stored[f"{name}_scale"].float() - 127)
        return numbers * spread(scales, numbers.shape, 1, 32)

    settings = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "group"}
    return Form(compressed("mxfp4-pack-quantized", **settings, group_size=32), pack, unpack)


def gptq(bits: int, size: int, *, symmetric: bool = True, ordered: bool = False) -> Form:
    """GPTQ: words of inputs; with act-order the inputs of a group are scattered."""

    def order(columns: int) -> torch.Tensor:
        every = torch.arange(columns) // size
        return every[torch.randperm(columns, generator=torch.Generator().manual_seed(3))]

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        module = name.removesuffix(".weight")
        groups = order(matrix.shape[1]) if ordered else torch.arange(matrix.shape[1]) // size
        by_group = groups.argsort(stable=True)
        codes, scales, zeros = int_codes(matrix[:, by_group], bits, size, symmetric=symmetric)
        codes = codes[:, by_group.argsort()]
        return {
            f"{module}.qweight": words(codes, bits).T.contiguous(),
            f"{module}.scales": scales.T.contiguous(),
            f"{module}.qzeros": words((zeros.T - 1) & (2**bits - 1), bits),
            f"{module}.g_idx": groups.int(),
        }

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        module = name.removesuffix(".weight")
        groups, scales = stored[f"{module}.g_idx"].long(), stored[f"{module}.scales"].float()
        codes = from_words(stored[f"{module}.qweight"].T, bits, groups.numel())
        zeros = from_words(stored[f"{module}.qzeros"], bits, scales.shape[1])
        zeros = (zeros + 1) & (2**bits - 1)
        return (codes - zeros.T[:, groups]) * scales.T[:, groups]

    settings = {"bits": bits, "group_size": size, "sym": symmetric, "desc_act": ordered}
    return Form({"quant_method": "gptq", **settings}, pack, unpack)


def mxfp4_experts() -> Form:
    """MXFP4 of gpt-oss: experts, whose rows of codes are columns of the tensor."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        packed = [mxfp4_bytes(expert.T.contiguous()) for expert in matrix]
        codes, exponents = (torch.stack(parts) for parts in zip(*packed, strict=True))
        shape = (*exponents.shape, 16)
        return {f"{name}_blocks": codes.reshape(shape), f"{name}_scales": exponents}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        numbers = from_fp4(stored[f"{name}_blocks"])
        scales = 2.0 ** (stored[f"{name}_scales"].float() - 127)
        return (numbers * scales[..., None]).flatten(2).transpose(1, 2)

    settings = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}
    return Form(settings, pack, unpack)


def bits8() -> Form:
    """INT8 of bitsandbytes: the largest of each row stands for 127."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        largest = matrix.abs().amax(1)
        codes = (matrix * 127 / largest[:, None]).round().to(torch.int8)
        module = name.removesuffix("weight")
        return {name: codes, f"{module}SCB": largest, f"{module}weight_format": torch.tensor(0)}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        largest = stored[name.removesuffix("weight") + "SCB"]
        return stored[name].float() * (largest[:, None] / 127)

    return Form({"quant_method": "bitsandbytes", "load_in_8bit": True}, pack, unpack)


NF4 = torch.tensor(
    [-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0]
    + [0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0]
)


def nf4(*, nested: bool) -> Form:
    """NF4 of bitsandbytes: flat blocks of 64, the first number in the upper half of a byte."""
    outer_map = torch.linspace(-1, 1, 256)

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        flat = torch.nn.functional.pad(matrix.flatten(), (0, -matrix.numel() % 64))
        largest = flat.reshape(-1, 64).abs().amax(1)
        units = (flat.reshape(-1, 64) / largest[:, None]).flatten()[: matrix.numel()]
        codes = (units[:, None] - NF4).abs().argmin(1).to(torch.uint8)
        state = {"quant_type": "nf4", "blocksize": 64, "shape": list(matrix.shape)}
        parts = {f"{name}.quant_map": NF4, f"{name}.absmax": largest}
        if nested:
            offset = float(largest.mean())
            outer = (largest - offset).abs().max().reshape(1)
            inner = ((largest - offset)[:, None] / outer - outer_map).abs().argmin(1)
            parts[f"{name}.absmax"] = inner.to(torch.uint8)
            parts |= {f"{name}.nested_absmax": outer, f"{name}.nested_quant_map": outer_map}
            state |= {"nested_blocksize": 256, "nested_offset": offset}
        text = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
        parts[f"{name}.quant_state.bitsandbytes__nf4"] = text
        return {name: (codes[0::2] << 4 | codes[1::2])[:, None], **parts}

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        state = json.loads(bytes(stored[f"{name}.quant_state.bitsandbytes__nf4"].tolist()))
        packed, largest = stored[name].flatten(), stored[f"{name}.absmax"]
        if nested:
            outer = stored[f"{name}.nested_absmax"]
            largest = outer_map[largest.long()] * outer + torch.tensor(state["nested_offset"])
        numbers = NF4[torch.stack([packed >> 4, packed & 15], 1).flatten().long()]
        return (numbers * largest.repeat_interleave(64)[: numbers.numel()]).reshape(state["shape"])

    return Form({"quant_method": "bitsandbytes", "load_in_4bit": True}, pack, unpack)


AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def awq(size: int) -> Form:
    """AWQ: words of outputs in an order of its own."""

    def pack(name: str, matrix: torch.Tensor) -> Parts:
        module = name.removesuffix(".weight")
        codes, scales, zeros = int_codes(matrix, 4, size, symmetric=False)
        return {
            f"{module}.qweight": words(codes.T, 4, AWQ_ORDER),
            f"{module}.scales": scales.T.contiguous(),
            f"{module}.qzeros": words(zeros.T, 4, AWQ_ORDER),
        }

    def unpack(stored: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        module = name.removesuffix(".weight")
        scales = stored[f"{module}.scales"].float().T
        codes = from_words(stored[f"{module}.qweight"], 4, len(scales), AWQ_ORDER).T
        zeros = from_words(stored[f"{module}.qzeros"], 4, len(scales), AWQ_ORDER).T.float()
        wide = [spread(part, codes.shape, 1, size) for part in (zeros, scales)]
        return (codes - wide[0]) * wide[1]

    skipped = ("embed_tokens", "lm_head", "layers.0.mlp.down_proj", "k_proj", "v_proj", "gate_proj")
    settings = {"bits": 4, "group_size": size, "zero_point": True, "version": "gemm"}
    return Form({"quant_method": "awq", **settings}, pack, unpack, skipped)


FORMS = {
    "fp8": fp8(16, 8),
    "fp8-whole": fp8_whole(),
    "fp8-rows": fp8_rows(),
    "compressed-int4": compressed_ints(4, 8),
    "compressed-int4-zeros": compressed_ints(4, 8, symmetric=False),
    "compressed-int8-rows": compressed_ints(8, 0),
    "compressed-int2": compressed_ints(2, 4, symmetric=False),
    "compressed-fp8": compressed_fp8(),
    "compressed-int8": compressed_int8(),
    "nvfp4": nvfp4(),
    "modelopt-nvfp4": modelopt_nvfp4(),
    "modelopt-fp8": modelopt_fp8(),
    "mxfp4-rows": mxfp4_of_rows(),
    "gptq": gptq(4, 8),
    "gptq-act-order": gptq(4, 8, symmetric=False, ordered=True),
    "gptq-int8": gptq(8, 8),
    "awq": awq(8),
}
"""Formats of matrices, written as well as read."""
READ_ONLY = {"bits8": bits8(), "nf4": nf4(nested=False), "nf4-nested": nf4(nested=True)}
