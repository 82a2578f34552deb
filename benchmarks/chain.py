"""Every command a merge needs, on a set of 1.1 billion parameters, in a given budget of memory.

    python -m benchmarks.chain [--size B] [--memory 6GB] [--write]

The weights are random and the shapes real, so scores mean nothing; times and memory do. Memory is
what a process has written (RssAnon); mapped files, which the system takes back at will, are not
counted. Each command is a process of its own. Questions are our own, two of each domain; their
pattern calls any reply right, since a search needs models that answer something.
"""

import argparse
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.engine.process import RunFailed, Usage, run
from benchmarks.engine.write import keep, measured_on, table
from benchmarks.measure import machine
from benchmarks.synthetic import BASE, DOMAINS, SIZES, make
from dppa_core.checkpoints.sources.zoo import zoo_root
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe

QUESTIONS = 40
"""Of each domain; a hash splits them into search and test."""
LIMIT = "2"
"""Questions a domain, of each split."""
REPLY = 16
"""Tokens of a reply; a random model never ends one earlier."""
STEPS = (
    *("preflight", "profile", "plan", "merge", "evaluate"),
    *("search", "adamerge", "attribute", "card"),
)


def prepared(size: str, folder: Path) -> Path:
    """The models, with the tokenizer of the embedded ones, questions and a recipe; what an earlier
    run left is removed."""
    models = make(size, folder)
    shutil.rmtree(models / "cache", ignore_errors=True)
    for left in (*models.glob("searched.*"), *models.glob("ada.*")):
        left.unlink()
    for name in (BASE, *DOMAINS):
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            if (zoo_root() / "base" / file).is_file():
                shutil.copyfile(zoo_root() / "base" / file, models / name / file)
    for shift, domain in enumerate(DOMAINS):
        head = {"scorer": "regex", "pattern": "(?s).*", "tokens": REPLY}
        items = (
            {"question": f"What is {n} plus {shift}?", "answer": str(n + shift)}
            for n in range(QUESTIONS)
        )
        lines = map(json.dumps, (head, *items))
        (models / f"{domain}.jsonl").write_text("\n".join(lines) + "\n")
    levels, factors = (0.9, 0.8), (1.0, 1.0)
    domain_models = [DomainModel(str(models / name), levels, factors, 0.7) for name in DOMAINS]
    recipe = MergeRecipe(str(models / BASE), tuple(domain_models))
    (models / "recipe.yaml").write_text(dump_recipe(recipe))
    return models


def commands(models: Path, memory: str) -> dict[str, list[str]]:
    """Step -> arguments of `dppa`."""
    recipe = str(models / "recipe.yaml")
    refs = [str(models / name) for name in (BASE, *DOMAINS)]
    items = [word for d in DOMAINS for word in ("--items", f"own-{d}={models / d}.jsonl")]
    names = ",".join(f"own-{domain}" for domain in DOMAINS)
    item_options = [*items, "--tasks", names, "--memory", memory]
    by_step = {
        "preflight": ["preflight", *refs],
        "profile": ["profile", *refs[:2]],
        "plan": ["plan", recipe],
        "merge": ["merge", recipe, "--out", str(models / "merged"), "--overwrite"],
        "evaluate": ["evaluate", recipe, *item_options, "--limit", LIMIT],
        "search": ["search", recipe, *item_options, "--vary", "factor=0.8:1.2", "--trials", "6"],
        "adamerge": ["adamerge", recipe, *item_options, "--steps", "3", "--batch", "1"],
        "attribute": ["attribute", recipe, "--prompt", "What is 2 plus 2?", "--answer", "4"],
        "card": ["card", str(models / "merged")],
    }
    by_step["search"] += ["--limit", LIMIT, "--test-limit", "0", "--overwrite"]
    by_step["search"] += ["--out", str(models / "searched.yaml")]
    by_step["adamerge"] += ["--held-out", LIMIT, "--every", "3", "--prompts-each", "4"]
    by_step["adamerge"] += ["--together", "1", "--overwrite", "--out", str(models / "ada.yaml")]
    by_step["attribute"] += ["--memory", memory]
    return by_step


class AnonymousPeak(threading.Thread):
    """The largest RssAnon of this process's children, looked at five times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self.ended = 0, threading.Event()

    def run(self) -> None:
        """Look until `ended` is set."""
        while not self.ended.wait(0.2):
            for listed in Path("/proc/self/task").glob("*/children"):
                for pid in listed.read_text().split():
                    self.bytes = max(self.bytes, _anonymous(pid))


def _anonymous(pid: str) -> int:
    """Bytes; 0 if the process has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def measured(
    models: Path, memory: str, steps: Sequence[str], say: Callable[[str], object]
) -> Iterator[tuple[str, Usage | str]]:
    """Step -> its cost, or the end of what it said if it failed."""
    env = {"DPPA_CACHE": str(models / "cache"), "OMP_NUM_THREADS": "1"}
    for step, arguments in commands(models, memory).items():
        if step not in steps:
            continue
        peak = AnonymousPeak()
        peak.start()
        try:
            command = [sys.executable, "-m", "dppa_core", *arguments]
            cost = run(command, models / f"{step}.log", env=env)
            outcome: Usage | str = replace(cost, peak=peak.bytes)
        except RunFailed as error:
            outcome = str(error)
        finally:
            peak.ended.set()
        say(f"{step}: {outcome if isinstance(outcome, str) else _cost_text(outcome)}\n")
        yield step, outcome


def _cost_text(cost: Usage) -> str:
    return f"{cost.wall:.0f} s, {cost.cpu:.0f} s of processor, {in_bytes(cost.peak)}"


def text(results: dict[str, Any]) -> str:
    """The costs as Markdown."""
    rows = (
        (f"`dppa {step}`", f"{cost['cpu']:.0f}", in_bytes(cost["peak"]))
        if isinstance(cost, dict)
        else (f"`dppa {step}` ✗", "–", "–")
        for step, cost in results["commands"].items()
    )
    return table(("command", "processor, s", "peak memory"), rows) + measured_on(results)


def main() -> None:
    """Make the models, run the commands, print or write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chain", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="B")
    parser.add_argument("--memory", default="6GB")
    parser.add_argument("--folder", type=Path, default=Path("out/bench-chain"))
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--write", action="store_true", help="into docs/, too")
    options = parser.parse_args()
    models = prepared(options.size, options.folder)
    costs = dict(measured(models, options.memory, options.steps, sys.stderr.write))
    results = {
        "machine": machine(),
        "parameters": sum(spec.numel for spec in SIZES[options.size].tensors()),
        "memory": options.memory,
        "commands": {s: c if isinstance(c, str) else asdict(c) for s, c in costs.items()},
    }
    print(text(results))
    if options.write:
        keep("bench-chain", results, text(results), "benchmarks")
    if any(isinstance(cost, str) for cost in costs.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
