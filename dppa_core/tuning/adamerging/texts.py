"""The texts of AdaMerging: unlabelled prompts of every domain, and held-out items to score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue, many, shown
from dppa_core.evaluation.side_by_side import domains_of
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.regular_files import read_regular
from dppa_core.system.strict_json import parse_json
from dppa_core.tasks import DOMAINS, Item, OwnDomain, items
from dppa_core.tuning.adamerging.settings import AdaMergeSettings

MAX_FILE_BYTES = 64 << 20
_USUAL_CAUSE = "A file of another kind is the usual cause."


@dataclass(frozen=True, slots=True)
class Domain:
    """The texts of one domain; domains are in the order of the recipe's models."""

    name: str
    prompts: tuple[str, ...]
    """Without answers, for the objective."""
    held_out: tuple[Item, ...]
    """With answers, scored at checkpoints and never trained on."""
    scored: bool
    """True if replies can be marked right or wrong; otherwise the perplexity counts."""


def task_domains(names: Sequence[str], settings: AdaMergeSettings) -> tuple[Domain, ...]:
    """Embedded domains: prompts of the train split, held-out items of the search split.

    A domain of one's own has no train split: of its search items the first half, or as many as are
    to be held out, are held out, and the questions of the others are the prompts.

    Raises:
        UnknownName: no such domain.
        InvalidValue: more prompts or items than there are.
    """
    return tuple(
        _own_domain(name, settings)
        if isinstance(name, OwnDomain)
        else Domain(
            name,
            tuple(item.prompt for item in items(name, "train", settings.prompts, settings.seed)),
            items(name, "search", settings.held_out),
            scored=True,
        )
        for name in names
    )


def _own_domain(name: OwnDomain, settings: AdaMergeSettings) -> Domain:
    questions = name.of_split("search")
    count = len(questions)
    held_out = questions[: min(settings.held_out, count // 2)]
    prompts = tuple(item.prompt for item in questions[len(held_out) :][: settings.prompts])
    if not held_out or len(prompts) < settings.batch:
        raise InvalidValue(
            f"{name}: {many(count, 'search item')}, of which {len(held_out)} would be held "
            f"out and {len(prompts)} give prompts; at least 1 and {settings.batch} (a batch) are "
            "needed. Half of the questions are search items: add some, or choose a smaller batch."
        )
    return Domain(name, prompts, held_out, scored=True)


def domains_of_models(recipe: MergeRecipe) -> tuple[str, ...]:
    """The domains of a recipe's embedded models; raises InvalidValue for other models."""
    embedded = ", ".join("zoo:" + domain for domain in DOMAINS)
    return domains_of(
        recipe,
        "which prompts are of its domain? Give --tasks, or one --prompts FILE or --items FILE for "
        f"each model, in the recipe's order. Only embedded models have a known domain: {embedded}.",
    )


def file_domains(paths: Sequence[Path], settings: AdaMergeSettings) -> tuple[Domain, ...]:
    """Domains from JSON lines of `prompt`, some with `answer`; raises InvalidValue for others."""
    return tuple(_file_domain(path, settings) for path in paths)


def _file_domain(path: Path, settings: AdaMergeSettings) -> Domain:
    prompts, held_out = [], []
    for number, line in enumerate(_read(path), 1):
        prompt, answer = _prompt_and_answer(line, f"{path}: line {number}")
        if answer is None:
            prompts.append(prompt)
        else:
            held_out.append(Item(path.stem, "", prompt, answer))
    if len(prompts) < settings.batch or not held_out:
        raise InvalidValue(
            f"{path}: {many(len(prompts), 'line')} without an answer, at least {settings.batch} "
            f"(a batch) are needed as prompts; {many(len(held_out), 'line')} with an answer, at "
            "least 1 is needed to score the merge. Answers on all lines are the usual cause: "
            "remove most of them."
        )
    del prompts[settings.prompts :], held_out[settings.held_out :]
    return Domain(path.stem, tuple(prompts), tuple(held_out), scored=False)


def _read(path: Path) -> list[bytes]:
    try:
        data = read_regular(path, MAX_FILE_BYTES + 1, streams=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidValue(f"{path}: cannot be read ({reason}).") from error
    if len(data) > MAX_FILE_BYTES:
        raise InvalidValue(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB. {_USUAL_CAUSE}")
    return [line for line in data.split(b"\n") if line.strip()]


def _prompt_and_answer(line: bytes, place: str) -> tuple[str, str | None]:
    try:
        value: Any = parse_json(line)
    except ValueError as error:
        raise InvalidValue(f"{place}: no JSON ({error}). {_USUAL_CAUSE}") from error
    if not isinstance(value, dict) or not value.keys() <= {"prompt", "answer"}:
        raise InvalidValue(f"{place}: must be an object of prompt and answer, got {shown(value)}.")
    prompt, answer = value.get("prompt"), value.get("answer")
    for name, text in (("prompt", prompt), ("answer", answer)):
        absent = name == "answer" and text is None
        if not absent and (not isinstance(text, str) or not text.strip()):
            raise InvalidValue(f"{place}: {name} must be a text that says something.")
    return str(prompt), answer


def check_count(domains: Sequence[Domain], recipe: MergeRecipe) -> None:
    """Raise InvalidValue unless there is one domain per model, each with its own name."""
    names = [domain.name for domain in domains]
    if len(names) != len(recipe.models):
        raise InvalidValue(
            f"The recipe has {len(recipe.models)} domain models, but there are prompts of "
            f"{len(names)} domains: {', '.join(names)}. There must be one domain for each model, "
            "in the recipe's order."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidValue(
            f"Two domains are called {shown(twice[0])}; each needs its own name. A file's domain "
            "is its name without the ending."
        )


def fingerprint(domains: Sequence[Domain]) -> str:
    """A SHA-256 that is the same for the same texts."""
    text = json.dumps([asdict(domain) for domain in domains], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
