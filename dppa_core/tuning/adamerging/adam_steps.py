"""A run of AdaMerging: steps of Adam, checkpoints, and its state."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from dppa_core.evaluation.scores import domain_score
from dppa_core.models.answer_loss import (
    Exchange,
    ReplyStates,
    distance,
    divergence,
    entropy,
    grouped,
    own_replies,
    reply_logits,
    reply_states,
    surprise,
)
from dppa_core.models.decode import end_ids, text_of
from dppa_core.models.resident import Resident
from dppa_core.progress import Stop, check
from dppa_core.pruning.coefficients import LARGEST_COEFFICIENT
from dppa_core.tuning.adamerging.model import Coefficients, TunableModel
from dppa_core.tuning.adamerging.replies import DomainTokens
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.snapshot import (
    DomainFigures,
    Snapshot,
    best_of,
    collapsed_in_a_row,
    has_collapsed,
)

COEFFICIENT_DECIMALS = 6
"""Decimals of coefficients in recipes; checkpoints score the rounded ones."""
LEAST_OBJECTIVE_NATS = 1e-6
"""Smallest objective used as a balance weight, in nats."""

_BOUNDS = -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT
Rows = tuple[tuple[float, ...], ...]
Groups = tuple[tuple[Exchange, ...], ...]
"""Prompts and replies, computed group by group."""


@dataclass(frozen=True, slots=True)
class RunState:
    """Everything the next step depends on, exact to the last bit, also as JSON."""

    step: int
    coefficients: Rows
    mean: Rows
    """Adam's running mean of the gradients."""
    mean_square: Rows
    """Adam's running mean of the squared gradients."""
    objectives: tuple[float, ...] = ()
    """The objective at every step done, in nats."""
    snapshots: tuple[Snapshot, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {**asdict(self), "snapshots": [snapshot.to_json() for snapshot in self.snapshots]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunState:
        """The state that `to_json` wrote; raises ValueError for anything else."""
        return TypeAdapter(cls).validate_python(value)


class Run:
    """A run in progress.

    Attributes:
        step: Steps done.
        objectives: The objective at each step.
        state: The state after the last complete step.
    """

    def __init__(
        self,
        weights: TunableModel,
        resident: Resident,
        scripts: Sequence[DomainTokens],
        settings: AdaMergeSettings,
        dtype: torch.dtype,
        begun: RunState | None = None,
        experts: Sequence[TunableModel] = (),
    ) -> None:
        self._weights, self._resident, self._dtype = weights, resident, dtype
        self._scripts, self._settings, self._experts = scripts, settings, experts
        first = begun.coefficients if begun else weights.start(settings.start)
        self._coefficients = torch.tensor(np.array(first), dtype=torch.float64)
        self._adam = torch.optim.Adam([self._coefficients], lr=settings.lr)
        self.step = begun.step if begun else 0
        self.objectives = list(begun.objectives) if begun else []
        self._snapshots = list(begun.snapshots) if begun else []
        if begun and begun.step:
            self._adam.state[self._coefficients] = {
                "step": torch.tensor(float(begun.step)),
                "exp_avg": torch.tensor(begun.mean, dtype=torch.float64),
                "exp_avg_sq": torch.tensor(begun.mean_square, dtype=torch.float64),
            }
        self.state = self._described()

    def goes_on(self) -> bool:
        """Return True if a step or checkpoint is left to do."""
        if self.is_checkpoint():
            return True
        return self.step < self._settings.steps and not self.ended_early()

    def ended_early(self) -> bool:
        """Return True if checkpoints in a row have shown a collapse."""
        patience = self._settings.patience
        return 0 < patience <= collapsed_in_a_row(self._snapshots)

    def is_checkpoint(self) -> bool:
        """Return True if a checkpoint is due at the current step."""
        due = self.step % self._settings.every == 0 or self.step >= self._settings.steps
        return due and (not self._snapshots or self._snapshots[-1].step < self.step)

    def take_snapshot(self, stop: Stop | None) -> Snapshot:
        """Score the merge on the held-out items."""
        rounded = self._coefficients.detach().numpy().round(COEFFICIENT_DECIMALS)
        self._weights.write(rounded, self._dtype)
        figures = {
            script.domain.name: score_domain(self._resident, script, self._settings, stop)
            for script in self._scripts
        }
        rows = tuple(map(tuple, rounded.tolist()))
        now = Snapshot(self.step, rows, figures)
        if self._snapshots:
            now = replace(now, collapsed=has_collapsed(now, best_of(self._snapshots)))
        self._snapshots.append(now)
        self.state = self._described()
        return now

    def advance(self, stop: Stop | None) -> None:
        """Do one step of Adam."""
        self._weights.write(self._coefficients.detach().numpy())
        drawn = [self._groups(script, stop) for script in self._scripts]
        by_expert = self._read_experts(drawn, stop)
        by_domain = list(map(self._objective, drawn, by_expert, repeat(stop)))
        gradient = sum(self._weight(value) * slope for value, slope in by_domain) / len(by_domain)
        away, pull = self._pull()
        gradient += pull
        self._coefficients.grad = torch.from_numpy(gradient)
        self._adam.step()
        low, high = (0.0, 1.0) if self._settings.project else _BOUNDS
        self._coefficients.clamp_(max(low, self._weights.least), high)
        self.objectives.append(away + sum(value for value, _ in by_domain) / len(by_domain))
        self.step += 1
        self.state = self._described()

    def _weight(self, value: float) -> float:
        """Weight of a domain's gradient: d log(x) = dx / x if domains are balanced."""
        return 1.0 if self._settings.balance == "mean" else 1 / max(value, LEAST_OBJECTIVE_NATS)

    def _pull(self) -> tuple[float, Coefficients]:
        """Of the objective experts: pull x mean of |coefficient - start|, and its gradient."""
        away = self._coefficients.detach().numpy() - self._settings.start
        weight = self._settings.pull if self._experts else 0.0
        return weight * float(np.abs(away).mean()), weight * np.sign(away) / away.size

    def _read_experts(
        self, drawn: Sequence[Groups], stop: Stop | None
    ) -> Sequence[Sequence[ReplyStates | None]]:
        """What each domain model computes of its domain's groups; None without experts."""
        if not self._experts:
            return [[None] * len(groups) for groups in drawn]
        read = []
        for expert, groups in zip(self._experts, drawn, strict=True):
            expert.write(expert.start(1.0))
            read.append([self._states(group, stop) for group in groups])
            expert.write(expert.start(0.0))  # tensors that the merge leaves alone
        self._weights.write(self._coefficients.detach().numpy())
        return read

    @torch.no_grad()
    def _states(self, group: Sequence[Exchange], stop: Stop | None) -> ReplyStates:
        check(stop)
        return reply_states(self._resident.model, group)

    def _objective(
        self, groups: Groups, read: Sequence[ReplyStates | None], stop: Stop | None
    ) -> tuple[float, Coefficients]:
        """One domain's mean objective over the positions of this step, and its gradient."""
        positions, total = sum(len(exchange.reply) for group in groups for exchange in group), 0.0
        with self._weights.gradient() as gradient:
            for group, expert in zip(groups, read, strict=True):
                check(stop)
                loss = self._losses(group, expert).sum() / positions
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
        return total, gradient

    def _losses(self, group: Sequence[Exchange], expert: ReplyStates | None) -> torch.Tensor:
        """The objective at every position."""
        if expert is not None:
            states = reply_states(self._resident.model, group)
            return divergence(states.logits, expert.logits) + distance(states, expert)
        logits, tokens = reply_logits(self._resident.model, group)
        if self._settings.objective == "entropy":
            return entropy(logits)
        return surprise(logits, tokens)

    def _groups(self, script: DomainTokens, stop: Stop | None) -> Groups:
        return tuple(grouped(self._drawn(script, stop), self._settings.together))

    def _drawn(self, script: DomainTokens, stop: Stop | None) -> Sequence[Exchange]:
        """This step's prompts of one domain; they depend only on seed, domain and step."""
        chance = random.Random(f"{self._settings.seed}/{script.domain.name}/{self.step}")
        rows = chance.sample(range(len(script.prompts)), self._settings.batch)
        if script.taught:
            return [script.taught[row] for row in rows]
        prompts = [script.prompts[row] for row in rows]
        return own_replies(self._resident, prompts, longest=self._settings.longest, stop=stop)

    def _described(self) -> RunState:
        kept = self._adam.state.get(self._coefficients) or {}
        nothing = torch.zeros_like(self._coefficients)
        return RunState(
            self.step,
            _rows(self._coefficients),
            _rows(kept.get("exp_avg", nothing)),
            _rows(kept.get("exp_avg_sq", nothing)),
            tuple(self.objectives),
            tuple(self._snapshots),
        )


def _rows(values: torch.Tensor) -> Rows:
    return tuple(map(tuple, values.detach().tolist()))


def score_domain(
    resident: Resident, script: DomainTokens, settings: AdaMergeSettings, stop: Stop | None = None
) -> DomainFigures:
    """Entropy, perplexity and accuracy on the held-out items of one domain."""
    read, accuracy = script.held_out_taught, None
    if script.domain.scored or not read:
        written = own_replies(resident, script.held_out, longest=settings.longest, stop=stop)
        read = read or written
        if script.domain.scored:
            accuracy = _accuracy(resident, script, written)
    unsure, _ = means(resident.model, read, settings.together)
    _, surprised = means(resident.model, script.references, settings.together)
    return DomainFigures(unsure, math.exp(surprised), accuracy, len(script.held_out))


def _accuracy(resident: Resident, script: DomainTokens, written: Sequence[Exchange]) -> float:
    ends = end_ids(resident.model, resident.tokenizer)
    texts = [
        text_of(resident.tokenizer, [token for token in exchange.reply if token not in ends])
        for exchange in written
    ]
    return domain_score(script.domain.held_out, texts).accuracy


@torch.inference_mode()
def means(model: Any, exchanges: Sequence[Exchange], together: int) -> tuple[float, float]:
    """Mean entropy, and mean negative log-likelihood of the replies, per position, in nats."""
    entropies, surprises, count = 0.0, 0.0, 0
    for group in grouped(exchanges, together):
        logits, tokens = reply_logits(model, group)
        entropies += float(entropy(logits).double().sum())
        surprises += float(surprise(logits, tokens).double().sum())
        count += len(tokens)
    return entropies / count, surprises / count
