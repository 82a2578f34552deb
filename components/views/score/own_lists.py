"""A visitor's own questions: one list for all models, or one for each. The browser sends all lists
beside the box, which holds one of them; assets/js/panes/own-questions.js."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import gradio as gr

from dppa_core.checkpoints.sources.references import whole_model
from dppa_core.errors import InvalidValue
from dppa_core.models.reply import MAX_PROMPT_CHARS
from dppa_core.tasks.item_files import item_line, read_items
from dppa_core.tasks.own_items import OwnDomain

from ...session.json_form import parsed_keys
from ...session.session import Session
from ...widgets.browser_parts import live, pack
from ...widgets.controls import PRIVATE, Controls
from ...work.figures import short_name
from ...work.kinds import LOOKS
from ...work.question import whole
from ...work.studio import Studio

DOMAIN_NAME, ALL_MODELS = "questions", ""
"""The name of the list for all models as a domain, and its key in place of a model's reference."""
MAX_OFFERED = 6
"""Questions of a list that the chat and the pinned question offer."""


@dataclass(frozen=True, slots=True)
class TextLimits:
    """Most characters of all lists, and most questions in them."""

    letters: int
    questions: int


PUBLIC_LIMITS, OWN_LIMITS = TextLimits(20_000, 60), TextLimits(100_000, 1_000)


Lists = Mapping[str, OwnDomain]
"""Reference of a model, or `ALL_MODELS`, which comes first -> its checked list; at least one."""


def list_of_each(lists: Lists, references: tuple[str, ...]) -> tuple[OwnDomain, ...]:
    """The list of each model: its own, else that of all; InvalidValue if there is neither."""
    missing = [short_name(name) for name in references if not lists.keys() & {name, ALL_MODELS}]
    if missing:
        raise InvalidValue(
            f"There are no questions for {', '.join(missing)}: give each model a list, or "
            "write one for all models."
        )
    return tuple(lists[name if name in lists else ALL_MODELS] for name in references)


@dataclass(frozen=True, slots=True)
class QuestionBox:
    """The components of the lists."""

    text: gr.Textbox
    """The list that is open."""
    lists: gr.HTML
    """All lists, and the key of the open one."""

    @property
    def inputs(self) -> set[Any]:
        """For `inputs=`."""
        return {self.text, self.lists}

    def read(self, values: Mapping[Any, Any], session: Session, limits: TextLimits) -> Lists:
        """The lists in a handler's values; raises InvalidValue."""
        return read_lists(texts_of(values[self.text], values[self.lists]), session, limits)


def limits_of(studio: Studio) -> TextLimits:
    """The limits of a public page, or of one's own copy."""
    return PUBLIC_LIMITS if studio.public else OWN_LIMITS


def texts_of(text: object, lists: object) -> dict[str, str]:
    """Whole model -> its text: the `lists` that the browser sent, and the open one."""
    sent = parsed_keys(lists, most=4 * OWN_LIMITS.letters)
    stored, model = sent.get("lists"), sent.get("for")
    texts = dict(stored) if isinstance(stored, Mapping) else {}
    texts[model if isinstance(model, str) else ALL_MODELS] = text
    return {str(name): whole(text) for name, text in texts.items() if isinstance(text, str)}


def read_lists(texts: Mapping[str, str], session: Session, limits: TextLimits) -> Lists:
    """Check the lists of all models and of those in the merge; others are left out.

    Raises:
        InvalidValue: a mistake in one, none, or too much in all together.
    """
    references = [model.model for model in session.recipe().models]
    stripped = {
        name: texts.get(whole_model(name), "").strip() for name in (ALL_MODELS, *references)
    }
    filled = {name: text for name, text in stripped.items() if text}
    if not filled:
        raise InvalidValue(
            "There are no questions yet: type or paste some under Score, Questions of your own, or "
            "open a file there."
        )
    letters = sum(map(len, filled.values()))
    if letters > limits.letters:
        raise InvalidValue(
            f"The questions have {letters} characters, and at most {limits.letters} fit. "
            "`dppa evaluate --items FILE` takes 20 MB."
        )
    short = [short_name(name) for name in references]
    labels = {n: s if short.count(s) == 1 else n for n, s in zip(references, short, strict=True)}
    domains = {name: _read(labels.get(name, ""), text, limits) for name, text in filled.items()}
    count = sum(len(domain.items) for domain in domains.values())
    if count > limits.questions:
        raise InvalidValue(
            f"The lists have {count} questions, and at most {limits.questions} are asked at once. "
            "Shorten them."
        )
    return domains


def _read(label: str, text: str, limits: TextLimits) -> OwnDomain:
    if text.startswith("["):
        raise InvalidValue(
            "One question a line, each in { }, without [ ] around them or commas between."
        )
    form = "jsonl" if text.startswith("{") else "csv"
    file = f"Your questions{f' for {label}' if label else ''}, read as .{form}"
    return read_items(text.encode(), file, f"{label} {DOMAIN_NAME}".strip(), most=limits.questions)


def offer_value(lists: Lists) -> list[dict[str, Any]]:
    """The first questions of each list, with the lines by which they are marked, and its model."""
    rows = []
    for name, domain in lists.items():
        short = (item for item in domain.items if len(item.prompt) <= MAX_PROMPT_CHARS)
        items = list(islice(short, MAX_OFFERED))
        if items:
            row = {"model": name, "label": str(domain), "lines": list(map(item_line, items))}
            rows.append(row | {"prompts": [item.prompt for item in items]})
    return rows


def build_lists(limits: TextLimits, most: int) -> QuestionBox:
    """Build the choice of a list, and the box that holds it."""
    lists = live("question-lists", None, events=("look",))
    text = gr.Textbox(
        label="Questions with answers",
        info=f"JSON lines or CSV with a header. Up to {most - 1} in a list: all are asked. From "
        f"{most} on: half, always the same, are asked here, the others are for Search.",
        placeholder='{"question": "What is 2 + 3?", "answer": "5"}',
        lines=4,
        max_lines=10,
        max_length=limits.letters,
        elem_id="questions-text",
    )
    return QuestionBox(text, lists)


def wire_offer(box: QuestionBox, controls: Controls, studio: Studio) -> None:
    """Offer the questions in the chat and as the pinned one, once they can be read."""
    offer = live("own-examples", [])

    def on_offer(values: dict[Any, Any]) -> dict[Any, Any]:
        try:
            session = controls.session(values)
            texts = texts_of(values[box.text], values[box.lists])
            names = (ALL_MODELS, *(model.model for model in session.recipe().models))
            if not any(texts.get(whole_model(name), "").strip() for name in names):
                return {offer: pack([])}
            lists = read_lists(texts, session, limits_of(studio))
        except InvalidValue:  # half typed: earlier questions stay; asking them reports the error
            return {offer: gr.skip()}
        return {offer: pack(offer_value(lists))}

    box.lists.look(
        on_offer,
        inputs=controls.inputs | box.inputs,
        outputs=[offer],
        trigger_mode="always_last",
        **LOOKS.turns,
        **PRIVATE,
    )
