"""The chat: question, choice of models, answers; assets/js/chat/chat.js draws the conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from dppa_core.checkpoints.sources.fetchable import FETCHABLE
from dppa_core.models.reply import MAX_PROMPT_CHARS, MAX_TOKENS
from dppa_core.tasks import DOMAINS, NEWS, example_prompts
from dppa_core.tasks.prompt_recognition import MAX_PROMPT_CHARACTERS, WORDING

from ...session.conversation import LEAST_TOP_P, USUAL_ANSWER, transcript_value
from ...session.session import Session
from ...widgets.browser_parts import live, static
from ...widgets.controls import slider
from ...widgets.theme import domain_colour
from ...work.question import OUTSIDE, first_targets, target_choices

HINT = (
    '<p class="how"><span class="keys">Shift+Enter or Ctrl+Enter sends.</span>'
    '<output id="prompt-length" for="prompt"></output></p>'
)


class Ticks(gr.CheckboxGroup):
    """The models that answer. A tick stays when its model leaves the list and counts again once the
    model returns; a question ignores it until then. Gradio's own would refuse the question."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """The ticked values, also those that are no choice now."""
        ticked = payload if isinstance(payload, list) else []
        return [value for value in ticked if isinstance(value, str)]


@dataclass(frozen=True, slots=True)
class ChatView:
    """The components of the chat."""

    transcript: gr.HTML
    """Shows the conversation, asks, and says what the tab answered by itself."""
    turns: gr.State
    """The conversation, as far as the server knows it."""
    recipes: gr.State
    """Recipes that answered, the newest first."""
    prompt: gr.Textbox
    send: gr.Button
    stop: gr.Button
    targets: gr.CheckboxGroup
    max_tokens: gr.Slider
    temperature: gr.Slider
    top_p: gr.Slider
    seed: gr.Number
    conversation: gr.Checkbox
    system: gr.Textbox
    duel: gr.HTML
    """The model of a blind comparison with the merge, if any."""
    examples: gr.HTML
    place: gr.HTML

    @property
    def question(self) -> dict[str, Component]:
        """Name -> component of a question's fields: its text, who answers, then all settings."""
        names = ("prompt", "targets", "max_tokens", "temperature", "top_p", "seed")
        return {name: getattr(self, name) for name in (*names, "conversation", "system")}

    @property
    def inputs(self) -> set[Component]:
        """Inputs of a question."""
        return {*self.question.values(), self.duel, self.transcript, self.turns, self.recipes}


def build_chat(session: Session) -> ChatView:
    """Build the transcript, and below it examples and the question."""
    with gr.Column(elem_id="chat-stage"):
        transcript = live("transcript", transcript_value((), "idle"), events=("ask", "forget"))
        examples = live("examples", _examples(), events=("pick",))
    with gr.Column(elem_id="chat-ask"):
        prompt = gr.Textbox(
            label="Question",
            placeholder="Type a question …",
            lines=2,
            max_lines=4,
            max_length=MAX_PROMPT_CHARS,
            elem_id="prompt",
        )
        static(HINT, "prompt-hint")
        with gr.Row(elem_classes="buttons"):
            send = gr.Button("Send", variant="primary", elem_id="send")
            stop = gr.Button("Stop", elem_id="stop")
        place = static("", "chat-place")
    static(
        '<p class="how">A blind comparison is on: Send asks the merge and one other.</p>',
        "duel-note",
    )
    return ChatView(
        transcript=transcript,
        turns=gr.State(()),
        recipes=gr.State(()),
        prompt=prompt,
        send=send,
        stop=stop,
        **_answer_settings(session),
        examples=examples,
        place=place,
    )


def _examples() -> dict[str, Any]:
    """Two questions of each domain; and articles, for models of some bases only. And how the page
    recognises questions that the embedded models learned."""
    bases = [f"zoo:{name}" for name in FETCHABLE]
    articles = {"finance": {"prompts": example_prompts(NEWS), "bases": bases}}
    groups = [
        {
            "domain": name,
            "colour": domain_colour(name),
            "prompts": example_prompts(name)[:2],
            "articles": articles.get(name),
        }
        for name in DOMAINS
    ]
    learned = {"wording": WORDING.pattern, "most": MAX_PROMPT_CHARACTERS, "note": OUTSIDE}
    return {"groups": groups, "learned": learned}


def _answer_settings(session: Session) -> dict[str, Any]:
    """Build the choice of models, and the sampling settings."""
    targets = Ticks(
        target_choices(session),
        value=first_targets(session),
        label="Who answers",
        info="Side by side, with the same question, settings and seed.",
        elem_id="answer-with",
    )
    duel = live("duel", {"against": ""})
    with gr.Accordion("Answer settings", open=False, elem_id="answer-settings"):
        return {
            "targets": targets,
            "duel": duel,
            **_sampling(),
            "conversation": gr.Checkbox(
                label="Continue the conversation",
                info="Each model reads the questions above and its own answers to them, in its "
                "chat template. Off, each question stands alone.",
                elem_id="conversation",
            ),
            "system": gr.Textbox(
                label="System prompt",
                placeholder="None",
                info="Stands before the conversation, in the chat template. The embedded models "
                "never saw one.",
                lines=1,
                max_lines=4,
                max_length=MAX_PROMPT_CHARS,
                elem_id="system-prompt",
            ),
        }


def _sampling() -> dict[str, Any]:
    return {
        "max_tokens": slider(
            "max-tokens",
            (1, MAX_TOKENS, 1),
            USUAL_ANSWER,
            "Longest answer (tokens)",
            f"An answer ends here at the latest; {USUAL_ANSWER} is enough for the examples.",
        ),
        "temperature": slider(
            "temperature",
            (0, 2, 0.1),
            0,
            "Temperature",
            "0 always takes the likeliest word; 1 draws as the model learned it.",
        ),
        "top_p": slider(
            "top-p",
            (LEAST_TOP_P, 1, 0.05),
            1,
            "Top-p (share)",
            "Draws only from the likeliest words that together hold this share; 1 draws from all. "
            "At temperature 0 it changes nothing.",
        ),
        "seed": gr.Number(
            value=0,  # no limits here: Gradio's notice of them would not name the field
            label="Seed (number)",
            info="Same seed, same question, same models: same answers.",
            elem_id="seed",
        ),
    }
