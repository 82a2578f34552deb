"""Findings about tokens: whether two tokenizers agree, and what a merge does if they do not.

Pure functions of facts. The rules are those of `alignment`, which sees the weights.
"""

from __future__ import annotations

from collections.abc import Iterator

from dppa_core.checkpoints.vocabulary.tokens import Vocabulary, compare_vocabularies, examples
from dppa_core.preflight_checks.facts import Finding, ModelFacts

MOSTLY = 0.5
"""Share of a model's tokens that the base must have, for its embedding to be worth a merge."""


def same_tokens(base: ModelFacts, tuned: ModelFacts) -> bool:
    """Return True if two tokenizers are known to be equal, so that rows need no matching."""
    base_tokenizer, tuned_tokenizer = base.tokenizer, tuned.tokenizer
    if not tuned_tokenizer.files or base_tokenizer.identities & tuned_tokenizer.identities:
        return True
    if base_tokenizer.vocabulary is None or tuned_tokenizer.vocabulary is None:
        return False
    return base_tokenizer.vocabulary.ids == tuned_tokenizer.vocabulary.ids


def about_vocabulary(
    base: ModelFacts, tuned: ModelFacts, vocabulary: str = "base"
) -> Iterator[Finding]:
    """Rows and tokens of a domain model beside those of its base."""
    if not base.tokenizer.files or not tuned.tokenizer.files:
        yield from _without_tokenizer(base, tuned)
        return
    if same_tokens(base, tuned):
        yield from _same(base, tuned)
        return
    base_tokens, tuned_tokens = base.tokenizer.vocabulary, tuned.tokenizer.vocabulary
    if base_tokens is None or tuned_tokens is None:
        yield tuned.warning(
            "tokenizer",
            "Its tokenizer's file is not the base's, and their tokens could not be compared.",
            "A merge matches rows by token, and needs to read both.",
            "Look whether tokenizer.json is whole on both sides.",
        )
        return
    yield from _different(tuned, base_tokens, tuned_tokens, vocabulary)


def _without_tokenizer(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    if None in (base.rows, tuned.rows) or base.rows == tuned.rows:
        return
    who = "the base" if not base.tokenizer.files else "it"
    yield tuned.blocker(
        "vocabulary",
        f"It has {tuned.rows:,} rows of tokens, the base {base.rows:,}; {who} has no tokenizer.",
        "Rows are matched by token where their number differs.",
        "Copy the tokenizer's files beside its config.json.",
    )


def _same(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    alike = bool(base.tokenizer.identities & tuned.tokenizer.identities)
    count = len(tuned.tokenizer.vocabulary.ids) if tuned.tokenizer.vocabulary else 0
    sentence = "Its tokenizer is the base's, byte for byte."
    if not alike:
        sentence = f"Its {count:,} tokens are the base's, row by row."
    yield tuned.ok("tokenizer", sentence)
    if None not in (base.rows, tuned.rows) and base.rows != tuned.rows:
        yield tuned.note(
            "vocabulary",
            f"It has {tuned.rows:,} rows for the same tokens, the base {base.rows:,}.",
            "Rows without a token are padding, and are not merged.",
        )


def _different(
    tuned: ModelFacts, base_tokens: Vocabulary, tuned_tokens: Vocabulary, vocabulary: str
) -> Iterator[Finding]:
    tokens = compare_vocabularies(base_tokens, tuned_tokens)
    groups = {"more": tokens.extra, "fewer": tokens.missing, "in other rows": tokens.moved}
    counts = [f"{len(t):,} {word} ({examples(t)})" for word, t in groups.items() if t]
    sentence = f"Of tokens it has {', '.join(counts)}; {tokens.shared:,} are shared."
    foreign = [token for token in tokens.extra if token not in tuned_tokens.added]
    if vocabulary == "union" and foreign:
        yield tuned.warning(
            "vocabulary",
            f"{len(foreign):,} of its tokens ({examples(foreign)}) decide how its text is cut.",
            "In a union they are added tokens: text is cut at each of them first.",
            "To cut text as it does or as the base does, choose that vocabulary.",
        )
    elif tokens.shared < MOSTLY * len(tuned_tokens.ids):
        yield tuned.warning(
            "tokenizer",
            sentence,
            "A model of another tokenizer was hardly made from this base.",
            "Choose a domain model that was made from this base.",
        )
    else:
        keeps = bool(tokens.extra) and not foreign and vocabulary == "base"
        yield tuned.note(
            "tokenizer",
            sentence,
            "Rows of embedding and head are matched by the text of their token.",
            "The added ones are left out; `vocabulary: union` keeps them." if keeps else "",
        )


def about_template(base: ModelFacts, tuned: ModelFacts) -> Iterator[Finding]:
    """Finding on the owner of the merge's chat template, if the two differ."""
    base_template, tuned_template = base.tokenizer.template, tuned.tokenizer.template
    if not tuned_template or base_template == tuned_template:
        return
    if base_template:
        sentence = "It has another chat template than the base, whose the merge takes."
        remedy = f"To ask it in this model's way, write `chat_template: {tuned.reference}`."
    else:
        sentence = "It has a chat template, the base has none: the merge takes the first there is."
        remedy = "`chat_template: base` in the recipe leaves it out."
    yield tuned.note("template", sentence, "", remedy)
