"""Fuzz targets: the project's readers of foreign files, each called with any bytes.

A reader says whether it accepted the bytes. It may refuse them with one of our errors, in one line
of limited length; anything else it raises is a finding. `python -m tests.fuzz` and
tests/fuzz/test_regressions.py call these.
"""

import base64
import json
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from dppa_core.errors import DppaError
from dppa_core.system.error_translation import ForeignCode
from tests.helpers.tiny_models import random_llama
from tests.helpers.vocabularies import SMALL, save_words

LONGEST_MESSAGE = 2000
_PATH = Path("weights")


@dataclass(frozen=True, slots=True)
class Target:
    """One reader of foreign bytes, and how to fuzz it."""

    name: str
    reads: str
    """What it reads, for a table."""
    read: Callable[[bytes, Path], None]
    """Takes the bytes and an empty folder for its files; raises only our errors."""
    runs: int
    """Inputs that `make fuzz` tries."""
    guided: tuple[str, ...]
    """Modules whose branches guide the search for further inputs."""
    longest: int = 2048
    """Bytes of most inputs."""
    largest: int = 100_000
    """Bytes of the few enlarged by repeating a piece."""
    words: tuple[str, ...] = ()
    """Tokens of its language."""


def accepts(target: Target, data: bytes, folder: Path) -> bool:
    """Whether a target accepts the bytes; False if refused.

    Raises:
        AssertionError: a refusal without a clear line.
        Exception: whatever else the reader raised; both are findings.
    """
    try:
        target.read(data, folder)
    except DppaError as error:
        text = str(error)
        assert text and "\n" not in text and len(text) < LONGEST_MESSAGE, repr(text[:300])
        return False
    return True


def read_header(data: bytes, folder: Path) -> None:
    """A safetensors header without its length, in a file as long as its last tensor says.

    Bytes that do not begin like one are a whole file. No weights are needed, hence no memory.
    """
    from dppa_core.checkpoints.safetensors_reader import header_length, parse_header  # noqa: PLC0415

    if not data.startswith(b"{"):
        length = header_length(_PATH, data[:8], len(data))
        parse_header(_PATH, data[8 : 8 + length], len(data))
        return
    ends = [int(end) for end in re.findall(rb'"data_offsets": ?\[\d+, ?(\d{1,18})\]', data)]
    size = 8 + len(data) + max(ends, default=0)
    header_length(_PATH, len(data).to_bytes(8, "little"), size)
    tensors, _ = parse_header(_PATH, data, size)
    spans = sorted((info.start, info.start + info.size) for info in tensors.values())
    begins = [8 + len(data), *(end for _, end in spans)]
    assert [start for start, _ in spans] == begins[:-1] and begins[-1] == size


def read_recipe(data: bytes, folder: Path) -> None:
    """A recipe; if valid, writing and reading it must give an equal one."""
    from dppa_core.recipes.yaml_text import dump_recipe, parse_recipe, recipe_hash  # noqa: PLC0415

    recipe = parse_recipe(data.decode("utf-8", "replace"))
    again = parse_recipe(dump_recipe(recipe))
    assert again == recipe and recipe_hash(again) == recipe_hash(recipe)


def read_mergekit(data: bytes, folder: Path) -> None:
    """A recipe of mergekit for a Llama of two layers, and the same with unknown tensors."""
    from dppa_core.recipes.mergekit.import_recipe import import_mergekit  # noqa: PLC0415
    from dppa_core.recipes.mergekit.values import llama_names  # noqa: PLC0415
    from dppa_core.recipes.yaml_text import dump_recipe, parse_recipe  # noqa: PLC0415

    text = data.decode("utf-8", "replace")
    recipe = import_mergekit(text, lambda base: llama_names(2)).recipe
    assert parse_recipe(dump_recipe(recipe)) == recipe
    with suppress(DppaError):  # a value of each tensor needs their names
        import_mergekit(text)


def read_link(data: bytes, folder: Path) -> None:
    """The value of `?c=`: JSON is packed as the page packs it, other bytes are the link."""
    from components.session.link import LONGEST_LINK, session_from_link  # noqa: PLC0415
    from dppa_core.errors import InvalidValue  # noqa: PLC0415
    from tests.helpers.links import link_of  # noqa: PLC0415

    text = data.decode("latin-1")
    if data.startswith(b"{"):
        packing = zlib.compressobj(1, zlib.DEFLATED, -15)
        packed = packing.compress(data) + packing.flush()
        text = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    session = session_from_link(text)
    try:
        link = link_of(session)
    except InvalidValue:
        return  # numbers written out take more room than a link has
    assert len(link) <= LONGEST_LINK and session_from_link(link) == session


_MODULES = ("model.layers.0.self_attn.q_proj", "a" * 1000, "." * 1000, "lm_head")


def read_lora(data: bytes, folder: Path) -> None:
    """An adapter's configuration, asked about names as a header may hold them."""
    from dppa_core.checkpoints.adapters.lora_files import CONFIG, read_lora_config  # noqa: PLC0415

    (folder / CONFIG).write_bytes(data)
    config = read_lora_config(folder)
    config.check_effort(_MODULES, folder)
    for name in _MODULES:
        assert config.rank(name) >= 1
        config.scale(name)


_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "added_tokens.json", "vocab.json"),
    *("special_tokens_map.json", "chat_template.json", "chat_template.jinja"),
    "generation_config.json",
)


def read_tokenizer(data: bytes, folder: Path) -> None:
    """The files of a model's tokenizer, as a JSON object of their contents; see `_files`.

    The model is aligned with a valid base in every way, and the files beside their merge are
    made: tokenizer, template and token counts. A text becomes tokens, and a text again.
    """
    from dppa_core.checkpoints.checkpoint import FolderCheckpoint  # noqa: PLC0415
    from dppa_core.checkpoints.vocabulary.alignment import align  # noqa: PLC0415
    from dppa_core.checkpoints.vocabulary.tokenizer_files import check_named_files  # noqa: PLC0415
    from dppa_core.merging.cards.companions import companions_of  # noqa: PLC0415

    base, theirs = folder / "base", folder / "theirs"
    if not base.exists():
        model = random_llama(0, SMALL)
        for side in (base, theirs):
            save_words(model, side, ("a", "b"), ("<|c|>",))
    for name in _TOKENIZER:
        (theirs / name).unlink(missing_ok=True)
    for name, content in _files(data).items():
        (theirs / name).write_bytes(content)
    models, refusals = [FolderCheckpoint(side) for side in (base, theirs)], []
    for choice in ("base", "union", 0):
        try:
            together = align(models[0], models[1:], ["theirs"], choice)
            for template in ("auto", "base", "theirs"):
                companions_of(together, ("base", "theirs"), template)
        except DppaError as error:  # some ways may be refused
            refusals.append(error)
    check_named_files(theirs)
    if (theirs / "tokenizer.json").is_file():
        with suppress(DppaError), ForeignCode("its tokenizer fails", "This is the usual cause."):
            tokenizer = Tokenizer.from_file(str(theirs / "tokenizer.json"))
            tokenizer.decode(tokenizer.encode("a b <|c|>").ids)
    if refusals:
        raise refusals[0]


def _files(data: bytes) -> dict[str, bytes]:
    """Name -> content: texts as they are, other values as JSON; or all of it as tokenizer.json."""
    try:
        listed = json.loads(data)
    except (ValueError, RecursionError):
        return {"tokenizer.json": data}
    if not isinstance(listed, dict) or not set(listed) & set(_TOKENIZER):
        return {"tokenizer.json": data}
    files = {name: listed[name] for name in _TOKENIZER if name in listed}
    return {
        name: (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")
        for name, value in files.items()
    }


_JSON_WORDS = ("null", "true", "NaN", "1e999", "-1", "9223372036854775807", "\\u0000", "\\ud800")
_RECIPE_WORDS = (
    *("dppa", "base", "models", "model", "levels", "amplification", "coefficient", "prune"),
    *("method", "parameters", "calibration", "overrides", "seed", "dtype", "vocabulary"),
    *("chat_template", "rate", "strength", "significance", "zoo:math", "ties", "dare", "fisher"),
    *(
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "? ",
        ": ",
        "- ",
        "--- ",
        "%YAML",
        "|",
        ">",
        "0x",
        "1e",
        ".nan",
    ),
    *(".inf", "1:0", "~", "\n  ", "{", "}", "[", "]", "\ufeff", "\u2028"),
)
TARGETS = (
    Target(
        "header",
        "safetensors headers",
        read_header,
        1_500_000,
        ("dppa_core.checkpoints.safetensors_reader", "dppa_core.system.strict_json"),
        largest=1_000_000,
        words=(*_JSON_WORDS, "__metadata__", "dtype", "shape", "data_offsets", "BF16", "F8_E4M3"),
    ),
    Target(
        "recipe",
        "recipes (YAML)",
        read_recipe,
        1_001_000,
        ("dppa_core.recipes.yaml_text", "dppa_core.recipes.checks", "dppa_core.recipes.recipe")
        + (
            "dppa_core.pruning.coefficients",
            "dppa_core.recipes.calibration",
            "dppa_core.parameter_fields",
            "yaml.constructor",
        ),
        longest=256,
        words=_RECIPE_WORDS,
    ),
    Target(
        "mergekit",
        "mergekit's recipes",
        read_mergekit,
        100_000,
        (
            "dppa_core.recipes.mergekit.reader",
            "dppa_core.recipes.mergekit.import_recipe",
            "dppa_core.recipes.mergekit.values",
        )
        + (
            "dppa_core.recipes.yaml_text",
            "dppa_core.recipes.checks",
            "dppa_core.pruning.coefficients",
        ),
        words=(*_RECIPE_WORDS, "merge_method", "base_model", "slices", "layer_range", "filter")
        + ("value", "weight", "density", "normalize", "lambda", "tokenizer_source", "sources"),
    ),
    Target(
        "link",
        "links to settings",
        read_link,
        100_000,
        ("components.session.link", "components.session.json_form", "components.session.state")
        + (
            "components.session.session",
            "components.session.curve",
            "components.session.method_choice",
        ),
        words=(*_JSON_WORDS, "models", "ref", "curve", "amplify", "own", "factors", "overrides"),
    ),
    Target(
        "lora",
        "LoRA configurations",
        read_lora,
        100_000,
        ("dppa_core.checkpoints.adapters.lora_files", "dppa_core.system.strict_json"),
        words=(*_JSON_WORDS, "rank_pattern", "alpha_pattern", "use_rslora", ".*", "\\\\.", "{1,9}"),
    ),
    Target(
        "tokenizer",
        "tokenizer files and chat templates",
        read_tokenizer,
        10_000,
        (
            "dppa_core.checkpoints.vocabulary.tokenizer_files",
            "dppa_core.checkpoints.vocabulary.tokenizer_growth",
            "dppa_core.checkpoints.vocabulary.tokens",
            "dppa_core.checkpoints.vocabulary.rows",
        )
        + (
            "dppa_core.checkpoints.vocabulary.token_ids",
            "dppa_core.checkpoints.vocabulary.chat_templates",
            "dppa_core.merging.cards.companions",
        ),
        words=(*_JSON_WORDS, "added_tokens", "content", "vocab", "added_tokens_decoder", "model")
        + ("normalizer", "Sequence", "normalizers", "Replace", "Prepend", "ByteLevel", "Regex"),
    ),
)


def target_of(name: str) -> Target:
    """The target of a name."""
    return next(target for target in TARGETS if target.name == name)
