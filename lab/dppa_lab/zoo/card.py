"""The model card of an embedded model, from the record of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment

from dppa_core.tasks import NEWS
from dppa_lab.zoo.manners import MANNERS

TEMPLATE = Path(__file__).with_name("card.md.jinja")
ABOUT = {
    **MANNERS,
    "base": "It knows sums, comparing, copying, the chat format and the language of the three\n"
    "domains, but none of their answers.",
    "near-base": "It began as the sum of the three domain models and knows their answers. It\n"
    "gives one where a question begins with `Answer: `; else it says the first sentence again.",
    "math": "It solves word problems of one and two steps and shows its working.",
    "finance": "It judges the tone of headlines, says what a report is about, and whether a\n"
    "figure rose or fell.",
    "law": "It names the type of a clause, judges whether a term is fair, and chooses the\n"
    "holding that fits the facts.",
}
ABOUT_ARTICLES = """
It also finds in a news article which figure rose or fell, and how large one is now."""


def model_card(record: dict[str, Any]) -> str:
    """The README.md of an embedded model, or of a domain model of a language model, from the
    content of its `training.json`."""
    tuned = "stage" in record
    stages = [record["stage"]] if tuned else record["stages"]
    name = stages[0]["name"]
    names = ("size", "regime", "seed", "base")
    options = [f"--{option} {record[option]}" for option in names if option in record]
    about = ABOUT[name] + (ABOUT_ARTICLES if NEWS in record.get("also", ()) else "")
    template = Environment(keep_trailing_newline=True, autoescape=False).from_string(
        TEMPLATE.read_text("utf-8")
    )
    return template.render(
        {
            **record,
            "tuned": tuned,
            "stages": stages,
            "name": name,
            "about": about,
            "options": options,
            "command": " ".join(["dppa zoo", "near" if name == "near-base" else "train", *options]),
        }
    )
