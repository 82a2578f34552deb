"""A checked question: the models that answer it, their recipes, and how answers are sampled."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dppa_core.checkpoints.sources.zoo import is_embedded
from dppa_core.errors import InvalidValue, shown
from dppa_core.models.reply import MAX_PROMPT_CHARS, MAX_TOKENS, Conversation, Prompt
from dppa_core.parameter_fields import check_number
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tasks import example_of, score
from dppa_core.tasks.prompt_recognition import NUMBER_OF_KINDS, is_known_kind

from ..session.conversation import (
    LEAST_TOP_P,
    MOST_SEED,
    AnswerSettings,
    ModelAnswer,
    Turn,
    said_before,
)
from ..session.session import Session
from .figures import merge_label, short_name

MERGED = "merged"
EARLIER = "recipe:"
"""Prefix of the target of an earlier merge; its hash follows."""
OUTSIDE = (
    f"These models learned only {NUMBER_OF_KINDS} kinds of question; this one is outside of them. "
    "The examples show what they know."
)

Recipes = tuple[MergeRecipe, ...]
"""Recipes that answered in this conversation, the newest first."""


@dataclass(frozen=True, slots=True)
class ChatQuestion:
    """A question with everything needed to answer it."""

    prompt: str
    targets: tuple[str, ...]
    """In the order in which they start to answer and are shown."""
    recipes: Mapping[str, MergeRecipe] = field(default_factory=dict)
    """Target -> recipe, of those that are merges."""
    settings: AnswerSettings = AnswerSettings()
    merge_label: str = MERGED
    blind: bool = False
    outside: str = ""
    """See `Turn`."""
    before: tuple[Turn, ...] = ()
    """Earlier turns, if it continues a conversation."""

    def said_to(self, name: str) -> Prompt:
        """The prompt of a target: the question, or the conversation with that model so far."""
        earlier = said_before(self.before, name)
        if not earlier and not self.settings.system:
            return self.prompt
        return Conversation(self.prompt, earlier, self.settings.system)

    def target(self, name: str) -> str | MergeRecipe:
        """The recipe or reference of a target, as the model pool takes it."""
        return self.recipes.get(name, name)

    def turn(self) -> Turn:
        """The question as a new turn of the transcript."""
        answers = tuple(map(self._answer, self.targets))
        item = example_of(self.prompt)
        return Turn(
            secrets.token_hex(4),
            self.prompt,
            answers,
            self.settings,
            earlier=len(self.before),
            blind=self.blind,
            expected=item.answer if item else "",
            outside=self.outside,
        )

    def _answer(self, name: str) -> ModelAnswer:
        if name not in self.recipes:
            return ModelAnswer(name, short_name(name))
        label = self.merge_label if name == MERGED else "earlier merge"
        return ModelAnswer(name, label, recipe_hash(self.recipes[name]))


def target_choices(session: Session) -> list[tuple[str, str]]:
    """(label, value) of every possible answerer: the merge, the base, the domain models."""
    references = (session.base, *(model.reference for model in session.models))
    return [(MERGED, MERGED), *((short_name(name), name) for name in references)]


def first_targets(session: Session) -> list[str]:
    """Targets ticked at first: all of the embedded models, which answer in a tenth of a second;
    else the merge alone."""
    if not _is_embedded(session):
        return [MERGED]
    return [value for _, value in target_choices(session)]


def is_right(prompt: str, answer: str) -> bool | None:
    """Return True if an example is answered correctly; None if `prompt` is none."""
    item = example_of(prompt)
    return None if item is None else score(item, answer)


def _is_embedded(session: Session) -> bool:
    return all(is_embedded(value) for _, value in target_choices(session)[1:])


def _outside(prompt: str, session: Session) -> str:
    return "" if is_known_kind(prompt) or not _is_embedded(session) else OUTSIDE


def read_question(
    text: object, ticked: object, settings: AnswerSettings, session: Session
) -> ChatQuestion:
    """A question to every ticked model; raises InvalidValue without a question or a model."""
    prompt = checked_text("question", text)
    offered = [value for _, value in target_choices(session)]
    targets = tuple(name for name in offered if isinstance(ticked, list) and name in ticked)
    if not targets:
        raise InvalidValue("No model is chosen. Tick one under Who answers, such as merged.")
    recipes = {MERGED: session.recipe()} if MERGED in targets else {}
    label, outside = merge_label(session), _outside(prompt, session)
    return ChatQuestion(prompt, targets, recipes, settings, label, outside=outside)


def read_duel(
    text: object, against: str, settings: AnswerSettings, session: Session, earlier: Recipes
) -> ChatQuestion:
    """A blind question to the merge and `against`, in random order: a model of the session, or
    `recipe:` and the hash of one of `earlier`. Raises InvalidValue without a question or such an
    other."""
    prompt = checked_text("question", text)
    recipes = {MERGED: session.recipe()}
    merges = {EARLIER + recipe_hash(recipe): recipe for recipe in earlier}
    if against in merges:
        recipes[against] = merges[against]
    elif against not in [value for _, value in target_choices(session)] or against == MERGED:
        raise InvalidValue(
            f"{shown(against)} cannot be compared with the merge: it is no model of it, and no "
            "recipe that answered in this conversation. Choose again under Blind comparison."
        )
    if against == EARLIER + recipe_hash(recipes[MERGED]):
        raise InvalidValue(
            f"The merge is recipe {against.removeprefix(EARLIER)[:6]} itself now. Move a slider, "
            "or compare with another."
        )
    order = random.SystemRandom().sample([MERGED, against], 2)
    label, outside = merge_label(session), _outside(prompt, session)
    return ChatQuestion(prompt, tuple(order), recipes, settings, label, True, outside)


def read_settings(
    max_tokens: object,
    temperature: object,
    top_p: object,
    seed: object,
    conversation: object = False,
    system: object = "",
) -> AnswerSettings:
    """The settings of answers; raises InvalidValue if one is out of range."""
    return AnswerSettings(
        int(check_number("Longest answer", max_tokens, 1, MAX_TOKENS)),
        check_number("Temperature", temperature, 0, 2),
        check_number("Top-p", top_p, LEAST_TOP_P, 1),
        _seed(seed),
        conversation is True,
        checked_text("system prompt", system, least=0),
    )


def turns_of_tab(sent: Mapping[str, Any]) -> tuple[Turn, ...]:
    """The turns under "tab", which the visitor's tab answered by itself: as much of them as a
    conversation needs. Raises InvalidValue."""
    rows = sent.get("tab", [])
    return tuple(map(_turn_of_tab, rows if isinstance(rows, list) else [rows]))


def _turn_of_tab(row: object) -> Turn:
    match row:
        case {
            "id": str(name),
            "prompt": prompt,
            "earlier": int(earlier),
            "system": system,
            "answers": list(pairs),
        }:
            settings = AnswerSettings(system=checked_text("system prompt", system, least=0))
            answers = tuple(map(_answer_of_tab, pairs))
            text = checked_text("question", prompt)
            return Turn(name, text, answers, settings, max(earlier, 0))
    raise InvalidValue(f"The page sent earlier answers in an unreadable form: {row!r:.80}.")


def _answer_of_tab(pair: object) -> ModelAnswer:
    match pair:
        case [str(target), str(text)]:
            return ModelAnswer(target, target, state="done", text=whole(text))
    raise InvalidValue(f"The page sent earlier answers in an unreadable form: {pair!r:.80}.")


def _seed(value: object) -> int:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 <= value <= MOST_SEED and value == int(value)):  # type: ignore[operator, call-overload]
        raise InvalidValue(
            f"Seed must be a whole number from 0 to {MOST_SEED}, got {shown(value)}."
        )
    return int(value)  # type: ignore[call-overload,no-any-return]


def whole(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which browsers may send and UTF-8 cannot encode."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def checked_text(name: str, text: object, least: int = 1, most: int = MAX_PROMPT_CHARS) -> str:
    """A visitor's text without the space around it; anything but a text counts as empty.
    InvalidValue names `what` if it has fewer than `least` or more than `most` characters."""
    checked = whole(text.strip()) if isinstance(text, str) else ""
    if len(checked) < least:
        raise InvalidValue(f"There is no {name} yet: type one, or take an example.")
    if len(checked) > most:
        raise InvalidValue(f"The {name} has {len(checked)} characters, and at most {most} fit.")
    return checked
