"""Several models answer one question at the same time: a token of each in turn, in one thread.

Closing the stream of a turn, by Stop or with the page, ends the thread within a token.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing

from dppa_core.answering.answerer import Ready
from dppa_core.errors import Cancelled
from dppa_core.models.reply import GenerationSettings
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe

from ...session.conversation import Turn, activity_of, apply_events
from ...work.error_notices import message
from ...work.kinds import CHAT
from ...work.progress_stream import Changes, end_of, growing
from ...work.question import ChatQuestion, is_right
from ...work.studio import Emit, Studio

MAX_PROMPT_CHARACTERS = 20_000
"""Of a rendered prompt that is sent to the page."""


def stream_turn(question: ChatQuestion, studio: Studio) -> Iterator[tuple[Turn, str]]:
    """Yield the growing turn and the current activity, about ten times a second."""
    turn = question.turn()
    yield turn, "answering"
    job = studio.start(CHAT, lambda emit, stop: answer_events(question, studio, emit, stop))
    for batch in job.batches():
        after = apply_events(turn, batch)
        if after != turn:
            turn = after
            yield turn, activity_of(turn)
    if job.error is not None:
        turn = turn.ended(**end_of(job))
    yield turn, "idle"


def answer_events(question: ChatQuestion, studio: Studio, emit: Emit, stop: Stop) -> None:
    """Answer with every model, in its own thread; raises Cancelled. Each writes its first token
    before the next one is loaded, then all take turns; one that does not fit into memory waits for
    another's end."""
    waiting = deque(_Writer(name, question, studio, emit, stop) for name in question.targets)
    writing = deque[_Writer]()
    try:
        while waiting or writing:
            if waiting and _fits_beside(writing, studio):
                writer = waiting.popleft()
                unfinished = writer.begin()
            else:
                writer = writing.popleft()
                unfinished = writer.step()
            if unfinished:
                writing.append(writer)
    finally:
        for writer in writing:
            writer.close()


def _fits_beside(writing: deque[_Writer], studio: Studio) -> bool:
    """Return True if one more model fits, assumed as large as the largest running one."""
    sizes = [writer.nbytes for writer in writing]
    return not sizes or studio.fit_together([*sizes, max(sizes)])


class _Writer:
    """One model's answer and its progress."""

    def __init__(
        self, name: str, question: ChatQuestion, studio: Studio, emit: Emit, stop: Stop
    ) -> None:
        self.nbytes = 0
        """Bytes of its model, once loaded."""
        self._name, self._emit = name, emit
        self._steps = self._write(name, question, studio, stop)

    def begin(self) -> bool:
        """Load the model and write the first token; False if the answer has ended."""
        while self.step():
            if self.nbytes:
                return self.step()
        return False

    def step(self) -> bool:
        """Write the next token; False if the answer has ended."""
        attempt, changes = _Attempt(), None
        with attempt:
            changes = next(self._steps, None)
        if attempt.error is not None:
            changes = {"state": "failed", "note": message(attempt.error)}
        if changes is not None:
            self._emit((self._name, changes))
        return changes is not None and attempt.error is None

    def close(self) -> None:
        """Release the model."""
        self._steps.close()

    def _write(
        self, name: str, question: ChatQuestion, studio: Studio, stop: Stop
    ) -> Generator[Changes]:
        target, prompt = question.target(name), question.said_to(name)
        yield {"state": _preparation(target, studio), "note": _why_slow(target, studio)}
        drawn = question.settings
        settings = GenerationSettings(drawn.max_tokens, drawn.temperature, drawn.top_p, drawn.seed)
        with (
            studio.people.counted(),
            closing(studio.answerer().replies(target, prompt, settings, stop)) as events,
        ):
            ready = next(events)
            if isinstance(ready, Ready):  # the first event always is
                self.nbytes = ready.nbytes
                yield {"state": "writing", "note": "", "prompt": _shortened(ready.prompt)}
            answer: Changes = {"text": ""}
            for answer in growing(events):
                yield answer
        yield {"state": "done", "right": is_right(question.prompt, answer["text"])}


class _Attempt(AbstractContextManager[object]):
    """Stores any error of its block except Cancelled, as a thread pool does."""

    error: BaseException | None = None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception) or isinstance(error, Cancelled):
            return False
        self.error = error
        return True


def _preparation(target: str | MergeRecipe, studio: Studio) -> str:
    """The state before a model can write."""
    if isinstance(target, MergeRecipe):
        return "writing" if studio.merged(target) else "merging"
    return "writing" if target in studio.in_memory()[0] else "loading"


def _why_slow(target: str | MergeRecipe, studio: Studio) -> str:
    """The reason why the first answer after a start is slower; empty for later ones."""
    if studio.ready or not isinstance(target, MergeRecipe) or studio.merged(target):
        return ""
    return "loading the models and merging them: only the first time takes seconds …"


def _shortened(text: str) -> str:
    if len(text) <= MAX_PROMPT_CHARACTERS:
        return text
    return f"{text[:MAX_PROMPT_CHARACTERS]} … ({len(text)} characters in all)"
