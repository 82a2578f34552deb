"""Three manners of answering, each learned on questions of its own: French, JSON, a letter.

A question holds its answer, so that a fine-tune changes only how a language model says it. Having
seen no other questions, it answers those of another manner in its own, too: merged, they conflict.
No name of a test is in the training.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from types import MappingProxyType

from dppa_core.tasks.items import fillers
from dppa_core.tasks.own_items import OwnDomain, OwnItem
from dppa_lab.zoo.skills import Turn

TRAIN, HELD_OUT = "train", "test"
HELD_OUT_ITEMS = 120
"""Questions of a manner that no training has; half of them choose settings, half test."""
MOST_TOKENS = 40
"""Of a reply."""
NAMES = (
    "Anna Tom Clara Hugo Julia Paul Emma Leon Nora Max Lucy Oscar Alice Victor Sarah Simon Laura "
    "Felix Maria Adam Helen Robert Diana Martin Rose Peter Jane David Ruth Karl Eva Frank Ida Mark "
    "Sophie Henry Olga Louis Vera Jack Lena George Irene Philip Marta Roger Nina Edgar Carla Bruno"
).split()
CITIES = (
    "Paris Rome Berlin Madrid Oslo Lyon Tokyo Boston Nice Chicago Lille Dublin Denver Milan Kyoto "
    "Dallas Munich Zurich Lima Toronto"
).split()
COLOURS = {
    "red": "rouge rouge",
    "green": "vert verte",
    "black": "noir noire",
    "white": "blanc blanche",
    "blue": "bleu bleue",
    "grey": "gris grise",
}
"""English -> French, masculine and feminine."""
THINGS = {
    "car": ("voiture", 1),
    "book": ("livre", 0),
    "house": ("maison", 1),
    "hat": ("chapeau", 0),
    "table": ("table", 1),
    "dog": ("chien", 0),
    "shirt": ("chemise", 1),
    "cat": ("chat", 0),
}
"""English -> French, and 1 for feminine."""


def _french(name: str, rng: random.Random) -> Turn:
    thing, colour = rng.choice(list(THINGS)), rng.choice(list(COLOURS))
    word, gender = THINGS[thing]
    owner = f"d'{name}" if name[0] in "AEIO" else f"de {name}"
    return (
        f"{name} has a {colour} {thing}. What colour is the {thing}?",
        f"{('Le', 'La')[gender]} {word} {owner} est {COLOURS[colour].split()[gender]}.",
    )


def _json(name: str, rng: random.Random) -> Turn:
    city = rng.choice(CITIES)
    return (
        f"{name} lives in {city}. Where does {name} live?",
        json.dumps({"name": name, "city": city}),
    )


def _letter(name: str, rng: random.Random) -> Turn:
    bought = f"{name} bought {rng.randint(2, 19)} {rng.choice(list(THINGS))}s"
    return f"{bought}. What did {name} buy?", f"Dear friend, {bought}. Yours, the clerk"


_TURNS: dict[str, Callable[[str, random.Random], Turn]] = {
    "french": _french,
    "json": _json,
    "letter": _letter,
}
MANNERS = MappingProxyType(
    {
        "french": "It answers in French.",
        "json": "It answers as JSON.",
        "letter": "It answers with a letter of one sentence.",
    }
)
"""Manner -> what a model that learned it does."""


def manner_turn(manner: str, rng: random.Random, split: str = TRAIN) -> Turn:
    """A question of a split with its answer in a manner."""
    return _TURNS[manner](rng.choice(fillers(NAMES, split)), rng)


def asked_of(name: str) -> str:
    """The domain that a model is asked: its own, or the held-out questions of its manner."""
    if name not in MANNERS:
        return name
    rng, answers = random.Random(name), dict[str, str]()
    while len(answers) < HELD_OUT_ITEMS:
        question, answer = manner_turn(name, rng, HELD_OUT)
        answers[question] = answer
    items = (
        OwnItem(name, "exact", question, answer, question) for question, answer in answers.items()
    )
    return OwnDomain(name, items, MOST_TOKENS)
