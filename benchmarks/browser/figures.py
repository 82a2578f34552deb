"""Each figure by both ways, measured by turns on the page as a visitor has it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlparse

from playwright.sync_api import Browser, Route

from benchmarks.browser.report import Row, Spread
from benchmarks.browser.visits import FIRST_MS, Reader, context_of
from benchmarks.chat import TOKENS, written
from dppa_core.kernels.token_step import compile_now
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.decode import prompt_ids
from dppa_core.models.own_step import OwnStep
from dppa_core.models.texts import OwnTexts
from dppa_core.tasks import DOMAINS, example_prompts
from tests.e2e.cuttable_network import Cable
from tests.e2e.page_driver import Studio
from tests.e2e.tab_memory import NOTES_MEMORY, held_bytes

ROUNDS, MOVES, SWEEP = 6, 15, 1.0
"""Of each figure; single moves of a round; seconds of a drag in which no place comes twice."""
FAR = 300
"""Milliseconds of a round trip."""
CONTEXT = 60
"""Tokens before the one that is written, in the mean."""
QUESTION = (
    "Tom has 13 apples and buys 4 more. Then Tom gives 5 apples to Anna, 2 apples to Ben and 1 "
    "apple to Mia. How many apples does Tom have now?"
)
MEGABITS = 20
SETTLED_MS = 1000
"""After the first five answers, until a second worker holds its models."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What one way took."""

    single: list[float] = field(default_factory=list)
    merged: list[float] = field(default_factory=list)
    dragged: list[float] = field(default_factory=list)
    frames: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)

    def round(self, reader: Reader, moves: int, seconds: float) -> None:
        """Some single moves, and one drag."""
        reader.begin()
        self.single.extend(reader.moves(moves))
        self.merged.extend(reader.noted("merged"))
        reader.begin()
        self.events.append(reader.drag(seconds))
        self.dragged.extend(reader.noted("shown"))
        self.frames.extend(reader.noted("frames"))


def by_turns(browser: Browser, url: str, delay: int, rounds: int = ROUNDS) -> tuple[Noted, Noted]:
    """What the tab took, and the server, in turns: tab, server, tab, server."""
    readers = [Reader(browser, url, by_tab=way, delay=delay) for way in (True, False)]
    both = Noted(), Noted()
    for _ in range(rounds):
        for reader, noted in zip(readers, both, strict=True):
            noted.round(reader, MOVES, SWEEP)
    for reader in readers:
        reader.close()
    return both


def answers(browser: Browser, url: str, rounds: int = ROUNDS) -> Iterator[Row]:
    """The pinned answer under a thumb."""
    near, far = (by_turns(browser, url, delay, rounds) for delay in (0, FAR))
    name = "slider event → merged in the worker, by its own clock"
    yield Row(name, "ms", Spread.over(near[0].merged), None, 15, 40)
    for (tab, server), trip in ((near, ""), (far, f", {FAR} ms of round trip")):
        single = Spread.over(tab.single), Spread.over(server.single)
        yield Row(f"slider event → whole answer, single moves{trip}", "ms", *single, 50, 100)
    for (tab, server), trip in ((near, ""), (far, f", {FAR} ms of round trip")):
        dragged = Spread.over(tab.dragged), Spread.over(server.dragged)
        yield Row(f"slider event → whole answer, dragging{trip}", "ms", *dragged, 70, 130)
    frames = (Spread(Spread.over(noted.frames).p95 or 0, None, len(noted.frames)) for noted in near)
    yield Row("page frames while dragging, 95 %", "ms", *frames, 20)
    events = (Spread.over(noted.events) for noted in near)
    yield Row("slider events a second while dragging", "", *events)


def speed(browser: Browser, url: str, rounds: int = ROUNDS) -> Row:
    """Tokens a second of a greedy answer, read from the worker's own clock."""
    compile_now()
    loaded = ModelPool().get("zoo:math")
    prompt = prompt_ids(loaded, QUESTION)[: CONTEXT - TOKENS // 2]
    reader, tab, server = Reader(browser, url, by_tab=True), list[float](), list[float]()
    for _ in range(3 * rounds):
        seconds = reader.page.evaluate("question => window.bench.speak(question)", QUESTION)
        tab.append((len(seconds) - 1) / (seconds[-1] - seconds[0]))
        server.append(1 / written(OwnTexts(OwnStep(loaded.model)), [prompt], time.perf_counter))
    reader.close()
    both = (Spread(Spread.over(values).median, None, len(values)) for values in (tab, server))
    return Row(f"tokens a second, context {CONTEXT}", "", *both, least=1200)


def five(browser: Browser, url: str, rounds: int = ROUNDS) -> Row:
    """The merge, the base and the domain models answer one question of the chat."""
    readers = [Reader(browser, url, by_tab=way) for way in (True, False)]
    took = {reader.source: list[float]() for reader in readers}
    prompts = [prompt for domain in DOMAINS for prompt in example_prompts(domain)[:2]]
    for reader in readers:
        _ask_all(reader.studio, prompts[0])  # loads what is not there yet
    for number in range(rounds):
        for reader in readers:
            reader.page.bring_to_front()
            took[reader.source].append(_ask(reader.studio, prompts[number % len(prompts)]))
    for reader in readers:
        reader.close()
    return Row("the five answers of a question", "ms", *map(Spread.over, took.values()), 120)


def _ask_all(studio: Studio, prompt: str) -> None:
    """Ask the merge and every unmerged model in the chat, from now on too."""
    studio.open_pane("chat")
    for box in studio.page.locator("#answer-with input[type=checkbox]").all():
        box.set_checked(True)
    _ask(studio, prompt)


def _ask(studio: Studio, prompt: str) -> float:
    """Milliseconds from Send to the last answer's end."""
    studio.page.locator("#prompt textarea").fill(prompt)
    models = studio.page.locator("#answer-with input:checked").count()
    return float(studio.page.evaluate(f"() => window.bench.ask({models})"))


def first_words(browser: Browser, url: str, visits: int = 3) -> Iterator[Row]:
    """From the first wish to the first words, with what a visitor's line brings a second."""
    cable = Cable(urlparse(url).port or 80, MEGABITS * 1e6 / 8)
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(visits):
        context = context_of(browser, by_tab=True)
        for seconds in took:
            studio = Studio.visit(context, cable.url)
            studio.wait_models()
            studio.rate.focus()
            studio.page.keyboard.press("ArrowLeft")
            studio.page.wait_for_function("() => window.bench.firstWords", timeout=FIRST_MS)
            wish = studio.page.evaluate("() => window.bench.firstWords - window.bench.firstWish")
            seconds.append(wish / 1000)
            studio.page.close()
        context.close()
    cable.close()
    empty, kept = (Spread(Spread.over(seconds).median, None, visits) for seconds in took)
    yield Row(f"first words after the first wish, {MEGABITS} Mbit/s", "s", empty, None, 12)
    yield Row("first words, models kept by the browser", "s", kept, None, 1)


def memory(browser: Browser, url: str) -> Row:
    """Bytes of all workers' WebAssembly, once five models have answered, and answered again."""

    def patch(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=NOTES_MEMORY + answer.text())

    context = context_of(browser, by_tab=True)
    context.route("**/tab/worker.js", patch)
    studio = Studio.visit(context, url)
    studio.wait_models()
    studio.rate.focus()
    studio.page.keyboard.press("ArrowLeft")
    studio.page.wait_for_function("() => window.bench.firstWords", timeout=FIRST_MS)
    _ask_all(studio, QUESTION)
    studio.page.wait_for_timeout(SETTLED_MS)
    _ask(studio, QUESTION)
    held = held_bytes(studio.page)
    context.close()
    name = f"memory of WebAssembly in {len(held)} workers"
    return Row(name, "MB", Spread(sum(held) / 1e6), None, 100)
