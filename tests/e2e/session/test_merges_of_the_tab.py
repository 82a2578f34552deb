"""The merge that the tab computes from the page's controls is the session's recipe."""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from components.session.presets import first_session
from components.session.session import Session
from components.session.state import session_from_state, state_of
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import MergeRecipe
from tests.e2e.page_driver import Studio

pytestmark = pytest.mark.tab

SESSIONS = 50 if os.environ.get("DPPA_CASES") == "all" else 6
MODELS = ("zoo:math", "zoo:finance", "zoo:law")
HASHES = """async (state) => {
    const {src} = document.querySelector('script[src$="entry.js"]');
    const [{adoptState}, {mergeNow, wishFor}] = await Promise.all(
        ['session/session_value.js', 'tab/words.js'].map(name => import(new URL(name, src))));
    adoptState(state);
    const merge = mergeNow();
    if (!merge) return null;
    const {manifest, copies: [[, bits]]} = await new Promise((resolve) =>
        wishFor('test', {merge, copies: ['merged']}, (message) => {
            if (message.kind === 'copies') resolve(message);
        }));
    let end = 0;
    return Promise.all(manifest.tensors.map(async ([, numel]) => {
        const hash = await crypto.subtle.digest('SHA-256', bits.subarray(end, end += numel));
        return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    }));
}"""


def random_state(rng: random.Random) -> dict[str, Any]:
    """What a visitor may set; some of it the tab does not know."""

    def model(reference: str) -> dict[str, Any]:
        coefficient = rng.choice([1, 1, 0, round(rng.uniform(-1, 2), 2)])
        row = {"ref": reference, "on": rng.random() < 0.8, "coefficient": coefficient}
        if rng.random() < 0.3:
            layers = [0, *sorted(rng.sample(range(1, 5), rng.randint(0, 3))), 5]
            row["curve"] = [[layer, round(rng.uniform(-1, 2), 2)] for layer in layers]
        return row

    partitions = rng.randint(1, 4)
    factors = lambda: [round(rng.uniform(0, 4), 2) for _ in range(rng.randint(1, 4))]  # noqa: E731
    method = rng.choice(["dppa"] * 4 + ["magnitude", "task_arithmetic", "dare", "ties"])
    values: dict[str, Any] = {}
    if method in ("dppa", "magnitude", "dare") and rng.random() < 0.5:
        values["other_tensors"] = rng.choice(["keep", "drop", "prune"])
    shares = sorted(rng.sample(range(1, 100), partitions - 1)) if rng.random() < 0.4 else []
    return {
        "v": 1,
        "base": "zoo:base",
        "models": [model(name) for name in rng.sample(MODELS, rng.randint(1, 3))],
        "rate": rng.choice([0, 0.99, round(rng.uniform(0, 0.99), 2)]),
        "partitions": partitions,
        **({"shares": [share / 100 for share in shares]} if shares else {}),
        "strength": round(rng.uniform(0, 0.3), 2),
        "k_layer": 3 if rng.random() < 0.9 else 4,
        "k_module": 5,
        "significance": "magnitude",
        "amplify": {
            "linked": rng.random() < 0.6,
            "factors": factors(),
            "own": {name: factors() for name in MODELS if rng.random() < 0.5},
        },
        "method": {"method": method, "values": values, "prune_first": False},
        **({"overrides": {"layers.3.mlp.down_proj": 0.5}} if rng.random() < 0.1 else {}),
    }


COUNTED: list[dict[str, Any]] = [
    {"overrides": {"layers.3.mlp.down_proj": 0.5}},
    {"k_layer": 4, "k_module": 2.5},
    {"method": {"method": "dppa", "values": {"scaling": "mean"}, "prune_first": False}},
    {
        "overrides": {"layers.0.self_attn.q_proj": 1.0},
        "method": {"method": "magnitude", "values": {"ties": "prune"}, "prune_first": False},
    },
]
"""Settings with which the tab asks the server for kept counts."""


def is_known(session: Session) -> bool:
    """Whether the tab must know the merge: as the documentation says."""
    method, others = session.method, dict(session.method.values).get("other_tensors")
    held = session.held and method.name not in ("dppa", "magnitude")
    pruned = others == "prune" and method.name != "dare"
    known = method.name in ("dppa", "magnitude", "task_arithmetic", "dare")
    return known and not pruned and not held and bool(session.deciding)


def hashes(recipe: MergeRecipe, folder: Path) -> list[str]:
    """SHA-256 of every tensor, in the order of names."""
    merge_to_folder(recipe, folder, sync=False)
    tensors = json.loads((folder / "merge.json").read_text("utf-8"))["tensors"]
    return [row["sha256"] for row in sorted(tensors, key=lambda row: row["name"])]


def test_the_tab_merges_what_the_controls_say_to_the_library_s_bytes(
    studio: Studio, tmp_path: Path
) -> None:
    studio.wait_models()
    studio.reusable = False
    compared = 0
    states = [random_state(random.Random(number)) for number in range(SESSIONS)]
    states += [state_of(first_session()) | counted for counted in COUNTED]
    for number, state in enumerate(states):
        session, ours = session_from_state(state), studio.page.evaluate(HASHES, state)
        assert (ours is not None) == is_known(session), (number, state)
        if ours is not None:
            assert ours == hashes(session.recipe(), tmp_path / str(number)), (number, state)
            compared += 1
    assert compared >= SESSIONS / 4 + len(COUNTED)
