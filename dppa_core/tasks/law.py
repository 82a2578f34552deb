"""Contract clauses, consumer terms and holdings."""

from __future__ import annotations

import random
from functools import partial

from dppa_core.tasks.items import (
    OPEN,
    Task,
    fillers,
    letter_in_brackets,
    made_up,
    name_filler,
    only_label,
    pick,
    wordings,
)

PARTIES = (
    "buyer seller tenant landlord client vendor lender borrower agent owner supplier customer "
    "licensee employer contractor worker insurer carrier trustee partner builder dealer broker "
    "publisher author"
).split()
ENDINGS = ("er", "or", "ee", "ant", "ord", "ist")
"""Endings of made-up parties."""
DAYS = ("10", "14", "20", "21", "28", "30", "45", "60", "7", "90")
PLACES = (
    "Ohio Kent Bern Oslo Texas Wales Delhi Turin Lagos Quebec Utah York Graz Lyon Porto Maine "
    "Basel Perth Cairo Lima"
).split()

CLAUSES = {
    "termination": (
        "Either party may end this contract with {d} days of notice.",
        "The {a} may end this contract if the {b} is in breach.",
        "This contract ends {d} days after a written notice of the {a}.",
        "This contract ends when the {a} gives {d} days of notice.",
        "The {a} or the {b} may end this contract by written notice.",
    ),
    "confidentiality": (
        "The {a} must keep all information of the {b} secret.",
        "Neither party may show secret information to others.",
        "The {a} will not show the information of the {b} to others.",
        "The {a} keeps secret all information of the {b}.",
        "Secret information of the {b} must be kept by the {a}.",
    ),
    "payment": (
        "The {a} pays the price within {d} days of the invoice.",
        "The {a} must pay each invoice of the {b} in {d} days.",
        "The price is due {d} days after the invoice.",
        "Each invoice is due within {d} days.",
        "The {a} pays the {b} within {d} days of each invoice.",
    ),
    "liability": (
        "The {a} is not liable for any loss of the {b}.",
        "Neither party is liable for indirect damage.",
        "The {a} is liable for damage only up to the price.",
        "The {a} is liable only for direct damage.",
        "The {a} is not liable for indirect loss or damage of the {b}.",
    ),
    "law": (
        "This contract is governed by the laws of {p}.",
        "The courts of {p} decide all disputes.",
        "The laws of {p} apply to this contract.",
        "All disputes are governed by the laws of {p}.",
        "The laws and courts of {p} decide all disputes.",
    ),
    "warranty": (
        "The {a} warrants that the goods have no defects.",
        "The goods are free of defects for {d} days.",
        "The {a} warrants the goods for {d} days.",
        "The {a} warrants the goods to be free of defects.",
        "The {a} warrants for {d} days that the goods are free of defects.",
    ),
    "assignment": (
        "The {a} may not transfer this contract to others.",
        "Neither party may assign its rights without consent.",
        "The {a} may assign its rights with the consent of the {b}.",
        "The {a} may not assign this contract without consent.",
        "Neither party may transfer its rights without consent of the other.",
    ),
}
CLAUSE_QUESTIONS = (
    "Clause: {c} What type of clause is it?",
    "{c} Which type of clause is this?",
    "What type of clause is this? {c}",
    "Name the type of this clause: {c}",
    "Clause: {c} Name the type of this clause.",
    "Read this clause. {c} What is its type?",
    "Which type of clause is it? {c}",
    "{c} Name the type.",
    "Clause: {c} Which type is it?",
    "{c} What type of clause is this?",
)

DEEDS = (
    "may change the price",
    "may close the account of the {a}",
    "may keep the deposit of the {a}",
    "may raise the fees",
    "may change these terms",
    "may stop the service",
    "may charge the card of the {a}",
    "may change the service",
    "may raise the price",
    "may change the fees",
)
HARSH = (
    "at any time without notice",
    "without giving a reason",
    "as it alone sees fit",
    "without the consent of the {a}",
    "without notice",
    "without any notice or reason",
    "at any time as it sees fit",
    "without notice or consent",
    "at any time without a reason",
    "without giving any notice",
)
MILD = (
    "after {d} days of written notice",
    "only with the consent of the {a}",
    "only for a good reason and with notice",
    "if the {a} agrees",
    "after {d} days of notice to the {a}",
    "only after a written notice",
    "if the {a} agrees in writing",
    "only with {d} days of notice",
    "only if the {a} agrees",
    "with the written consent of the {a}",
)
TERM_QUESTIONS = (
    "Term: {t} Is the term fair or unfair?",
    "{t} Is this term fair or unfair?",
    "Is this term fair or unfair? {t}",
    "Judge this term: {t}",
    "Term: {t} Is that fair or unfair?",
    "Judge whether this term is fair: {t}",
    "{t} Fair or unfair?",
    "Term: {t} Fair or unfair?",
    "{t} Judge this term.",
    "Is the term fair or unfair? {t}",
)

CASES = (
    (
        ("The {a} kept the deposit.", "The {b} paid a deposit and the {a} kept it."),
        "the deposit must be returned",
    ),
    (
        ("The {a} delivered the goods late.", "The goods of the {a} came {d} days late."),
        "the delay was a breach",
    ),
    (
        (
            "The {a} used a photo of the {b} in a book.",
            "A book of the {a} shows a photo of the {b}.",
        ),
        "the use of the photo needs a licence",
    ),
    (
        ("The {a} signed under a threat.", "The {b} made a threat and the {a} signed."),
        "the contract is void for duress",
    ),
    (
        ("The {a} dismissed a worker who was ill.", "A worker was ill and the {a} dismissed him."),
        "the dismissal was unlawful",
    ),
    (
        ("The {a} fell on a wet floor of the {b}.", "On a wet floor of the {b} the {a} fell."),
        "the owner of the floor was careless",
    ),
    (
        ("The {a} sold a car with bad brakes.", "The car that the {a} sold had bad brakes."),
        "the car was defective",
    ),
    (
        ("The {a} told a secret of the {b}.", "A secret of the {b} was told by the {a}."),
        "the duty of secrecy was broken",
    ),
)
HOLDING_QUESTIONS = (
    "Facts: {f} Which holding fits? (A) {x}. (B) {y}.",
    "{f} Choose the holding: (A) {x}. (B) {y}.",
    "{f} Which holding fits? (A) {x}. (B) {y}.",
    "Choose the holding. {f} (A) {x}. (B) {y}.",
    "Facts: {f} Choose the holding: (A) {x}. (B) {y}.",
)


def parties(rng: random.Random, split: str) -> dict[str, str]:
    """Two different parties, a place and a term in days, as template fields."""
    if split == OPEN:
        a, b = made_up(rng, rng.choice(ENDINGS)), made_up(rng, rng.choice(ENDINGS))
    else:
        a, b = rng.sample(list(fillers(PARTIES, split)), 2)
    place, days = name_filler(rng, PLACES, split), rng.choice(DAYS)
    return {"a": a, "b": b, "p": place[:1].upper() + place[1:], "d": days}


def clause(rng: random.Random, split: str) -> tuple[str, str]:
    """Ask the type of a contract clause."""
    kind = rng.choice(list(CLAUSES))
    text = rng.choice(_clauses(kind, split)).format(**parties(rng, split))
    return pick(rng, CLAUSE_QUESTIONS, split).format(c=text), f"It is a {kind} clause."


def fairness(rng: random.Random, split: str) -> tuple[str, str]:
    """Ask if a consumer term is fair."""
    verdict, pool = rng.choice((("unfair", HARSH), ("fair", MILD)))
    who = parties(rng, split)
    text = f"The {who['b']} {pick(rng, DEEDS, split)} {pick(rng, pool, split)}.".format(**who)
    return pick(rng, TERM_QUESTIONS, split).format(t=text), f"The term is {verdict}."


def holding(rng: random.Random, split: str) -> tuple[str, str]:
    """Ask which of two holdings fits the facts."""
    (facts, right), (_, wrong) = rng.sample(CASES, 2)
    text = rng.choice(facts).format(**parties(rng, split))
    letter = rng.choice("AB")
    x, y = (right, wrong) if letter == "A" else (wrong, right)
    question = pick(rng, HOLDING_QUESTIONS, split).format(f=text, x=x, y=y)
    return question, f"Holding ({letter}): {right}."


def _clauses(kind: str, split: str) -> list[str]:
    """Wordings of a clause; those without a party serve training only, or splits would meet."""
    return [
        text
        for text in wordings(CLAUSES[kind], split)
        if split in ("train", OPEN) or any(field in text for field in ("{a}", "{b}", "{p}"))
    ]


TASKS = (
    Task("clause", clause, partial(only_label, labels=tuple(CLAUSES))),
    Task("fairness", fairness, partial(only_label, labels=("fair", "unfair"))),
    Task("holding", holding, letter_in_brackets),
)
EXAMPLES = (
    (
        "clause",
        "Clause: Either party may end this contract with 30 days of notice. "
        "What type of clause is it?",
        "It is a termination clause.",
    ),
    (
        "fairness",
        "Term: The vendor may change the price at any time without notice. "
        "Is the term fair or unfair?",
        "The term is unfair.",
    ),
    (
        "holding",
        "Facts: The landlord kept the deposit. Which holding fits? "
        "(A) the delay was a breach. (B) the deposit must be returned.",
        "Holding (B): the deposit must be returned.",
    ),
)
