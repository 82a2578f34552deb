"""What `make bench-abuse` measures and writes; the attacks themselves need a server and minutes."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.abuse import attacks, collisions
from benchmarks.abuse.report import text
from benchmarks.load.tab import Layout, Tab
from benchmarks.load.visitor import Observations, Visitor
from dppa_core.recipes.yaml_text import recipe_hash

STANDING = {"threads": 20, "bytes": 800 * 2**20, "first_token": 100.0}


def attack_results(**changed: Any) -> dict[str, Any]:
    """A result by hand, of every attack; the first one's row is changed."""
    row = {
        "seconds": 33.0,
        "requests": 1200,
        "answers": {"200": 1000, "429": 200},
        "slider": {"count": 100, "p50": 9.0, "p95": 240.0, "p99": 900.0},
        "slowest": 1500.0,
        "slider_failed": 0,
        "asked": 3,
        "wrong": 0,
        "answered": 3,
        "first_token": 9000.0,
        "exported": True,
        "full": 0,
        "peak": 1.5e9,
        "before": STANDING,
        "after": STANDING | {"first_token": 120.0},
    }
    rows = [row | {"attack": name} for name in attacks.ATTACKS]
    rows[0] |= changed
    return {"machine": "a machine", "versions": {"gradio": "6"}, "rows": rows}


def test_every_attack_is_listed() -> None:
    source = ast.parse(Path(attacks.__file__).read_text("utf-8"))
    rounds = {
        node.name
        for node in source.body
        if isinstance(node, ast.AsyncFunctionDef) and node.args.args[0].arg == "client"
    }
    assert rounds == set(attacks.ATTACKS) and len(rounds) == 11


@pytest.mark.parametrize(
    ("changed", "cells"),
    [
        ({"slider": {"p95": 251.0}}, "95 % of sliders | ✗ 251 ms | 250 ms"),
        ({"first_token": 10_001.0}, "first token | ✗ 10001 ms | 10000 ms"),
        ({"slider_failed": 2}, "failed or wrong | ✗ 2 | 0"),
        ({"answered": 1}, "failed or wrong | ✗ 2 | 0"),
        ({"wrong": 2}, "failed or wrong | ✗ 2 | 0"),
        ({"exported": False}, "failed or wrong | ✗ 1 | 0"),
        ({"peak": 2.01e9}, "memory | ✗ 2.01 GB | 2.00 GB"),
        ({"after": STANDING | {"threads": 105}}, "later: threads | ✗ 105 | 104"),
        ({"after": STANDING | {"bytes": 951 * 2**20}}, "later: more memory | ✗ 151 MiB | 150 MiB"),
        ({"after": STANDING | {"first_token": 351.0}}, "slower first token | ✗ 251 ms | 250 ms"),
        ({"after": STANDING | {"first_token": None}}, "slower first token | ✗ inf ms | 250 ms"),
    ],
)
def test_the_worst_of_all_attacks_is_told_with_its_attack(
    changed: dict[str, Any], cells: str
) -> None:
    assert "in 11 attacks" in text(attack_results()) and "✗" not in text(attack_results())
    table, attack = text(attack_results(**changed)), next(iter(attacks.ATTACKS)).replace("_", " ")
    assert table.count("✗") == 1 and f"{cells} | {attack} |" in table


def test_the_first_token_of_a_question_is_not_one_of_the_question_before() -> None:
    turns = [{"id": "first", "answers": [{"state": "done"}]}]
    tab = Tab("http://127.0.0.1", Layout({}, {}, {"transcript": 1}))
    visitor = Visitor(tab, Observations(), 0)
    tab.values[1] = json.dumps({"turns": turns})
    assert visitor.answered_since(None) and not visitor.answered_since("first")
    turns.append({"id": "second", "answers": [{"state": "waiting", "tokens": 0}]})
    tab.values[1] = json.dumps({"turns": turns})
    assert not visitor.answered_since("first")
    turns[-1]["answers"][0]["tokens"] = 1
    tab.values[1] = json.dumps({"turns": turns})
    assert visitor.answered_since("first")


def test_the_recipes_of_the_attack_collide() -> None:
    good, bad = collisions.colliding()
    assert collisions.collide(good, bad) and recipe_hash(good) != recipe_hash(bad)


def test_two_recipes_that_collide_are_found_and_answer_differently() -> None:
    first, second = collisions.search(digits=5, seeds=2**12)
    good, bad = collisions.good(first), collisions.bad(second)
    assert collisions.collide(good, bad, 5) and recipe_hash(good) != recipe_hash(bad)
    assert all(any(model.amplification) for model in good.models)
    assert not any(any(model.amplification) for model in bad.models)


def test_a_hash_is_computed_as_the_library_does() -> None:
    text = collisions.before_seed(collisions.good(0))
    (digits,) = collisions.leading_digits(text, start=41, seeds=1)
    assert f"{digits:016x}"[:12] == recipe_hash(collisions.good(41))[:12]
