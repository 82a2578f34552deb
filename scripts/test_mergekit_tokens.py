"""Merge tiny models of different vocabularies by mergekit and here, and compare all about tokens.

    .venv/bin/python scripts/test_mergekit_tokens.py

mergekit runs in out/mergekit-venv. Compared are the rows of embedding and head, `vocab_size`, how
the tokenizer cuts texts, its added tokens, and a conversation in the chat template. Rows and texts
are compared by token: in a union the order of new tokens is that of a set there, so that only other
vocabularies must have equal numbers too. Two things are otherwise here. Where neither recipe nor
base has a template, mergekit writes none, and here it is the first model's that has one. To tokens
that a recipe adds to `source: base` mergekit gives the base's rows of padding, if it has some, and
stops if not; here their rows are as the recipe says (`force: true` makes them so there).
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from safetensors.numpy import load_file  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from dppa_core.checkpoints.vocabulary.chat_templates import default_template  # noqa: E402
from dppa_core.merging.to_folder import merge_to_folder  # noqa: E402
from dppa_core.recipes.mergekit.exporting.export import export_mergekit  # noqa: E402
from dppa_core.recipes.mergekit.import_recipe import import_mergekit  # noqa: E402
from dppa_core.recipes.mergekit.local_names import local_names  # noqa: E402
from tests.helpers.tiny_models import Shape, random_llama  # noqa: E402
from tests.helpers.vocabularies import (  # noqa: E402
    SMALL,
    VOCABULARY_TENSORS,
    save_words,
    with_rows,
)
from tests.reference.mergekit_cases import run_mergekit  # noqa: E402

PYTHON = ROOT / "out" / "mergekit-venv" / "bin" / "python"
WORDS = ("<unk>", "a", "b", "c")
TABLES = {
    "moved": ("<unk>", "b", "a", "c"),
    "other": ("<unk>", "a", "<w>", "dd", "e"),
    "named": ("<unk>", "a", "b"),
}
"""Words of models that have other ones, or another order."""
ADDED = {
    "base": ("<x>",),
    "moved": ("<y>",),
    "two": ("<x>", "<y>", "<z>"),
    "one": ("<x>", "<w>"),
    "other": ("<x>",),
    "named": ("<x>", "c"),
    "short": ("<x>", "<p>", "<q>"),
}
"""Model -> tokens behind its words."""
TEMPLATES = {"base": "B{{ messages[0]['content'] }}", "moved": "\nM {{ messages[0]['content'] }}"}
TEMPLATES["short"] = TEMPLATES["base"]
TEMPLATES["two"] = TEMPLATES["moved"] + "\n"
TEXTS = ("a b c dd ab e", "a<x>b <y><z> c", "<w> a <w>b ", " <new>a<new> dde <|im_end|>")
CONVERSATION = [
    {"role": role, "content": text}
    for role, text in (("system", "s "), ("user", "hi"), ("assistant", " yo"), ("user", "so"))
]
RECIPE = """
merge_method: {method}
{base}
models:
  - {{model: moved, parameters: {{weight: 0.5}}}}
  - {{model: two, parameters: {{weight: 0.25}}}}
  - {{model: one, parameters: {{weight: 0.25}}}}
dtype: float32
"""
TOKENS = """
tokenizer:
  source: {source}
  tokens:
    "<new>": {{source: {{kind: model_token, model: two, token: "<z>"}}, force: {force}}}
    "<void>": {{source: {{kind: zero}}, force: {force}}}
    a: {{source: {{kind: model_token, model: {first}, token_id: {row}}}, force: true}}
    b: {{source: one}}
    c: {{source: {first}, force: true}}
"""
MORE = """
    "<z>": {source: two}
    "<y>": {source: moved, force: true}
"""


def cases() -> dict[str, str]:
    """Recipes of mergekit by name."""
    delta = RECIPE.format(method="task_arithmetic", base="base_model: base")
    soup = RECIPE.format(method="linear", base="")
    ties = RECIPE.format(method="ties", base="base_model: base\nparameters: {density: 0.5}")
    texts = {}
    for name, recipe in (("deltas", delta), ("ties", ties), ("soup", soup)):
        sources, first, row = ("base", "union", "moved", "two"), "base", 7
        if name == "soup":
            sources, first, row = ("moved", "two"), "moved", 3
        for source in sources:
            texts[f"{name}, {source}"] = f"{recipe}tokenizer_source: {source}\n"
            force = str(source == "base").lower()
            tokens = TOKENS.format(source=source, first=first, row=row, force=force)
            more = "" if source == "base" else MORE.lstrip("\n")
            texts[f"{name}, rows of tokens in {source}"] = recipe + tokens + more
        texts[f"{name}, of a model that is not merged"] = f"{recipe}tokenizer_source: other\n"
    for size in (1, 4, 64):
        for source in ("base", "union"):
            tokenizer = f"tokenizer: {{source: {source}, pad_to_multiple_of: {size}}}\n"
            texts[f"{source}, rows a multiple of {size}"] = delta + tokenizer
    texts["mean of those that have a token"] = soup + "tokenizer: {source: two}\n"
    texts["union with another table"] = (
        delta.replace("model: moved", "model: other") + "tokenizer_source: union\n"
    )
    texts["union with a word that a model has added"] = (
        delta.replace("model: moved", "model: named") + "tokenizer_source: union\n"
    )
    for source in ("base", "union"):
        texts[f"stack, {source}"] = (
            "slices: [{sources: [{model: base, layer_range: [0, 1]}]}, {sources: [{model: base, "
            "layer_range: [0, 1]}]}]\nbase_model: base\nmerge_method: passthrough\ndtype: float32\n"
            f"tokenizer: {{source: {source}, tokens: {{c: {{source: {{kind: zero}}, force: true}}}}"
            "}\n"
        )
        texts[f"base with tokens beyond its rows, {source}"] = (
            delta.replace("model: base", "model: short") + f"tokenizer_source: {source}\n"
        )
    for last in ("moved", "one"):
        texts[f"stack of base and {last}"] = (
            "slices: [{sources: [{model: base, layer_range: [0, 1]}]}, {sources: [{model: "
            f"{last}, layer_range: [0, 1]}}]}}]\nbase_model: base\nmerge_method: passthrough\n"
            "dtype: float32\ntokenizer_source: base\n"
        )
    texts["slerp, union"] = (
        "merge_method: slerp\nbase_model: base\nmodels: [{model: two}]\nparameters: {t: 0.3}\n"
        "dtype: float32\ntokenizer: {source: union, pad_to_multiple_of: 8}\n"
    )
    literal = json.dumps("{% for m in messages %}[{{ m['content'] }}]{% endfor %}")
    for name in ("auto", "alpaca", "chatml", "exaone", "llama3", "mistral", literal):
        for source in ("two", "union"):
            keys = f"chat_template: {name}\ntokenizer_source: {source}\n"
            texts[f"template {name}, {source}"] = delta + keys
    return texts


def main() -> int:
    """1 if anything differs, else 0."""
    texts, differing = cases(), 0
    with TemporaryDirectory() as place:
        root = Path(place)
        os.chdir(root)
        save_models(root)
        recipes = {name: import_mergekit(text, local_names).recipe for name, text in texts.items()}
        back = {name: export_mergekit(recipe) for name, recipe in recipes.items()}
        run_mergekit(
            PYTHON, root, [*texts.values(), *(e.text for e in back.values())], tokenizer=True
        )
        for number, (name, recipe) in enumerate(recipes.items()):
            merge_to_folder(recipe, root / f"ours{number}")
            for suffix, other in (("", number), (", exported", number + len(texts))):
                unlike = differences(
                    root / f"ours{number}", root / f"out{other}", numbers="union" not in name
                )
                differing += bool(unlike)
                mark = f"differs: {'; '.join(unlike)}" if unlike else "equal"
                sys.stdout.write(f"{name}{suffix}: {mark}\n")
    return int(differing > 0)


def save_models(root: Path) -> None:
    """One folder for each model, with a head of its own; the base has rows of padding."""
    for seed, (name, added) in enumerate(ADDED.items()):
        words = TABLES.get(name, WORDS)
        size = {key: getattr(SMALL, key) for key in SMALL.__dataclass_fields__}
        count = len(words) + len(added) + {"base": 3, "short": -3}.get(name, 0)
        draws = np.random.default_rng(seed)
        rows = {
            tensor: draws.normal(size=(count, SMALL.hidden)).astype(np.float32)
            for tensor in VOCABULARY_TENSORS
        }
        model = with_rows(random_llama(seed, Shape(**{**size, "tied": False})), rows)
        save_words(model, root / name, words, added)
        if name == "short":
            as_pairs(root / name / "tokenizer.json")
        if name in TEMPLATES:
            (root / name / "chat_template.jinja").write_text(TEMPLATES[name])


def as_pairs(path: Path) -> None:
    """Make a tokenizer of words one of pairs (BPE); only from such mergekit removes tokens."""
    tokenizer = read(path)
    model = tokenizer["model"]
    vocab = {token: row for row, token in enumerate(("<unk>", "a", "b", "ab"))}
    tokenizer["model"] = {**model, "type": "BPE", "vocab": vocab, "merges": [["a", "b"]]}
    path.write_text(json.dumps(tokenizer))


def differences(ours: Path, theirs: Path, *, numbers: bool) -> list[str]:
    """What differs between two folders.

    Args:
        numbers: True if the numbers of tokens must be equal too.
    """
    unlike = []
    for tensor in VOCABULARY_TENSORS:
        first, second = (rows_of(folder, tensor) for folder in (ours, theirs))
        if first.keys() != second.keys():
            unlike.append(f"{tensor}: rows of {sorted(map(str, first.keys() ^ second.keys()))}")
            continue
        worst = max(float(np.abs(first[token] - second[token]).max()) for token in first)
        unlike += [f"{tensor} by {worst:.1e}"] if worst > 1e-6 else []
    pairs = {
        "vocab_size": [read(folder / "config.json")["vocab_size"] for folder in (ours, theirs)],
        "texts": [cuts(folder, numbers=numbers) for folder in (ours, theirs)],
        "added tokens": [added_tokens(folder, numbers=numbers) for folder in (ours, theirs)],
        "template": [rendered(folder) for folder in (ours, theirs)],
    }
    return unlike + [f"{key}: {a!r} here, {b!r}" for key, (a, b) in pairs.items() if a != b]


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text("utf-8"))


def tokenizer_of(folder: Path) -> Tokenizer:
    """The tokenizer as transformers reads it: unk_token is an added token then."""
    from transformers import AutoTokenizer  # noqa: PLC0415  (seconds)

    return AutoTokenizer.from_pretrained(folder).backend_tokenizer


def rows_of(folder: Path, tensor: str) -> dict[Any, np.ndarray]:
    """Token, or number of a row without one -> its row."""
    weights: dict[str, np.ndarray] = {}
    for file in folder.glob("*.safetensors"):
        weights |= load_file(file)
    tokens = {row: token for token, row in tokenizer_of(folder).get_vocab().items()}
    return {tokens.get(number, number): row for number, row in enumerate(weights[tensor])}


def cuts(folder: Path, *, numbers: bool) -> list[Any]:
    """How the tokenizer cuts the texts."""
    encodings = tokenizer_of(folder).encode_batch(list(TEXTS))
    return [(each.tokens, each.ids if numbers else ()) for each in encodings]


def added_tokens(folder: Path, *, numbers: bool) -> dict[str, Any]:
    """The added tokens with their flags."""
    added = tokenizer_of(folder).get_added_tokens_decoder().items()
    return {token.content: (repr(token), number if numbers else 0) for number, token in added}


def rendered(folder: Path) -> str | None:
    """The conversation in the folder's template."""
    from transformers.utils.chat_template_utils import (  # noqa: PLC0415  (half a second)
        render_jinja_template,
    )

    template = default_template(folder)
    if template is None:
        return None
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    return str(
        render_jinja_template(
            [CONVERSATION], chat_template=template, add_generation_prompt=True, **special
        )[0][0]
    )


if __name__ == "__main__":
    sys.exit(main())
