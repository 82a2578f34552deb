"""`python -m benchmarks.chat [--write]`: tokens per second, compared with transformers.

Both paths compute the same tokens of the same embedded models in one run, by turns. The old path is
transformers' forward pass with its growing cache.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.engine.write import keep, measured_on, table
from benchmarks.measure import machine, resident, timed
from dppa_core.answering.answerer import Ready
from dppa_core.answering.process import ProcessAnswerer
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam
from dppa_core.kernels.token_step import compile_now
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.decode import prompt_ids
from dppa_core.models.own_step import OwnStep
from dppa_core.models.parameter_views import fuse_weights
from dppa_core.models.reply import GenerationSettings
from dppa_core.models.texts import ForeignTexts, OwnTexts, Texts
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS

QUESTION = "Tom has 13 apples and buys 4 more. How many apples does he have?"
TOKENS, ROUNDS, VISITORS = 40, 5, 50


def written(texts: Texts, prompts: list[list[int]], clock: Callable[[], float]) -> float:
    """Seconds of a clock for one token of all prompts."""
    texts.read(prompts, [1] * len(prompts))
    begun, tokens = clock(), torch.full((len(prompts),), 5)
    for _ in range(TOKENS):
        tokens = texts.step(tokens).argmax(-1)
    return (clock() - begun) / TOKENS


def paired(model: Any, prompts: list[list[int]], clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds for a token, the least of some turns of each path, and their ratio."""
    paths = {"own": lambda: OwnTexts(OwnStep(model)), "transformers": lambda: ForeignTexts(model)}
    milliseconds = {name: list[float]() for name in paths}
    for _ in range(ROUNDS):
        for name, make in paths.items():
            milliseconds[name].append(1000 * written(make(), prompts, clock))
    least = {name: round(min(times), 2) for name, times in milliseconds.items()}
    return {**least, "times as fast": round(least["transformers"] / least["own"], 2)}


def _spin(ready: Any) -> None:
    ready.set()
    while True:
        sum(range(1000))


@contextmanager
def busy() -> Iterator[None]:
    """Another process that keeps one core busy."""
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=_spin, args=(ready,), daemon=True)
    process.start()
    ready.wait()
    try:
        yield
    finally:
        process.kill()


def scored(pool: ModelPool) -> dict[str, float]:
    """Seconds for one model in memory to answer all test items, on all cores."""
    examiner = Examiner(pool, fresh=True)
    exams = [Exam("zoo:math", domain, "test", None) for domain in DOMAINS]
    with pool.lend("zoo:math"):
        begun, worked = time.perf_counter(), time.process_time()
        items = sum(len(examiner.marks(exam).hits) for exam in exams)
        seconds, worked = time.perf_counter() - begun, time.process_time() - worked
    return {"items": items, "seconds": round(seconds, 1), "processor": round(worked, 1)}


def large() -> dict[str, float]:
    """A Llama of 135 M parameters with random weights, beside reading its weights from memory."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()
    fuse_weights(model)
    weights = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    reading = min(timed(lambda: weights.view(torch.int32).max(), 5)) / 1000
    del weights
    prompt = list(range(5, 30))
    token = min(written(OwnTexts(OwnStep(model)), [prompt], time.perf_counter) for _ in range(3))
    return {
        "tokens a second": round(1 / token, 1),
        "at most, by memory bandwidth": round(1 / reading, 1),
        "share": round(reading / token, 2),
    }


def multiplying() -> float:
    """Float32 operations a second of one thread, in products of the size of a batch's."""
    left, right = torch.randn(1024, 192), torch.randn(192, 512)
    seconds = min(timed(lambda: left @ right, 50)) / 1000
    return 2 * left.numel() * right.shape[1] / seconds


def recipe(number: int) -> MergeRecipe:
    """A merge nobody else requests."""
    rate = 0.5 + number / 200
    return MergeRecipe(
        "zoo:base", (DomainModel("zoo:math", (rate,)), DomainModel("zoo:law", (rate,)))
    )


def crowd() -> dict[str, Any]:
    """Fifty visitors who each ask their own merge and the base at once."""
    answerer = ProcessAnswerer(3 * 2**29, public=True)
    begun = time.perf_counter()
    pid = answerer.start()
    list(answerer.replies("zoo:base", QUESTION, GenerationSettings(2)))
    started = time.perf_counter() - begun
    first, whole, go = list[float](), list[float](), threading.Barrier(2 * VISITORS)

    def ask(target: str | MergeRecipe) -> None:
        go.wait()
        begun, events = time.perf_counter(), 0
        for event in answerer.replies(target, QUESTION, GenerationSettings()):
            events += not isinstance(event, Ready)
            if events == 1 and not isinstance(event, Ready):
                first.append(time.perf_counter() - begun)
        whole.append(time.perf_counter() - begun)

    targets = [target for number in range(VISITORS) for target in (recipe(number), "zoo:base")]
    threads = [threading.Thread(target=ask, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results = {
        "process started and first answer, s": round(started, 2),
        **{f"first token {name}, s": value for name, value in _spread(first).items()},
        **{f"whole answer {name}, s": value for name, value in _spread(whole).items()},
        "memory of the process, MiB": round(resident(pid) / 2**20),
    }
    answerer.close()
    return results


def _spread(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=20)
    return {"50 %": round(statistics.median(values), 2), "95 %": round(cuts[-1], 2)}


def measure() -> dict[str, Any]:
    """All results; takes minutes."""
    torch.set_num_threads(1)
    compile_now()  # else torch would take its place
    pool = ModelPool()
    loaded = pool.get("zoo:math")
    prompt = prompt_ids(loaded, QUESTION)
    results: dict[str, Any] = {"machine": machine(), "torch": torch.__version__}
    results["one text"] = paired(loaded.model, [prompt], time.process_time)
    results["50 texts"] = paired(loaded.model, [prompt] * 50, time.process_time)
    alone = written(OwnTexts(OwnStep(loaded.model)), [prompt], time.perf_counter)
    with busy():
        beside = written(OwnTexts(OwnStep(loaded.model)), [prompt], time.perf_counter)
    results["beside a busy process"] = {
        "tokens a second": round(1 / beside),
        "alone": round(1 / alone),
        "share": round(alone / beside, 2),
    }
    results["scoring"] = scored(pool) | {"GFLOP/s of one thread": round(multiplying() / 1e9)}
    results["135 M parameters"] = large()
    results[f"{VISITORS} ask a merge of their own and the base"] = crowd()
    return results


def text(results: dict[str, Any]) -> str:
    """A token by both paths."""
    rows = (
        (name, results[name]["own"], results[name]["transformers"])
        for name in ("one text", "50 texts")
    )
    head = ("processor time of a token, ms", "ours", "transformers")
    return table(head, rows) + measured_on(results)


def main() -> None:
    """Measure and print; with --write into docs/ as well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chat", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/")
    write, results = parser.parse_args().write, measure()
    print(json.dumps(results, indent=1))
    if write:
        keep("bench-chat", results, text(results), "benchmarks")


if __name__ == "__main__":
    main()
