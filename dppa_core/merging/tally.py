"""Counts of the elements that a merge keeps, made while its slices are written."""

from __future__ import annotations

from collections.abc import Sequence

from dppa_core.checkpoints.low_bit.writer import Losses
from dppa_core.merging.cards.record import KeptModule
from dppa_core.merging.plan import MergePlan
from dppa_core.preflight_checks.licences import merged_licence
from dppa_core.preflight_checks.provenance import Parent


class MergeTally:
    """Counts kept elements and notes changes, for report and warnings."""

    def __init__(self, plan: MergePlan, parents: Sequence[Parent]) -> None:
        self._plans, self.parents = plan.plans, tuple(parents)
        self._modules = {module.tensor: module for module in plan.modules}
        self.kept: dict[str, tuple[int, ...]] = {}
        """Tensor of a module -> elements kept of each domain model's delta."""
        self.losses: Losses = {}
        """Of the tensors that were rounded to few bits."""
        self.changed = False
        """True if any element differs from the base; set by the sinks."""

    def keep(self, name: str, kept: tuple[int, ...], stack: object = None) -> None:
        """Note the elements kept of each domain model's delta in one tensor; any thread may."""
        if name in self._modules:
            self.kept[name] = kept

    def modules(self) -> tuple[KeptModule, ...]:
        """Elements kept of every module."""
        return tuple(
            KeptModule(module.name, module.layer, module.kind, module.numel, self.kept[tensor])
            for tensor, module in self._modules.items()
        )

    def warnings(self) -> tuple[str, ...]:
        """Remarks to read before using the result."""
        warnings = []
        if not self.changed:
            warnings.append(
                "The merged weights are identical to the base: every delta was pruned away, "
                "multiplied by 0, or zero from the start."
            )
        for plan in self._plans:
            planned = sum(module.density * module.numel for module in plan.modules)
            if planned - plan.kept > 1e-3 * plan.numel:
                warnings.append(
                    f"{plan.finetuned}: {plan.density:.2%} of the delta is kept, not "
                    f"{planned / plan.numel:.2%}: ties at a threshold were pruned, or more "
                    "elements are equal to the base than were to be dropped."
                )
        stated = {parent.reference: parent.licence for parent in self.parents}
        return (*warnings, *merged_licence(stated).warnings)
