"""The chat: one question, answered by the merge and, on request, by base and domain models.

Knows sessions and the studio's models. One generator serves all models in turn; the work runs
in a thread that ends within a token when the generator is closed: by Stop, or with the page.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from components.figures import merge_label, short_name
from components.forms import PRIVATE, Controls, activity_script, queued
from components.live import live, pack, static
from components.notices import message, show_errors
from components.session import Session
from components.studio import Allowance, Emit, Studio
from components.tables import (
    Answer,
    Turn,
    activity_of,
    apply_events,
    stopped_turns,
    transcript_value,
)
from components.theme import KNOWN_MODELS, MODEL_COLOURS
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.parameters import check_number
from dppa_core.progress import Stop
from dppa_core.recipe import MergeRecipe, recipe_hash
from dppa_core.tasks import DOMAINS, example_prompts

if TYPE_CHECKING:
    from dppa_core.generate import GenerationSettings

LONGEST_PROMPT = 2000
MOST_TURNS = 20
TOKENS_PER_HOUR = 30_000


@dataclass(frozen=True, slots=True)
class ChatView:
    """The components of the chat."""

    transcript: gr.HTML
    turns: gr.State
    prompt: gr.Textbox
    send: gr.Button
    stop: gr.Button
    targets: gr.CheckboxGroup
    max_tokens: gr.Slider
    temperature: gr.Slider
    seed: gr.Number
    examples: gr.HTML
    place: gr.HTML


def build_chat(session: Session) -> ChatView:
    """Transcript above, examples and the question below."""
    with gr.Column(elem_id="chat-stage"):
        transcript = live("transcript", transcript_value((), "idle"))
        examples = live("examples", _examples(), events=("pick",))
    turns = gr.State(())
    prompt = gr.Textbox(
        label="Question",
        placeholder="Type a question …",
        lines=2,
        max_lines=4,
        max_length=LONGEST_PROMPT,
        elem_id="prompt",
    )
    static('<p class="how">Shift+Enter or Ctrl+Enter sends.</p>', "prompt-hint")
    with gr.Row(elem_classes="buttons"):
        send = gr.Button("Send", variant="primary", elem_id="send")
        stop = gr.Button("Stop", elem_id="stop")
    place = static("", "chat-place")
    targets = gr.CheckboxGroup(
        target_choices(session),
        value=["merged"],
        label="Who answers",
        info="Side by side, with the same question and the same seed.",
        elem_id="answer-with",
    )
    with gr.Accordion("Answer settings", open=False):
        max_tokens, temperature, seed = _answer_settings()
    return ChatView(
        transcript=transcript,
        turns=turns,
        prompt=prompt,
        send=send,
        stop=stop,
        targets=targets,
        max_tokens=max_tokens,
        temperature=temperature,
        seed=seed,
        examples=examples,
        place=place,
    )


def _answer_settings() -> tuple[gr.Slider, gr.Slider, gr.Number]:
    max_tokens = gr.Slider(
        1,
        256,
        value=96,
        step=1,
        label="Longest answer (tokens)",
        info="An answer ends here at the latest; 96 is enough for the examples.",
        elem_id="max-tokens",
        buttons=[],
    )
    temperature = gr.Slider(
        0,
        2,
        value=0,
        step=0.1,
        label="Temperature",
        info="0 always takes the likeliest word; 1 draws as the model learned it.",
        elem_id="temperature",
        buttons=[],
    )
    seed = gr.Number(
        value=0,
        minimum=0,
        maximum=2**31 - 1,
        precision=0,
        label="Seed (number)",
        info="Same seed, same question, same models: same answers.",
        elem_id="seed",
    )
    return max_tokens, temperature, seed


def _examples() -> list[dict[str, Any]]:
    colours = dict(zip(KNOWN_MODELS, MODEL_COLOURS, strict=False))
    return [
        {
            "domain": domain,
            "colour": colours.get(f"zoo:{domain}", MODEL_COLOURS[-1]),
            "prompts": list(example_prompts(domain)[:2]),
        }
        for domain in DOMAINS
    ]


def target_choices(session: Session) -> list[tuple[str, str]]:
    """(label, value) of everyone who may answer: the merge, the base, the domain models."""
    references = (session.base, *(model.reference for model in session.models))
    return [("merged", "merged"), *((short_name(name), name) for name in references)]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, checked, with everything that is needed to answer it."""

    prompt: str
    targets: tuple[str, ...]
    recipe: MergeRecipe | None
    max_tokens: int
    temperature: float
    seed: int
    merge_label: str = "merged"

    def settings(self) -> GenerationSettings:
        """The settings in the core's own form; imports torch."""
        from dppa_core.generate import GenerationSettings  # noqa: PLC0415  (torch)

        return GenerationSettings(self.max_tokens, self.temperature, seed=self.seed)

    def turn(self) -> Turn:
        """The question as it enters the transcript."""
        recipe = recipe_hash(self.recipe) if self.recipe else ""
        answers = tuple(
            Answer(name, self.merge_label, recipe)
            if name == "merged"
            else Answer(name, short_name(name))
            for name in self.targets
        )
        return Turn(secrets.token_hex(4), self.prompt, answers)


def read_question(values: Mapping[Any, Any], view: ChatView, session: Session) -> Question:
    """Check what a handler was given.

    Raises:
        InvalidValue: no question, nobody to answer it, or a setting out of range.
    """
    text = values[view.prompt]
    prompt = text.strip() if isinstance(text, str) else ""
    if not 1 <= len(prompt) <= LONGEST_PROMPT:
        raise InvalidValue(
            f"A question has 1 to {LONGEST_PROMPT} characters; this one has {len(prompt)}."
        )
    chosen = values[view.targets]
    known = [value for _, value in target_choices(session)]
    targets = tuple(name for name in known if isinstance(chosen, list) and name in chosen)
    if not targets:
        raise InvalidValue("Nobody was asked. Tick who answers: the merged model, for a start.")
    return Question(
        prompt=prompt,
        targets=targets,
        recipe=session.recipe() if "merged" in targets else None,
        max_tokens=int(check_number("Longest answer", values[view.max_tokens], 1, 256)),
        temperature=check_number("Temperature", values[view.temperature], 0, 2),
        seed=int(check_number("Seed", values[view.seed], 0, 2**31 - 1)),
        merge_label=merge_label(session),
    )


def answer_events(question: Question, studio: Studio, emit: Emit, stop: Stop) -> None:
    """Answer with every model in turn; runs in a thread of its own."""
    from dppa_core.generate import stream_reply  # noqa: PLC0415  (torch)

    settings = question.settings()
    for name in question.targets:
        target = question.recipe if name == "merged" and question.recipe else name
        fresh = isinstance(target, MergeRecipe) and not studio.merged(target)
        emit((name, {"state": "merging" if fresh else "writing"}))
        with studio.lend(target, None, stop) as resident:
            emit((name, {"state": "writing"}))
            for text in stream_reply(resident, question.prompt, settings, stop):
                emit((name, {"text": text}))
        emit((name, {"state": "done"}))


def stream_turn(question: Question, studio: Studio) -> Iterator[tuple[Turn, str]]:
    """Yield the turn as it grows, about ten times a second, and what is being done."""
    turn = question.turn()
    yield turn, "answering"
    job = studio.start(lambda emit, stop: answer_events(question, studio, emit, stop))
    for batch in job.batches():
        after = apply_events(turn, batch)
        if after != turn:
            turn = after
            yield turn, activity_of(turn)
    if job.error is not None:
        stopped = isinstance(job.error, Cancelled)
        note = "" if stopped else message(job.error)
        turn = turn.ended("stopped" if stopped else "failed", note)
    yield turn, "idle"


def wire_chat(view: ChatView, controls: Controls, studio: Studio) -> None:
    """Send, Stop, and a click on an example."""
    allowance = Allowance(TOKENS_PER_HOUR if studio.public else 10**9)

    @show_errors
    def on_ask(values: dict[Any, Any], request: gr.Request) -> Iterator[dict[Any, Any]]:
        question = read_question(values, view, controls.session(values))
        allowance.spend(visitor(request), question.max_tokens * len(question.targets))
        before = stopped_turns(values[view.turns])[1 - MOST_TURNS :]
        for turn, activity in stream_turn(question, studio):
            turns = (*before, turn)
            yield {view.turns: turns, view.transcript: pack(transcript_value(turns, activity))}

    @show_errors
    def on_stop(values: dict[Any, Any]) -> dict[Any, Any]:
        turns = stopped_turns(values[view.turns])
        return {view.turns: turns, view.transcript: pack(transcript_value(turns, "idle"))}

    own = {view.prompt, view.targets, view.max_tokens, view.temperature, view.seed, view.turns}
    sending = [view.send.click, view.prompt.submit]
    gr.on(sending, None, js=activity_script("chat", "waiting"), **PRIVATE)
    asking = gr.on(
        sending,
        on_ask,
        inputs=controls.inputs | own,
        outputs=[view.turns, view.transcript],
        concurrency_id="model",
        concurrency_limit=1,
        trigger_mode="once",
        **queued(view.place),
    )
    asking.failure(None, js=activity_script("chat", "idle"), **PRIVATE)
    view.stop.click(None, js=activity_script("chat", "idle"), **PRIVATE)
    view.stop.click(
        on_stop,
        inputs={view.turns},
        outputs=[view.turns, view.transcript],
        cancels=[asking],
        queue=False,
        **PRIVATE,
    )
    view.examples.pick(None, None, [view.prompt], js="() => window.dppa.picked", **PRIVATE)


def visitor(request: gr.Request) -> str:
    """Who asks, as far as this page knows: one open tab."""
    return str(request.session_hash)
