"""Event handlers of the chat: Send, Stop, examples, and Clear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from dppa_core.errors import InvalidValue
from dppa_core.recipes.yaml_text import MergeRecipe

from ..server.guards.body_limits import MOST_BYTES
from ..session.conversation import stopped_turns, transcript_value
from ..session.json_form import parsed_keys
from ..session.session import Session
from ..views.chat.answering import stream_turn
from ..views.chat.chat import ChatView
from ..widgets.browser_parts import pack
from ..widgets.controls import PRIVATE, Controls, activity_script, ended_script, queued
from ..work.error_notices import show_errors
from ..work.kinds import CHATS
from ..work.question import (
    MERGED,
    ChatQuestion,
    Recipes,
    read_duel,
    read_question,
    read_settings,
    turns_of_tab,
)
from ..work.rate_limits import Allowance
from ..work.studio import Studio
from ..work.visitor import asker

MAX_TURNS = 20
MAX_RECIPES = 8


def wire_chat(view: ChatView, controls: Controls, studio: Studio, allowance: Allowance) -> None:
    """Set up every event of the chat."""
    asking = _wire_asking(view, controls, studio, allowance)
    _wire_ends(view, asking)
    view.examples.pick(None, None, [view.prompt], js="() => window.dppa.picked", **PRIVATE)


def _wire_asking(view: ChatView, controls: Controls, studio: Studio, allowance: Allowance) -> Any:
    @show_errors
    def on_ask(values: dict[Any, Any], request: gr.Request) -> Iterator[dict[Any, Any]]:
        by_tab = turns_of_tab(parsed_keys(values[view.transcript], most=MOST_BYTES))
        earlier = (*stopped_turns(values[view.turns]), *by_tab)
        question = question_of(values, view, controls.session(values))
        if question.settings.conversation:
            question = replace(question, before=earlier[-MAX_TURNS:])
        tokens = question.settings.max_tokens * len(question.targets)
        allowance.spend(asker(request), tokens)
        recipes = with_recipe(values[view.recipes], question.recipes.get(MERGED))
        for turn, activity in stream_turn(question, studio):
            turns = (*earlier[1 - MAX_TURNS :], turn)
            value = pack(transcript_value(turns, activity))
            yield {view.turns: turns, view.recipes: recipes, view.transcript: value}

    # The page answers by itself where it can, and else asks: assets/js/chat/tab_turns.js.
    fields, names = list(view.question.values()), ", ".join(view.question)
    script = f"({names}) => {{ window.dppa.sends({{ {names} }}); return []; }}"
    gr.on([view.send.click, view.prompt.submit], None, fields, js=script, **PRIVATE)
    asking = view.transcript.ask(
        on_ask,
        inputs=controls.inputs | view.inputs,
        outputs=[view.turns, view.recipes, view.transcript],
        **CHATS.turns,
        trigger_mode="always_last",  # the last answer appears before its run has ended
        **queued(view.place),
    )
    asking.failure(None, js=ended_script("chat"), **PRIVATE)
    return asking


def _wire_ends(view: ChatView, asking: Any) -> None:
    @show_errors
    def on_stop(values: dict[Any, Any]) -> dict[Any, Any]:
        turns = stopped_turns(values[view.turns])
        return {view.turns: turns, view.transcript: pack(transcript_value(turns, "idle"))}

    @show_errors
    def on_clear() -> dict[Any, Any]:
        value = pack(transcript_value((), "idle"))
        return {view.turns: (), view.recipes: (), view.transcript: value}

    # End the answer before sending the kept turns: nothing may overwrite them.
    unqueued = {"queue": False, **PRIVATE}
    view.stop.click(None, js=activity_script("chat", "idle"), **PRIVATE)
    view.stop.click(None, cancels=[asking], **unqueued)
    view.stop.click(on_stop, inputs={view.turns}, outputs=[view.turns, view.transcript], **unqueued)
    view.transcript.forget(None, cancels=[asking], **unqueued)
    view.transcript.forget(on_clear, None, [view.turns, view.recipes, view.transcript], **unqueued)


def question_of(values: Mapping[Any, Any], view: ChatView, session: Session) -> ChatQuestion:
    """The checked question of a handler's values; raises InvalidValue."""
    _, _, *fields = view.question.values()
    settings = read_settings(*(values[field] for field in fields))
    against = parsed_keys(values[view.duel]).get("against")
    if not isinstance(against, str):
        raise InvalidValue(f"The blind comparison arrived in an unreadable form: {against!r:.80}.")
    if against:
        return read_duel(values[view.prompt], against, settings, session, values[view.recipes])
    return read_question(values[view.prompt], values[view.targets], settings, session)


def with_recipe(recipes: Recipes, newest: MergeRecipe | None) -> Recipes:
    """The recipes that answered, with one more; without duplicates, at most `MAX_RECIPES`."""
    if newest is None:
        return recipes
    others = tuple(recipe for recipe in recipes if recipe != newest)
    return (newest, *others)[:MAX_RECIPES]
