"""Settings of AdaMerging, with titles, texts and ranges."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dppa_core.errors import InvalidRecipe, InvalidValue, shown
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.parameter_fields import check_fields, choice, number, whole_number
from dppa_core.recipes.yaml_text import MergeRecipe


@dataclass(frozen=True, slots=True)
class AdaMergeSettings:
    """Settings of AdaMerging (arXiv:2310.02575); the defaults are the paper's where it has one."""

    per: str = choice(
        "model",
        title="One coefficient per",
        text="model: one for each domain model (task-wise). layer: one for each domain model and "
        "transformer block (layer-wise); tensors outside the blocks have the mean of the blocks.",
        choices=("model", "layer"),
    )
    positions: str = choice(
        "teacher",
        title="Answer positions",
        text="Whose replies are read. teacher: each domain model's own greedy replies to the "
        "prompts of its domain. own: those of the merge, written anew at every step.",
        choices=("teacher", "own"),
    )
    objective: str = choice(
        "entropy",
        title="Objective",
        text="What is minimised at the answer positions. entropy: how unsure the merge is of the "
        "next token, as in the paper. surprise: how unexpected the reply's own token is "
        "(cross-entropy); with the domain models' replies it imitates them. experts: how far its "
        "next-token distributions and hidden states are from each domain model's (Expert Merging, "
        "arXiv:2509.25712).",
        choices=("entropy", "surprise", "experts"),
    )
    pull: float = number(
        0.01,
        title="Pull",
        text="Of the objective experts: weight of the coefficients' mean distance from the start.",
        span=(0.0, 10.0, 0.01),
    )
    balance: str = choice(
        "mean",
        title="Balance",
        text="How the domains make one objective. mean: the mean of theirs, as in the paper. "
        "relative: the mean of the logarithms, so that a domain with a large one does not outweigh "
        "the others.",
        choices=("mean", "relative"),
    )
    start: float = number(
        0.3,
        title="Start",
        text="Every coefficient before the first step.",
        unit="x",
        span=(-10.0, 10.0, 0.05),
    )
    lr: float = number(
        1e-3,
        title="Learning rate",
        text="Of Adam: about the change of a coefficient in one step.",
        span=(1e-6, 1.0, 1e-3),
    )
    steps: int = whole_number(
        500, title="Steps", text="Steps of Adam.", unit="steps", span=(1, 100_000)
    )
    batch: int = whole_number(
        16, title="Batch", text="Prompts of each domain in a step.", unit="prompts", span=(1, 512)
    )
    together: int = whole_number(
        16,
        title="Together",
        text="Prompts computed together; fewer need less memory.",
        unit="prompts",
        span=(1, 512),
    )
    prompts: int = whole_number(
        200,
        title="Prompts",
        text="Unlabelled prompts of each domain that batches are drawn from.",
        unit="prompts",
        span=(1, 100_000),
    )
    held_out: int = whole_number(
        100,
        title="Held out",
        text="Items of each domain, with answers, that are scored at checkpoints.",
        unit="items",
        span=(1, 100_000),
    )
    every: int = whole_number(
        50, title="Every", text="Steps between two checkpoints.", unit="steps", span=(1, 100_000)
    )
    longest: int = whole_number(
        48, title="Longest reply", text="Tokens.", unit="tokens", span=(1, 4096)
    )
    patience: int = whole_number(
        3,
        title="Patience",
        text="Checkpoints in a row that may show a collapse before the run ends; 0 never ends it.",
        unit="checkpoints",
        span=(0, 1000),
    )
    seed: int = whole_number(0, title="Seed", text="Of the prompts in each batch.", span=(0, 2**53))
    project: bool = False
    """True if coefficients are put back into [0, 1] after every step."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not isinstance(self.project, bool):
            raise InvalidValue(f"project must be true or false, got {shown(self.project)}.")
        if self.project and not 0 <= self.start <= 1:
            raise InvalidValue(
                f"start must lie in [0, 1] where coefficients are put back there, got "
                f"{self.start:g}. Without --project they may go anywhere."
            )
        if self.batch > self.prompts:
            raise InvalidValue(
                f"batch must be at most prompts, {self.prompts}, got {self.batch}: a prompt is "
                "drawn once in a step."
            )


def with_coefficients(recipe: MergeRecipe, coefficients: list[list[float]]) -> MergeRecipe:
    """The recipe with other coefficients: for each model one number, or one per layer."""
    models = tuple(
        replace(model, coefficient=row[0] if len(row) == 1 else dict(enumerate(row)))
        for model, row in zip(recipe.models, coefficients, strict=True)
    )
    return replace(recipe, models=models)


def check_additive(recipe: MergeRecipe) -> None:
    """Raise InvalidRecipe for a method that is no sum of coefficient x delta."""
    method = get_method(recipe.method)
    combines, added = method.combination, [m.name for m in METHODS if m.treat and not m.replaces]
    if method.name in added or (combines and combines.adds(recipe.settings())):
        return
    allowed = ", ".join(added)
    raise InvalidRecipe(
        f"method {recipe.method}: AdaMerging finds coefficients of a sum of deltas, base + sum of "
        f"coefficient x delta; {recipe.method} combines deltas in another way. Allowed: {allowed}; "
        "lines; ties with divide: nothing, which adds up what agrees."
    )
