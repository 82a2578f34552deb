"""Recognises quantised weights, and explains why they cannot be merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dppa_core.errors import shown

_KINDS = {
    "bitsandbytes": "bitsandbytes",
    "gptq": "GPTQ",
    "awq": "AWQ",
    "fp8": "FP8",
    "fbgemm_fp8": "FP8",
    "finegrained_fp8": "FP8",
    "compressed-tensors": "compressed-tensors",
    "modelopt": "Model Optimizer",
    "mxfp4": "MXFP4",
    "hqq": "HQQ",
    "aqlm": "AQLM",
    "eetq": "EETQ",
    "quanto": "quanto",
    "torchao": "torchao",
    "exl2": "ExLlama",
    "exl3": "ExLlama",
}
"""quant_method of config.json -> its common name."""

_PACKED = {
    "qweight": "GPTQ or AWQ",
    "qzeros": "GPTQ or AWQ",
    "absmax": "bitsandbytes",
    "quant_map": "bitsandbytes",
    "quant_state": "bitsandbytes",
    "SCB": "bitsandbytes",
    "weight_packed": "compressed-tensors",
    "weight_scale": "FP8 or int8",
    "weight_scale_inv": "FP8",
    "weight_scale_2": "Model Optimizer",
}
"""Name of a tensor beside a quantised weight -> the tool that writes it."""

_FLOAT8 = ("F8_E4M3", "F8_E5M2", "F8_E8M0")
_WHY = (
    "Its numbers are rounded to a few bits, so its difference to a base is mostly rounding, no "
    "exact delta. Use the model it was made from (its card names it, often the same name without "
    "-GPTQ, -AWQ, -FP8, -bnb-4bit or -GGUF), merge, and quantise the result."
)


def quantised_by(config: Mapping[str, Any]) -> str | None:
    """The quantisation that config.json declares, as "GPTQ, 4 bits"; None if there is none."""
    settings = config.get("quantization_config")
    if settings is None:
        settings = config.get("compression_config")
    if not settings:
        return None
    if not isinstance(settings, Mapping):
        return "an unknown method"
    method = settings.get("quant_method")
    if isinstance(method, str):
        kind = _KINDS.get(method.lower(), shown(method)[1:-1])
    else:  # older bitsandbytes files name no method
        marks = any(str(key).startswith(("load_in_", "bnb_")) for key in settings)
        kind = "bitsandbytes" if marks else "an unknown method"
    flags = {4: "load_in_4bit", 8: "load_in_8bit"}
    loaded = next((width for width, flag in flags.items() if settings.get(flag) is True), 0)
    bits = settings.get("bits", settings.get("w_bit", loaded))
    plausible = isinstance(bits, int) and not isinstance(bits, bool) and 0 < bits <= 16
    return f"{kind}, {bits} bits" if plausible else kind


def packed_by(dtypes: Mapping[str, str]) -> tuple[str, str] | None:
    """A tensor that only quantised weights have, and the tool that writes it; None if none has."""
    for name, dtype in dtypes.items():
        if dtype in _FLOAT8:
            return name, "FP8"
        last = name.rpartition(".")[2]
        if last in _PACKED or "quant_state" in name:
            return name, _PACKED.get(last, "bitsandbytes")
    return None


def gguf_files(files: Iterable[str]) -> tuple[str, ...]:
    """The file names that are llama.cpp weights."""
    return tuple(sorted(name for name in files if name.lower().endswith(".gguf")))


def why_quantised(config: Mapping[str, Any], dtypes: Mapping[str, str] | None = None) -> str | None:
    """Why weights cannot be merged, and what to use instead; None for plain numbers."""
    kind = quantised_by(config)
    if kind is not None:
        return f"quantised, says its config.json ({kind}). {_WHY}"
    packed = packed_by(dtypes or {})
    if packed is not None:
        return f"quantised: it holds {shown(packed[0])}, as {packed[1]} writes it. {_WHY}"
    return None


def why_gguf(files: Iterable[str]) -> str | None:
    """The same for a folder or repository with GGUF files; None if it has none."""
    names = gguf_files(files)
    return f"holds {names[0]}, weights of llama.cpp. {_WHY}" if names else None
