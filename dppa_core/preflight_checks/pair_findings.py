"""Findings about a base and a domain model: whether there is a delta between them.

Pure functions of facts. The rules are those of `matching.match_tensors`, which sees the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dppa_core.checkpoints.adapters.lora_files import names_another
from dppa_core.checkpoints.matching import HEADS_REMEDY, place_tensors, unlike_labels
from dppa_core.checkpoints.sources.open import ModelRef
from dppa_core.errors import many
from dppa_core.preflight_checks.facts import Finding, ModelFacts, listed
from dppa_core.preflight_checks.model_findings import quantised
from dppa_core.preflight_checks.vocabulary_findings import about_template, about_vocabulary
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.tensor_names import (
    in_head,
    is_buffer,
    token_tensors,
)

_SAME_NUMBERS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
)
_POSITIONS = ("rope_theta", "rope_scaling", "rope_parameters", "sliding_window")


def about_pair(
    base: ModelFacts, tuned: ModelFacts, vocabulary: str = "base", heads: str = "match"
) -> Iterator[Finding]:
    """All findings about a domain model beside its base.

    Args:
        vocabulary: The merge's: "base", "union", or a model's reference.
        heads: "match"; "base" for a merge that takes the base's; "ask" if it can be chosen later.
    """
    yield from _ancestry(base, tuned)
    yield from _adapted(base, tuned)
    yield from _configuration(base, tuned)
    if quantised(base) is None and quantised(tuned) is None:  # else all of them differ
        yield from _tensors(base, tuned, heads)
        yield from _dtypes(base, tuned)
    yield from about_vocabulary(base, tuned, vocabulary)
    yield from about_template(base, tuned)


def _ancestry(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    """The base named by the card and the adapter's configuration."""
    if base.source != "hub":
        return
    base_name, tuned_name = (
        model.reference.removeprefix("hub:").partition("@")[0] for model in (base, tuned)
    )
    stated = [*tuned.stated_bases, *(a.base for a in tuned.adapters if a.base)]
    named = [name for name in stated if name.lower() != tuned_name.lower()]
    if any(name.lower() == base_name.lower() for name in named):
        yield tuned.ok("base", f"Its card names {base_name} as its base.")
    elif named:
        yield tuned.warning(
            "base",
            f"Its card names {listed(named)} as its base, not {base_name}.",
            "A delta to another base than the one it was trained from ruins the merge.",
            f"Try {named[0]} as the base.",
        )


def _adapted(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    """Adapters on another base than their configuration names."""
    carrier = ModelRef.parse(tuned.reference).parts()[0]
    if base.source == "hub" or tuned.stacked:  # its ancestry says it; several carriers
        return
    for adapter in tuned.adapters:
        if names_another(adapter.base, carrier):
            yield tuned.note(
                "base",
                f"{adapter.reference} was trained on {adapter.base}, says its configuration; here "
                f"it is put on {carrier}.",
                "The same model under another name is harmless; another model ruins the merge.",
                "Compare the two names.",
            )


def _configuration(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    if not base.config or not tuned.config:
        return
    kinds = [str(model.config.get("model_type") or "") for model in (base, tuned)]
    if any(kinds) and not all(kinds):
        owner, lacking = ("its", "the base's") if kinds[1] else ("the base's", "its")
        yield tuned.note(
            "architecture",
            f"The model type is {kinds[0] or kinds[1]} in {owner} configuration, and {lacking} "
            "names none.",
            "Older configurations lack it; that the tensors match is checked apart from it.",
            f'Add "model_type": "{kinds[0] or kinds[1]}" to the config.json that lacks it.',
        )
    elif kinds[0] != kinds[1]:
        yield tuned.warning(
            "architecture",
            f"Its model type is {kinds[1]}, the base's {kinds[0]}.",
            "Another family computes other things with tensors of the same names.",
            "Choose a domain model that was made from this base.",
        )
    for word, keys in (("size", _SAME_NUMBERS), ("positions", _POSITIONS)):
        differing = [key for key in keys if _differ(base.config, tuned.config, key)]
        if differing:
            values = "; ".join(
                f"{key} {tuned.config.get(key)} here, {base.config.get(key)} in the base"
                for key in differing
            )
            yield tuned.warning(
                word,
                f"Its configuration differs: {values}.",
                "The merge takes the base's configuration; this model was trained with its own.",
                "Compare the merge with the domain model alone before you rely on it.",
            )


def _differ(base: Mapping[str, object], tuned: Mapping[str, object], key: str) -> bool:
    """Return True if both state a value, and the values differ."""
    base_value, tuned_value = base.get(key), tuned.get(key)
    return base_value is not None and tuned_value is not None and base_value != tuned_value


def _tensors(base: ModelFacts, tuned: ModelFacts, heads: str) -> Iterator[Finding]:
    if not base.tensors or not tuned.tensors:
        return
    places = place_tensors(base.tensors, tuned.tensors, tuned.config)
    base_shapes, tuned_shapes = base.shapes, tuned.shapes
    absent = sorted(name for name in base_shapes if name not in places)
    extra = sorted(set(tuned_shapes) - set(places.values()))
    head = tuned.head if tuned.head in extra else None
    extra = [name for name in extra if name != head]
    token_rows = token_tensors(base.tensors)  # matched by token, whatever their number
    shapes = {n: (base_shapes[n], tuned_shapes[places[n]]) for n in base_shapes if n in places}
    reshaped = [name for name, (old, new) in shapes.items() if old != new]
    unlike = [n for n in reshaped if n not in token_rows or shapes[n][0][1:] != shapes[n][1][1:]]
    rows, labels = unlike_labels(base.config, tuned.config, base_shapes.items())
    unlike += [name for name in rows if name in places and name not in unlike]
    of_heads = [name for name in (*absent, *extra, *unlike) if in_head(name)]
    if of_heads:
        lacking = not {*of_heads} & {*absent, *unlike}
        yield _other_heads(tuned, of_heads, heads, labels, lacking=lacking)
    if head and heads == "match":
        yield _own_head(tuned, head)
    absent, extra, unlike = (
        [n for n in names if n not in of_heads] for names in (absent, extra, unlike)
    )
    yield from _unmatched(tuned, absent, extra)
    if unlike:
        first, how_many = unlike[0], many(len(unlike), "tensor has", "tensors have")
        old, new = map(_size, shapes[first])
        sentence = f"{how_many} another shape: {first} is {new}, in the base {old}."
        yield _unlike(tuned, sentence, "size")
    if not (absent or extra or unlike):
        count = len(base_shapes) - sum(name in base_shapes for name in of_heads)
        yield tuned.ok(
            "tensors",
            f"All {count} tensors of the base{' outside its head' if of_heads else ''} are there, "
            f"in the same shapes{' but for rows of tokens' if reshaped else ''}.",
        )


def _unmatched(tuned: ModelFacts, absent: list[str], extra: list[str]) -> Iterator[Finding]:
    """Tensors that only the base has, and that only the domain model has."""
    if absent:
        how_many = many(len(absent), "tensor of the base is", "tensors of the base are")
        yield _unlike(tuned, f"{how_many} not in it: {listed(absent)}.")
    if extra:
        how_many = many(len(extra), "tensor")
        yield _unlike(tuned, f"It has {how_many} the base lacks: {listed(extra)}.")


def _other_heads(
    tuned: ModelFacts, names: list[str], heads: str, labels: str, *, lacking: bool
) -> Finding:
    """Heads that differ, or that the base is lacking, and what the merge does about them."""
    differs = "It has a head that the base lacks" if lacking else "Its head differs from the base's"
    sentence = f"{differs}: {listed(names)}{labels and f'; {labels}'}."
    if heads == "base":
        action = "leaves it out" if lacking else "takes the base's and leaves its own out"
        return tuned.note("head", f"{sentence} The merge {action}.")
    why, _, remedy = HEADS_REMEDY.partition(": ")
    finding = tuned.note if heads == "ask" else tuned.blocker
    return finding("head", sentence, f"{why}.", f"To merge all else, {remedy}")


def _unlike(tuned: ModelFacts, what: str, kind: str = "architecture or another base") -> Finding:
    return tuned.blocker(
        "tensors",
        what,
        f"A model of another {kind} is the usual cause.",
        "Choose a domain model that was made from this base.",
    )


def _own_head(tuned: ModelFacts, head: str) -> Finding:
    return tuned.warning(
        "head",
        f"It stores {head}, the base's head is its embedding.",
        "Where the two hold other numbers, the merge is refused; headers do not tell.",
        "Look at tie_word_embeddings in both configurations.",
    )


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "a single number"


def _dtypes(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    places = place_tensors(base.tensors, tuned.tensors, tuned.config)
    mixed = [
        f"{name} is {tuned.tensors[counterpart].dtype}, in the base {base.tensors[name].dtype}"
        for name, counterpart in places.items()
        if (base.tensors[name].dtype in FLOATS) != (tuned.tensors[counterpart].dtype in FLOATS)
        and not is_buffer(name, base.tensors[name].shape)
    ]
    if mixed:
        yield tuned.blocker(
            "dtype",
            f"{many(len(mixed), 'tensor holds', 'tensors hold')} weights on one side only: "
            f"{listed(mixed)}.",
            "A quantised model is the usual cause.",
            "Use the unquantised model.",
        )
    kinds = [list(model.dtypes) for model in (base, tuned)]
    if all(kinds) and kinds[0][0] != kinds[1][0] and kinds[1][0] in FLOATS:
        yield tuned.note(
            "dtype",
            f"Its weights are {tuned.low_bit or kinds[1][0]}, the base's "
            f"{base.low_bit or kinds[0][0]}.",
            "The delta then holds the rounding, too, in which small changes are lost.",
            "Prune, or take both in one dtype where their authors offer it.",
        )
