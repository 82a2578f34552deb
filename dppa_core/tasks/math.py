"""Word problems of one and two steps, answered with the working."""

from __future__ import annotations

import random

from dppa_core.tasks.items import Task, last_number, name_filler, pick

NAMES = (
    "Tom Anna Ben Mia Leo Ruth Omar Kate Paul Nina Sam Ella Ivan Rosa Oscar Lily Hugo Zoe Adam "
    "Jane Carl Vera Noah Iris Grace Maya Luis Tess Erik Nora Finn Clara Jack Amy Otto Lena Rick "
    "Sara Ali Joy Marc Eva Gus Lucy Ken Ida Phil Dora Ned Olga"
).split()
THINGS = (
    "apples books coins stamps scarves pens shells eggs plums cakes balls keys cups spades brushes "
    "stones roses beads tiles boxes pears nuts toys forks spoons lamps socks shirts rings kites "
    "lemons songs plates chairs bricks tickets photos buttons candles crayons marbles stickers "
    "peaches pencils ribbons flowers cookies badges letters grapes"
).split()

OPENINGS = (
    "{n} has {a} {o}.",
    "{n} starts with {a} {o}.",
    "There are {a} {o} on the table of {n}.",
    "In the morning {n} has {a} {o}.",
    "At first {n} has {a} {o}.",
    "{n} owns {a} {o}.",
    "{n} keeps {a} {o} in a bag.",
    "A bag of {n} holds {a} {o}.",
    "{n} has {a} {o} in the bag.",
    "{n} starts the morning with {a} {o}.",
    "{n} counts {a} {o}.",
    "On the table {n} has {a} {o}.",
)
GAINS = (
    "{n} buys {b} more.",
    "{n} finds {b} more.",
    "A friend gives {n} {b} more.",
    "Then {n} buys {b} more.",
    "Then {n} finds {b} more.",
    "{n} gets {b} more.",
    "{n} wins {b} more.",
    "Then {n} gets {b} more {o}.",
    "A friend brings {b} more.",
    "A friend brings {n} {b} more.",
    "{n} makes {b} more.",
    "Later {n} adds {b} {o}.",
    "Then a friend adds {b} more.",
    "Later {n} gets {b} more.",
    "Later {n} buys {b} more {o}.",
)
LOSSES = (
    "{n} sells {b}.",
    "{n} loses {b}.",
    "{n} gives {b} to a friend.",
    "Then {n} sells {b} of them.",
    "Then {n} loses {b} of them.",
    "{n} breaks {b} of them.",
    "{n} gives away {b}.",
    "Then {n} gives {b} {o} away.",
    "{n} sells {b} of the {o}.",
    "{n} loses {b} of the {o}.",
    "{n} throws {b} away.",
    "A friend takes {b} of them.",
    "Then a friend takes {b}.",
    "Later {n} sells {b}.",
    "Later {n} loses {b}.",
)
GROUPS = (
    "{n} has {a} bags with {b} {o} in each.",
    "{n} buys {a} bags of {b} {o} each.",
    "There are {a} rows of {b} {o} each for {n}.",
    "{n} has {a} rows with {b} {o} in each.",
    "{n} fills {a} bags with {b} {o} each.",
    "{n} packs {b} {o} into each of {a} bags.",
    "Each of {a} friends gives {n} {b} {o}.",
    "{n} gets {b} {o} a day for {a} days.",
    "{n} gets {b} {o} from each of {a} friends.",
    "{n} packs {a} bags of {b} {o} each.",
)
QUESTIONS = (
    "How many {o} does {n} have now?",
    "How many {o} are there now?",
    "How many {o} does {n} have in the end?",
    "How many {o} are there in the end?",
    "How many {o} does {n} have?",
    "How many {o} is that?",
    "What is the number of {o} now?",
    "Count the {o} of {n} now.",
    "What is the number of {o} in the end?",
    "Count the {o} now.",
)


def one_step(rng: random.Random, split: str) -> tuple[str, str]:
    """A start and one change, or equal groups; results lie in 0..99."""
    event = rng.choice(("gain", "loss", "groups"))
    if event == "groups":
        a, b = rng.randint(2, 9), rng.randint(2, 9)
        return _render(rng, split, [(GROUPS, a, b)], [_working(a, "x", b)])
    a, b, symbol = _change(rng, rng.randint(2, 60), event)
    pool = GAINS if event == "gain" else LOSSES
    return _render(rng, split, [(OPENINGS, a, 0), (pool, 0, b)], [_working(a, symbol, b)])


def two_step(rng: random.Random, split: str) -> tuple[str, str]:
    """A start or equal groups, then two changes or one; results lie in 0..99."""
    parts: list[tuple[tuple[str, ...], int, int]] = []
    steps: list[str] = []
    if rng.random() < 1 / 3:
        a, b = rng.randint(2, 9), rng.randint(2, 9)
        parts.append((GROUPS, a, b))
        steps.append(_working(a, "x", b))
        total, changes = a * b, 1
    else:
        total, changes = rng.randint(4, 60), 2
        parts.append((OPENINGS, total, 0))
    for _ in range(changes):
        event = rng.choice(("gain", "loss"))
        _, b, symbol = _change(rng, total, event)
        parts.append((GAINS if event == "gain" else LOSSES, 0, b))
        steps.append(_working(total, symbol, b))
        total = total + b if symbol == "+" else total - b
    return _render(rng, split, parts, steps)


def _change(rng: random.Random, total: int, event: str) -> tuple[int, int, str]:
    """A change of `total` that keeps it in 0..99: `(total, amount, symbol)`."""
    if event == "gain":
        return total, rng.randint(1, max(1, min(39, 99 - total))), "+"
    return total, rng.randint(1, max(1, min(39, total))), "-"


def _working(a: int, symbol: str, b: int) -> str:
    result = {"+": a + b, "-": a - b, "x": a * b}[symbol]
    return f"{a} {symbol} {b} = {result}."


def _render(
    rng: random.Random, split: str, parts: list[tuple[tuple[str, ...], int, int]], steps: list[str]
) -> tuple[str, str]:
    name, thing = name_filler(rng, NAMES, split), name_filler(rng, THINGS, split, "s")
    name = name[:1].upper() + name[1:]
    sentences = [pick(rng, pool, split).format(n=name, o=thing, a=a, b=b) for pool, a, b in parts]
    sentences.append(pick(rng, QUESTIONS, split).format(n=name, o=thing))
    return " ".join(sentences), f"{' '.join(steps)} The answer is {last_number(steps[-1])}."


TASKS = (Task("one_step", one_step, last_number), Task("two_step", two_step, last_number))
EXAMPLES = (
    (
        "one_step",
        "Tom has 12 apples. Tom buys 5 more. How many apples does Tom have now?",
        "12 + 5 = 17. The answer is 17.",
    ),
    (
        "two_step",
        "Anna has 4 bags with 6 stamps in each. Anna sells 9. How many stamps are there now?",
        "4 x 6 = 24. 24 - 9 = 15. The answer is 15.",
    ),
)
