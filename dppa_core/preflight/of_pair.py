"""Findings about a base and a domain model: whether there is a delta between them.

Pure functions of facts. The rules are those of `pairs.match_tensors`, which sees the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dppa_core.floats import FLOATS
from dppa_core.names import find_embedding, is_buffer, match_names
from dppa_core.preflight.facts import Finding, ModelFacts, Severity, listed
from dppa_core.vocabulary import compare_vocabularies, examples

_SAME_NUMBERS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
)
_POSITIONS = ("rope_theta", "rope_scaling", "rope_parameters", "sliding_window")


def about_pair(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    """All there is to say of a domain model beside its base."""
    yield from _ancestry(base, tuned)
    yield from _configuration(base, tuned)
    yield from _tensors(base, tuned)
    yield from _dtypes(base, tuned)
    yield from _tokenizer(base, tuned)
    yield from _template(base, tuned)


def _ancestry(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    """What the card and the adapter's configuration say it was made from."""
    if base.source != "hub":
        return
    own = base.reference.removeprefix("hub:").partition("@")[0]
    stated = [*tuned.stated_bases, *(a.base for a in tuned.adapters if a.base)]
    mine = tuned.reference.removeprefix("hub:").partition("@")[0]
    named = [name for name in stated if name.lower() != mine.lower()]
    if any(name.lower() == own.lower() for name in named):
        yield Finding(Severity.OK, "base", tuned.reference, f"Its card names {own} as its base.")
    elif named:
        yield Finding(
            Severity.WARNING,
            "base",
            tuned.reference,
            f"Its card names {listed(named)} as its base, not {own}.",
            "A delta to another base than the one it was trained from ruins the merge.",
            f"Try {named[0]} as the base.",
        )


def _configuration(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    if not base.config or not tuned.config:
        return
    kinds = [str(one.config.get("model_type") or "unnamed") for one in (base, tuned)]
    if kinds[0] != kinds[1]:
        yield Finding(
            Severity.WARNING,
            "architecture",
            tuned.reference,
            f"It is a {kinds[1]}, the base a {kinds[0]}.",
            "Another family computes other things with tensors of the same names.",
            "Choose a domain model that was made from this base.",
        )
    for word, keys in (("size", _SAME_NUMBERS), ("positions", _POSITIONS)):
        differing = [key for key in keys if _differ(base.config, tuned.config, key)]
        if differing:
            told = "; ".join(
                f"{key} {tuned.config.get(key)} here, {base.config.get(key)} in the base"
                for key in differing
            )
            yield Finding(
                Severity.WARNING,
                word,
                tuned.reference,
                f"Its configuration differs: {told}.",
                "The merge takes the base's configuration; this model was trained with its own.",
                "Compare the merge with the domain model alone before you rely on it.",
            )


def _differ(base: Mapping[str, object], tuned: Mapping[str, object], key: str) -> bool:
    """Whether both say something, and not the same."""
    mine, theirs = base.get(key), tuned.get(key)
    return mine is not None and theirs is not None and mine != theirs


def _tensors(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    if not base.tensors or not tuned.tensors:
        return
    places = _places(base, tuned)
    mine = {name: shape for name, shape in base.shapes.items() if not is_buffer(name, shape)}
    absent = sorted(name for name in mine if name not in places)
    theirs = {name: shape for name, shape in tuned.shapes.items() if not is_buffer(name, shape)}
    extra = sorted(set(theirs) - set(places.values()))
    head = tuned.head if tuned.head in extra else None
    extra = [name for name in extra if name != head]
    if absent:
        yield _unmatched(tuned, f"{len(absent)} tensors of the base are not in it", absent)
    if extra:
        yield _unmatched(tuned, f"It has {len(extra)} tensors the base lacks", extra)
    if head:
        yield _own_head(tuned, head)
    shapes = [name for name in mine if name in places and mine[name] != theirs[places[name]]]
    rows = [
        name
        for name in shapes
        if _is_vocabulary(base, name) and mine[name][1:] == theirs[places[name]][1:]
    ]
    other = [name for name in shapes if name not in rows]
    if other:
        first = other[0]
        yield Finding(
            Severity.BLOCKER,
            "tensors",
            tuned.reference,
            f"{len(other)} tensors have another shape: {first} is {_size(theirs[places[first]])}, "
            f"in the base {_size(mine[first])}.",
            "A model of another size is the usual cause.",
            "Choose a domain model that was made from this base.",
        )
    if rows:
        yield _rows(base, tuned)
    if not (absent or extra or shapes):
        yield Finding(
            Severity.OK,
            "tensors",
            tuned.reference,
            f"All {len(mine)} tensors of the base are there, in the same shapes.",
        )


def _places(base: ModelFacts, tuned: ModelFacts) -> dict[str, str]:
    """Name in the base -> name here, a tied head included."""
    places = dict(match_names(tuple(base.tensors), tuple(tuned.tensors)))
    embedding = find_embedding(tuned.tensors)
    untied = tuned.config.get("tie_word_embeddings") is False
    if base.head and base.head not in places and embedding and not untied:
        places[base.head] = embedding
    return places


def _unmatched(tuned: ModelFacts, what: str, names: list[str]) -> Finding:
    return Finding(
        Severity.BLOCKER,
        "tensors",
        tuned.reference,
        f"{what}: {listed(names)}.",
        "A model of another architecture or another base is the usual cause.",
        "Choose a domain model that was made from this base.",
    )


def _own_head(tuned: ModelFacts, head: str) -> Finding:
    return Finding(
        Severity.WARNING,
        "head",
        tuned.reference,
        f"It stores {head}, the base's head is its embedding.",
        "Where the two hold other numbers, the merge is refused; headers do not tell.",
        "Look at tie_word_embeddings in both configurations.",
    )


def _is_vocabulary(base: ModelFacts, name: str) -> bool:
    return name in (find_embedding(base.tensors), base.head)


def _rows(base: ModelFacts, tuned: ModelFacts) -> Finding:
    what = f"It has {_number(tuned.rows)} rows of tokens, the base {_number(base.rows)}."
    lacking = [one.reference for one in (base, tuned) if not one.tokenizer.files]
    if lacking:
        return Finding(
            Severity.BLOCKER,
            "vocabulary",
            tuned.reference,
            what,
            f"Rows are matched by the text of their token, and {lacking[0]} has no tokenizer.",
            "Copy its tokenizer's files beside its config.json.",
        )
    return Finding(
        Severity.NOTE,
        "vocabulary",
        tuned.reference,
        what,
        "Added tokens, or padding to a round number, are the usual cause. Rows are matched by the "
        "text of their token; the merge has the base's tokens.",
        "`vocabulary: union` in the recipe keeps added tokens.",
    )


def _number(rows: int | None) -> str:
    return "no" if rows is None else f"{rows:,}"


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "a single number"


def _dtypes(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    places = _places(base, tuned)
    mixed = [
        f"{name} is {tuned.tensors[other].dtype}, in the base {base.tensors[name].dtype}"
        for name, other in places.items()
        if (base.tensors[name].dtype in FLOATS) != (tuned.tensors[other].dtype in FLOATS)
        and not is_buffer(name, base.tensors[name].shape)
    ]
    if mixed:
        yield Finding(
            Severity.BLOCKER,
            "dtype",
            tuned.reference,
            f"{len(mixed)} tensors hold weights on one side only: {listed(mixed)}.",
            "A quantised model is the usual cause.",
            "Use the unquantised model.",
        )
    kinds = [list(one.dtypes) for one in (base, tuned)]
    if all(kinds) and kinds[0][0] != kinds[1][0] and kinds[1][0] in FLOATS:
        yield Finding(
            Severity.NOTE,
            "dtype",
            tuned.reference,
            f"Its weights are {kinds[1][0]}, the base's {kinds[0][0]}.",
            "Rounding is then part of the delta: small changes next to nothing but noise.",
            "Prune, or take both in one dtype where their authors offer it.",
        )


def _tokenizer(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    mine, theirs = base.tokenizer, tuned.tokenizer
    if not mine.files or not theirs.files:
        return
    if mine.identities & theirs.identities:
        yield Finding(
            Severity.OK, "tokenizer", tuned.reference, "Its tokenizer is the base's, byte for byte."
        )
        return
    if mine.vocabulary is None or theirs.vocabulary is None:
        yield Finding(
            Severity.NOTE,
            "tokenizer",
            tuned.reference,
            "Its tokenizer's file is not the base's, and their tokens could not be compared.",
            "The merge takes the base's tokenizer.",
        )
        return
    found = compare_vocabularies(mine.vocabulary, theirs.vocabulary)
    if found.moved:
        yield Finding(
            Severity.WARNING,
            "tokenizer",
            tuned.reference,
            f"{len(found.moved):,} tokens have another row than in the base "
            f"({examples(found.moved)}).",
            "Rows are matched by the text of their token. A model made from this base seldom "
            "moves them.",
            "Look whether it was made from this base.",
        )
    elif found.same:
        yield Finding(
            Severity.OK,
            "tokenizer",
            tuned.reference,
            f"Its {found.shared:,} tokens are the base's, row by row.",
        )
    else:
        groups = {"more": found.extra, "fewer": found.missing}
        told = [f"{len(t):,} {word} ({examples(t)})" for word, t in groups.items() if t]
        yield Finding(
            Severity.NOTE,
            "tokenizer",
            tuned.reference,
            f"Of tokens it has {' and '.join(told)} than the base; all others agree.",
            "The merge has the base's tokens, unless its recipe names another `vocabulary`.",
        )


def _template(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    mine, theirs = base.tokenizer.template, tuned.tokenizer.template
    if not theirs or mine == theirs:
        return
    if mine:
        what, why = "another one", "The merge takes the base's."
    else:
        what, why = "none", "The merge takes that of the first domain model that has one."
    yield Finding(
        Severity.NOTE,
        "template",
        tuned.reference,
        f"It has a chat template, the base has {what}.",
        why,
        f"`chat_template: {tuned.reference}` in the recipe takes this one.",
    )
