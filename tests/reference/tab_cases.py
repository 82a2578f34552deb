"""What a browser's tab is compared on with the library: plans, recipes, texts, questions, readings.

Drawn from `Random.random` alone, whose numbers no version of Python changes.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from dppa_core.recipes.recipe import DomainModel, MergeRecipe
from dppa_core.tab.wishes import tab_wish
from dppa_core.tasks import DOMAINS, items

BASE = "zoo:base"
ONE_SET = ("zoo:math", "zoo:finance", "zoo:law")
OTHER_SET = ("zoo:apart-math", "zoo:apart-finance", "zoo:apart-law")
MODELS = (*ONE_SET, *OTHER_SET)
PLANS, ONE_IN = 1000, 80
"""Random plans; one in so many questions is in a sample."""

Plan = tuple[str, tuple[float, ...], float]
"""Model, levels, strength."""


def random_plans(count: int = PLANS) -> list[Plan]:
    """Of 1 to 3 levels, strengths from 0 to 0.5 and rates of 1 to 4 digits."""
    random = Random(0)
    plans: list[Plan] = []
    while len(plans) < count:
        model = MODELS[len(plans) % len(MODELS)]
        rates = {_rounded(random, 0.999) for _ in range(1 + int(3 * random.random()))}
        levels = tuple(sorted((rate for rate in rates if rate < 1), reverse=True))
        if levels:
            plans.append((model, levels, _rounded(random, 0.5)))
    return plans


def _rounded(random: Random, most: float) -> float:
    return round(most * random.random(), 1 + int(4 * random.random()))


def _recipe(method: str, *models: DomainModel, **parameters: Any) -> MergeRecipe:
    return MergeRecipe(BASE, models, method, parameters)


def _alike(models: Sequence[str], *settings: Any) -> tuple[DomainModel, ...]:
    return tuple(DomainModel(model, *settings) for model in models)


BY_LAYER = {0: 0.2, 3: 1.5, 5: 0.0}
RECIPES: Mapping[str, MergeRecipe] = {
    "dppa": _recipe("dppa", *_alike(ONE_SET, (0.9, 0.8), (1.6, 1.0))),
    "dppa of three levels": _recipe(
        "dppa", *_alike(OTHER_SET, (0.95, 0.875, 0.6), (2.1, 1.3, 0.7), 0.8), strength=0.31
    ),
    "dppa by layer": _recipe(
        "dppa",
        DomainModel("zoo:math", (0.7777,), (1.9,), BY_LAYER),
        DomainModel("zoo:finance", (0.9, 0.85), (1.2, 0.0)),
        DomainModel("zoo:law", (0.999,), (3.0,), 0.0),
        strength=0.5,
        other_tensors="drop",
    ),
    "dppa of mixed sets": _recipe(
        "dppa",
        DomainModel("zoo:law", (0.33,), (1.0,), -0.5),
        DomainModel("zoo:apart-math", (0.0,), (1.0,), 0.41),
        strength=0.0,
    ),
    "magnitude": _recipe("magnitude", *_alike(ONE_SET, (0.8,), (1.0,), 0.6)),
    "magnitude by layer": _recipe(
        "magnitude",
        DomainModel("zoo:apart-finance", (0.91, 0.4001), (1.7, 0.9), -0.25),
        DomainModel("zoo:apart-law", (0.5,), (1.1,), BY_LAYER),
        other_tensors="drop",
    ),
    "task arithmetic": _recipe("task_arithmetic", *_alike(ONE_SET, (0.0,), (1.0,), 0.4)),
    "task arithmetic by layer": _recipe(
        "task_arithmetic",
        DomainModel("zoo:apart-law", coefficient=BY_LAYER),
        DomainModel("zoo:apart-math", coefficient=-1.0),
        DomainModel("zoo:apart-finance", coefficient=0.0),
    ),
    "dare": _recipe("dare", *_alike(ONE_SET, (0.9,), (1.0,), 0.5)),
    "dare by layer": _recipe(
        "dare",
        DomainModel("zoo:apart-math", (0.37,), (1.4,), BY_LAYER),
        DomainModel("zoo:apart-law", (0.99,), (1.0,), -0.3),
        other_tensors="keep",
    ),
    "dare without others": _recipe(
        "dare",
        DomainModel("zoo:apart-law", (0.0,)),
        DomainModel("zoo:law", (0.6,), (0.8,)),
        other_tensors="drop",
    ),
    "a model as it is": _recipe("dppa", DomainModel("zoo:finance")),
}

ANSWERERS = (
    BASE,
    *MODELS,
    *("dppa", "dppa of three levels", "magnitude", "task arithmetic by layer", "dare"),
)
"""Models and recipes whose answers are compared."""


def wish_of(name: str) -> dict[str, Any]:
    """What the worker is asked to answer with: a merge, or a model alone."""
    wish = tab_wish(RECIPES.get(name, name))
    if wish is None:
        raise LookupError(f"A tab does not know {name}.")
    return wish


def tab_merge(name: str) -> dict[str, Any]:
    """A recipe as the worker reads it."""
    merge: dict[str, Any] = wish_of(name)["merge"]
    return merge


def questions(count: int | None = None) -> list[str]:
    """Test questions of all domains; the first `count` of each."""
    return [item.prompt for domain in DOMAINS for item in items(domain, "test", count)]


def sample(answerer: str) -> list[str]:
    """The questions whose answers are recorded: some of each domain, others for each answerer."""
    return questions()[3 * ANSWERERS.index(answerer) :: ONE_IN]


SEEDS_OF_TEXTS = (
    *("", " ", "\n", "\t x", "a  b", "  two spaces before", "trailing  ", "don't we'll I've it's"),
    *("12345 6 7.89", "٣٤٥ ½ Ⅷ ²", "naïve café", "e\u0301\u0323 combining", "ﬁ ﬂ ﬃ"),
    *("no\u00a0break\u2009thin\u202fnarrow", "next\u0085line", "\ufefffirst", "in\ufeffside"),
    *(
        "👩‍👩‍👧‍👦 👍🏽 🇩🇪",
        "日本語の文章",
        "עברית العربية हिन्दी",
        "\u0000\u0001\u007f",
        "a\r\nb\r c",
    ),
    *("<|end|>", "x<|user|>y<|bos|>", "<|en", "<|end|><|end|>", "$5 = €4", "#!@%^&*()_+[]{}|;"),
    *("\u2028lines\u2029", "\u1680\u3000 wide", "\u200b zero", "ǅ ʰ ª", "x" * 300, " \n \t\n  y"),
)
ALPHABET = tuple(
    chr(code) for code in (*range(32, 127), 10, 10, 160, 0x301, 0x663, 0x2009, 0x1F600)
)


def texts() -> list[str]:
    """Questions, answers and odd texts."""
    random = Random(1)
    drawn = [item for domain in DOMAINS for item in items(domain, "test")]
    plain = dict.fromkeys(text for item in drawn for text in (item.prompt, item.answer))
    mixed = [
        "".join(ALPHABET[int(len(ALPHABET) * random.random())] for _ in range(size % 60))
        for size in range(240)
    ]
    points = ["".join(_point(random) for _ in range(1 + size % 12)) for size in range(240)]
    return [*plain, *SEEDS_OF_TEXTS, *mixed, *points]


def _point(random: Random) -> str:
    """A code point that has long been in Unicode, or lies in no alphabet; no surrogate."""
    most = (0x250, 0x3000, 0xD800, 0x20000)[int(4 * random.random())]
    code = int(most * random.random())
    return chr(code + 0x800 if 0xD800 <= code else code)


READINGS = tuple(
    (answerer, 131 * place % 400, reply)
    for place, (answerer, reply) in enumerate(
        (answerer, reply)
        for answerer in ANSWERERS
        for reply in ("", "The answer is 17.", "Ω no\u00a0such thing 👍")
    )
)
"""Answerer, number of a question, the beginning of a reply to it."""
