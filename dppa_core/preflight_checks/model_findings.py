"""Findings about one model: format, architecture, revision, access, head, chat template.

Pure functions of facts.
"""

from __future__ import annotations

from collections.abc import Iterator

from dppa_core.checkpoints.folders.architectures import (
    is_encoder,
    labels_of,
    lacks_lm_head,
    other_architectures,
)
from dppa_core.checkpoints.folders.quantisation import packed_by, quantised_by
from dppa_core.checkpoints.formats import SAFETENSORS
from dppa_core.errors import many
from dppa_core.preflight_checks.facts import Finding, ModelFacts, counted, in_bytes, listed
from dppa_core.pruning.floats import FLOATS, OTHERS
from dppa_core.pruning.module_groups import find_modules
from dppa_core.pruning.tensor_names import is_buffer


def about_model(facts: ModelFacts) -> Iterator[Finding]:
    """All findings about a model by itself."""
    yield from _access(facts)
    yield from _revision(facts)
    yield from _format(facts)
    yield from _dtype(facts)
    yield from _architecture(facts)
    yield from _head(facts)
    yield from _rows(facts)


def _access(facts: ModelFacts) -> Iterator[Finding]:
    if facts.gated and facts.config:
        yield facts.ok("access", "It is gated, and your login has access.")
    elif facts.gated:
        how = "A person looks at every request." if facts.gated == "manual" else ""
        yield facts.blocker(
            "access",
            "It is gated: its authors want their terms accepted first.",
            how,
            f"Accept them at https://huggingface.co/{facts.hub_name}, then run `hf auth login`.",
        )


def _revision(facts: ModelFacts) -> Iterator[Finding]:
    if facts.source != "hub" or not facts.commit or facts.revision == facts.commit:
        return
    branch = facts.revision or "main"
    yield facts.note(
        "revision",
        f"{branch} is commit {facts.commit[:8]} now; a merge writes the whole commit down.",
        "A branch moves on, and the same recipe then gives another merge.",
        f"To stay at it, write @{facts.commit}.",
    )


def _format(facts: ModelFacts) -> Iterator[Finding]:
    how = quantised(facts)
    if how is not None:
        unquantised = listed(list(facts.stated_bases)) or "the model it was made from"
        yield facts.blocker(
            "format",
            f"Its weights are quantised ({how}).",
            "Rounded to a few bits, their difference to a base is no delta.",
            f"Use the unquantised model, {unquantised}; quantise the merge.",
        )
    elif facts.tensors:
        title = (facts.format or SAFETENSORS).title
        yield facts.ok(
            "format",
            f"{title} in {facts.low_bit or ', '.join(facts.dtypes)}, "
            f"{counted(facts.parameters)} parameters, {in_bytes(facts.bytes_of_weights)}.",
        )
    elif facts.unreadable:
        return  # a blocker says it already
    elif facts.low_bit or (facts.format and not facts.format.has_header):
        title = facts.low_bit or (facts.format or SAFETENSORS).title
        yield facts.note(
            "format",
            f"{title}, {in_bytes(facts.bytes_of_weights)}.",
            "No header tells names and shapes: they are seen once the weights are here.",
            "Fetch and convert it (`dppa convert`), and ask again with the folder.",
        )


def quantised(facts: ModelFacts) -> str | None:
    """The quantisation of the weights in words; None if they are plain numbers."""
    stated = quantised_by(facts.config)
    packed = packed_by({name: info.dtype for name, info in facts.tensors.items()})
    whole = [
        f"{name} is {info.dtype}"
        for name, info in facts.tensors.items()
        if info.dtype in OTHERS and len(info.shape) > 1 and not is_buffer(name, info.shape)
    ]
    return (
        stated or (packed and f"{packed[0]}, as {packed[1]} writes it") or next(iter(whole), None)
    )


def _architecture(facts: ModelFacts) -> Iterator[Finding]:
    if not facts.config:
        return
    if facts.config.get("auto_map"):
        yield facts.warning(
            "architecture",
            "Its configuration asks for code of its own (auto_map), which is never run here.",
            "The weights can be merged; chat and scores need an architecture of transformers.",
            "Load the merge where you trust that code.",
        )
    names = other_architectures(facts.config)
    if labels := labels_of(facts.config):
        yield facts.note(
            "architecture",
            f"It is a {listed(names)}, which tells {listed(list(labels))} apart: it writes no "
            "replies.",
            "Chat needs a causal language model.",
            "`dppa evaluate --items` scores it by lines whose answers are labels.",
        )
    elif is_encoder(facts.config):
        yield facts.note(
            "architecture",
            f"It is {f'a {listed(names)}, ' if names else ''}an encoder: it writes no replies.",
            "Chat and questions need a causal language model.",
            "With a masked-language head, `dppa evaluate --text` scores it.",
        )
    elif names:
        yield facts.warning(
            "architecture",
            f"It is a {listed(names)}, not a causal language model.",
            "Chat and scores need one; the weights can be merged by their names.",
            "Check that the base is of the same kind.",
        )
    if facts.tensors:
        yield from _modules(facts)


def _modules(facts: ModelFacts) -> Iterator[Finding]:
    modules = find_modules({n: i.shape for n, i in facts.tensors.items() if i.dtype in FLOATS})
    if modules:
        layers = 1 + max(module.layer for module in modules)
        share = sum(module.numel for module in modules) / max(facts.parameters, 1)
        yield facts.ok(
            "architecture",
            f"{facts.config.get('model_type') or 'model'}, {layers} layers, {len(modules)} linear "
            f"modules with {share:.0%} of the parameters.",
        )
    elif quantised(facts) is None:
        yield facts.blocker(
            "architecture",
            "No linear module was found among its tensors.",
            "Their names follow no pattern of transformer blocks, as layers.0.….weight.",
            "Choose a causal language model of transformers.",
        )


def _head(facts: ModelFacts) -> Iterator[Finding]:
    if not facts.tensors or facts.rows is None:
        return
    tied, head = facts.config.get("tie_word_embeddings"), facts.head
    if head is None and lacks_lm_head(facts.config):
        yield facts.ok("head", "It has no LM head.")
    elif head is None and tied is False:
        yield facts.blocker(
            "head",
            "Its configuration has an LM head of its own, and the files hold none.",
            "The model was saved without its head.",
            "Save it again from AutoModelForCausalLM.",
        )
    elif head is None and not (tied or facts.config.get("architectures")):
        yield facts.ok("head", "It stores no LM head.")
    elif head is None:
        yield facts.ok("head", "The LM head is the embedding (tied).")
    elif tied:
        yield facts.note(
            "head",
            f"{head} is stored although it is tied to the embedding.",
            "Where both hold the same numbers they are merged once.",
        )
    else:
        yield facts.ok("head", f"{head} is a head of its own.")


def _rows(facts: ModelFacts) -> Iterator[Finding]:
    stated = facts.config.get("vocab_size")
    if facts.rows is None or not isinstance(stated, int) or stated == facts.rows:
        return
    yield facts.warning(
        "vocabulary",
        f"Its configuration has {stated:,} tokens, its embedding {facts.rows:,} rows.",
        "Weights and configuration of different versions are the usual cause; transformers "
        "will not load them.",
        "Correct vocab_size in config.json, or fetch the model again.",
    )


def _dtype(facts: ModelFacts) -> Iterator[Finding]:
    if quantised(facts) is not None:
        return
    wrong = [
        f"{name} is {info.dtype}"
        for name, info in facts.tensors.items()
        if info.dtype not in (*FLOATS, *OTHERS) and not is_buffer(name, info.shape)
    ]
    if wrong:
        yield facts.blocker(
            "dtype",
            f"{many(len(wrong), 'tensor has', 'tensors have')} a dtype no delta can be taken of: "
            f"{listed(wrong)}.",
            f"A delta needs {', '.join(FLOATS)}.",
            "Convert the model to bfloat16 and save it again.",
        )
