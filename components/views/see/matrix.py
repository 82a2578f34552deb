"""Details of one matrix: sizes of its changes, its rows and columns, its own rate.
assets/js/plots/matrix.js draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.matrix import MatrixCloseup, look_closely
from dppa_core.progress import Stop
from dppa_core.pruning.rate_table import FEW
from dppa_core.pruning.rate_table_of_matrix import cell_table, pack_cell
from dppa_core.system.recent import Recent

from ...session.json_form import asked_keys
from ...session.session import Session
from ...widgets.browser_parts import live
from ...widgets.controls import Controls
from ...widgets.runs import wire_part
from ...work.figures import settings_json
from ...work.studio import Studio
from .see import plan_of


@dataclass(frozen=True, slots=True)
class CellChoice:
    """A cell of a model."""

    model: str
    layer: int
    kind: str


def add_matrix(controls: Controls, studio: Studio) -> None:
    """A hidden part, which requests and carries the details of a matrix."""
    drill, looks = live("drill", None, events=("look",)), Recent(100)

    def on_closeup(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        return drill_payload(session, wanted(values[drill], session), studio, looks)

    turns = {"concurrency_id": "look", "concurrency_limit": 2}
    wire_part(drill, drill.look, on_closeup, controls.inputs | {drill}, turns)


def wanted(value: object, session: Session) -> CellChoice:
    """Read {"model", "layer", "kind"}; InvalidValue if it is no cell of a model in the list."""
    asked = asked_keys(value, model=str, layer=int, kind=str)
    if asked["model"] not in {one.reference for one in session.models}:
        raise InvalidValue(f"{asked['model']!r:.80} is not in the list of models.")
    return CellChoice(asked["model"], asked["layer"], asked["kind"])


def drill_payload(
    session: Session, cell: CellChoice, studio: Studio, looks: Recent
) -> Iterator[dict[str, Any]]:
    """The cell from the profile at once, then its rows and columns, read in a thread."""
    ranked_by = session.ranked_by
    profile = studio.profile(session.base, cell.model, ranked_by)
    table = cell_table(profile, cell.layer, cell.kind)
    value = {
        "model": cell.model,
        "layer": cell.layer,
        "kind": cell.kind,
        "settings": settings_json(session),
        **pack_cell(table),
    }
    if len(table.modules) > FEW:
        yield {**value, "lines": []}
        return
    yield {**value, "lines": None}
    plan = plan_of(session, cell.model, studio)
    chosen = {item.name: item.levels[-1].selection for item in plan.modules} if plan else {}
    key = (session.base, cell, ranked_by, tuple(chosen.get(name) for name in table.modules))
    found = looks.find(key)
    if found is None:

        def look(name: str, stop: Stop) -> MatrixCloseup:
            return look_closely(
                session.base,
                cell.model,
                name,
                chosen.get(name),
                significance=ranked_by,
                public=studio.public,
                stop=stop,
            )

        found = studio.finished(
            "drill", lambda stop: [_lines(look(m, stop)) for m in table.modules]
        )
        looks.keep(key, found)
    yield {**value, "lines": found}


def _lines(found: MatrixCloseup) -> dict[str, Any]:
    rows, columns = (
        [[line.index, line.share, line.kept] for line in lines]
        for lines in (found.rows, found.columns)
    )
    return {"module": found.module, "shape": found.shape, "rows": rows, "columns": columns}
