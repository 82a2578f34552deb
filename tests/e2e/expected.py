"""Values the page must show, computed by the library only."""

from functools import cache

from components.session.presets import first_session
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.generate import stream_reply
from dppa_core.models.reply import GenerationSettings
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.partition import even_levels
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.recipes.yaml_text import recipe_hash

BASE = "zoo:base"
ACTIVE = tuple(model.reference for model in first_session().active)
"""The domain models that take part in the merge the page opens with."""


@cache
def plan(domain: str, percent: int, partitions: int = 2) -> PruningPlan:
    """The exact plan of `zoo:<domain>` at a pruning rate in percent."""
    profile = cached_profile(BASE, f"zoo:{domain}")
    return plan_pruning(profile, even_levels(percent / 100, partitions))


def kept_percent(percent: int) -> float:
    """Share of all active models' module entries that is kept, in percent."""
    plans = [plan(reference.removeprefix("zoo:"), percent) for reference in ACTIVE]
    return 100 * sum(p.kept for p in plans) / sum(p.numel for p in plans)


@cache
def first_recipe() -> str:
    """The hash of the recipe the page opens with."""
    return recipe_hash(first_session().recipe())


def reply(prompt: str) -> str:
    """What the first preset's merge answers, at temperature 0."""
    resident = ModelPool().get(first_session().recipe())
    return list(stream_reply(resident, prompt, GenerationSettings()))[-1]


@cache
def long_question() -> tuple[str, int]:
    """A question, and the first seed whose answer by the math model takes a hundred tokens or more.

    The embedded models answer in a few words. A sum of forty steps at temperature 1.5 makes math
    ramble, so that there is time to stop it.
    """
    prompt = f"Tom has 12 apples. {'Tom buys 5 more. ' * 40}How many apples does Tom have now?"
    math = ModelPool().get("zoo:math")

    def length(seed: int) -> int:
        settings = GenerationSettings(256, 1.5, seed=seed)
        return sum(1 for _ in stream_reply(math, prompt, settings))

    found = next((seed for seed in range(12) if length(seed) >= 100), None)
    assert found is not None, "math answers in a few words whatever the seed"
    return prompt, found
