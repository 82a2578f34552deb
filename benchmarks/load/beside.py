"""`python -m benchmarks.load.beside`: a chat during constant slider requests.

In this process and without a server: alone, and with everybody at once. Each question goes to
another merge. Reports medians, and for each chat its CPU time and how long it waited for a busy
core; the rest is waiting for the interpreter.
"""

import argparse
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.load.visitor import QUESTIONS
from benchmarks.measure import machine
from components.page.workbench import build_page
from components.server.serving import SWITCH
from components.session.presets import first_session
from components.views.chat.answering import answer_events
from components.work.gradio_inside import handlers
from components.work.question import MERGED, ChatQuestion
from components.work.studio import Studio

SECONDS, THREADS = 6.0, 8
Row = tuple[float, float, float, float]
"""Seconds of a chat: to its first token, to its end, of the processor, waiting for a core."""


def scheduled() -> tuple[float, float]:
    """Seconds for which this thread had a core, and for which it waited for one (Linux)."""
    path = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    ran, waited, _ = path.read_text("ascii").split()
    return int(ran) / 1e9, int(waited) / 1e9


def chat(studio: Studio, rng: random.Random) -> Row:
    """Ask one question of a merge not asked before."""
    recipe = replace(first_session(), rate=rng.randrange(2000, 9500) / 10_000).recipe()
    firsts, began = list[float](), time.perf_counter()

    def emit(event: Any) -> None:
        if "tokens" in event[1]:
            firsts.append(time.perf_counter() - began)

    ran, waited = scheduled()
    question = ChatQuestion(QUESTIONS[0], (MERGED,), {MERGED: recipe})
    answer_events(question, studio, emit, threading.Event())
    whole, (ran_then, waited_then) = time.perf_counter() - began, scheduled()
    return firsts[0], whole, ran_then - ran, waited_then - waited


@contextmanager
def sliders(ask: Callable[[random.Random], None], threads: int) -> Iterator[list[float]]:
    """Run threads that ask during the block; yields the time of each answer."""
    over, took = threading.Event(), list[float]()

    def answer(seed: int) -> None:
        rng = random.Random(seed)
        while not over.is_set():
            began = time.perf_counter()
            ask(rng)
            took.append(time.perf_counter() - began)

    running = [threading.Thread(target=answer, args=(seed,)) for seed in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield took
    finally:
        over.set()
        for thread in running:
            thread.join()


def measure(seconds: float, threads: int) -> Iterator[str]:
    """One row per mode."""
    studio, rng = Studio(public=True), random.Random(0)
    page = build_page(studio)
    events = handlers(page).values()
    (event,) = (
        handler for handler in events if handler.fn and handler.fn.__name__ == "on_strength"
    )
    usual = {component: component.value for component in event.inputs}
    (strength,) = (component for component in event.inputs if component.elem_id == "strength")

    def ask(rng: random.Random) -> None:
        event.fn(usual | {strength: rng.randrange(20) / 100})

    for _ in range(3):  # warm up
        chat(studio, rng)
    for name, count in (("alone", 0), ("all at once", threads)):
        with sliders(ask, count) as took:
            began, rows = time.perf_counter(), list[Row]()
            while time.perf_counter() - began < seconds:
                rows.append(chat(studio, rng))
            spent = time.perf_counter() - began
        first, whole, ran, waited = (
            statistics.median(column) for column in zip(*rows, strict=True)
        )
        answered = sorted(took)
        late = 1000 * answered[int(0.95 * len(answered))] if answered else 0
        yield (
            f"{name}: first token {first:.2f} s, whole answer {whole:.2f} s (processor {ran:.2f}, "
            f"waited for a core {waited:.2f}); {len(took) / spent:.0f} tables a second, "
            f"95 % within {late:.0f} ms"
        )


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.beside", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each way")
    parser.add_argument("--threads", type=int, default=THREADS, help="that answer sliders")
    options = parser.parse_args()
    sys.setswitchinterval(SWITCH)
    print(machine(), flush=True)
    for row in measure(options.seconds, options.threads):
        print(row, flush=True)


if __name__ == "__main__":
    main()
