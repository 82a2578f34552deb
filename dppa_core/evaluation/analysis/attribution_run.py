"""The loss of an answer without the delta of one layer or module at a time.

The merge in memory is never changed: a `Shell` over it replaces some tensors by the base's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.errors import InvalidValue, many
from dppa_core.evaluation.analysis.attribution import Attribution, Effect, TensorGroup, parts_of
from dppa_core.merging.inputs import merge_base, with_dtype
from dppa_core.models.answer_loss import Exchange, own_replies, reply_logits, surprise
from dppa_core.models.decode import answer_ids, end_ids, prompt_ids, room, text_of
from dppa_core.models.devices import free_room, lend
from dppa_core.models.overlay import Shell
from dppa_core.models.parameter_views import to_torch, weighs
from dppa_core.models.reply import check_text
from dppa_core.models.resident import Resident, check_whole
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.pruning.floats import FLOATS
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.byte_sizes import memory_budget

_MERGES_WITH_BASE = 3
"""Memory of a merge with all weights of its base, as a multiple of the merge's own."""
MAX_ANSWER_TOKENS = 96
"""Longest answer of the merge itself."""


def attribute(
    recipe: MergeRecipe,
    resident: Resident,
    prompt: str,
    answer: str | None = None,
    *,
    by: str = "layer",
    public: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Attribution:
    """Measure the loss of one answer without each part's delta in turn.

    A part without its delta has the base's weights, as with coefficient 0 in the recipe.

    Args:
        resident: The merge in memory; it is not changed and may answer others meanwhile.
        prompt: 1 to 2000 characters, rendered with the chat template.
        answer: 1 to 2000 characters; the merge's own greedy answer if None.
        by: "layer" or "module".

    Raises:
        InvalidValue: a text is empty or too long, or `by` is unknown.
        OutOfBudget: the merge is larger than the budget of memory.
        IncompatibleCheckpoints: a tensor cannot be replaced in memory.
        NonFiniteWeights: the model's outputs are not finite.
        Cancelled: `stop` was set.
    """
    check_whole(resident, "Attribution")
    check_text("prompt", prompt, "Type a question first.")
    if answer is not None:
        check_text("answer", answer, "Leave it out for the merge's own.")
    base = merge_base(recipe, public=public, stop=stop)
    shapes = _delta_shapes(base)
    parts = parts_of(shapes, by)
    check(stop)
    report(progress, 0, len(parts), "the answer")
    with lend(resident, exact=True) as placed:
        exchange = _exchange(placed, prompt, answer, stop)
        merge = _PartialMerge(recipe, base, Shell(placed.model, shapes), exchange)
        loss = merge.loss(())
        effects = tuple(_effects(merge, parts, loss, progress, stop))
        check(stop)
        base_loss = merge.loss(tuple(shapes)) if _holds_base_too(placed) else None
    report(progress, len(parts), len(parts), "done")
    return Attribution(
        recipe=recipe_hash(recipe),
        prompt=prompt,
        answer=_text(resident, exchange) if answer is None else answer,
        own=answer is None,
        tokens=len(exchange.reply),
        by=by,
        loss=loss,
        base_loss=base_loss,
        effects=effects,
    )


def _delta_shapes(base: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that have a delta."""
    shapes = {name: base.shape(name) for name in base.names() if base.dtype(name) in FLOATS}
    return {name: shape for name, shape in shapes.items() if weighs(name, base.dtype(name), shape)}


def _effects(
    merge: _PartialMerge,
    parts: Sequence[TensorGroup],
    loss: float,
    progress: Progress | None,
    stop: Stop | None,
) -> Iterator[Effect]:
    for number, part in enumerate(parts):
        check(stop)
        report(progress, number, len(parts), part.name)
        without = merge.loss(part.tensors)
        yield Effect(part, without, without - loss)


def _holds_base_too(merge: Resident) -> bool:
    return free_room(merge) and _MERGES_WITH_BASE * merge.nbytes <= memory_budget()


def _exchange(resident: Resident, prompt: str, answer: str | None, stop: Stop | None) -> Exchange:
    ids = tuple(prompt_ids(resident, prompt))
    if answer is None:
        return own_replies(resident, [ids], longest=MAX_ANSWER_TOKENS, stop=stop)[0]
    reply, most = tuple(answer_ids(resident, answer)), room(resident.model, len(ids))
    if len(reply) > most:
        raise InvalidValue(
            f"The answer takes {many(len(reply), 'token')}, and after this prompt the model "
            f"reads at most {most}. Shorten one of them."
        )
    return Exchange(ids, reply)


def _text(resident: Resident, exchange: Exchange) -> str:
    ends = end_ids(resident.model, resident.tokenizer)
    return text_of(resident.tokenizer, [token for token in exchange.reply if token not in ends])


class _PartialMerge:
    """A merge in memory, some of whose tensors may be the base's."""

    def __init__(
        self, recipe: MergeRecipe, base: Checkpoint, shell: Shell, exchange: Exchange
    ) -> None:
        self._base, self._shell, self._exchange = base, shell, exchange
        self._dtype: torch.dtype = getattr(torch, with_dtype(recipe, base).dtype)

    def loss(self, without: Sequence[str]) -> float:
        """Mean negative log-likelihood of the answer with these tensors from the base."""
        with torch.inference_mode(), self._shell.holding(self._of_base(without)):
            losses = surprise(*reply_logits(self._shell.model, [self._exchange]))
            return float(losses.double().mean())

    def _of_base(self, names: Sequence[str]) -> Mapping[str, Tensor]:
        """The base's tensors rounded to the recipe's dtype, as in a merge with coefficient 0."""
        base = self._base
        return {
            name: to_torch(base.dtype(name), base.shape(name), base.raw(name)).to(self._dtype)
            for name in names
        }
