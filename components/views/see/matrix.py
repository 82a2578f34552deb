"""Details of one matrix: sizes of its changes, its rows and columns, its pruning rate.
assets/js/plots/matrix.js draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.matrix import MatrixCloseup, look_closely
from dppa_core.progress import Stop
from dppa_core.pruning.rate_table import MAX_NAMES
from dppa_core.pruning.rate_table_of_matrix import cell_table, pack_cell
from dppa_core.system.recent import Recent

from ...session.json_form import asked_keys
from ...session.session import Session
from ...widgets.browser_parts import live
from ...widgets.controls import Controls
from ...widgets.runs import wire_part
from ...work.figures import settings_json
from ...work.kinds import DRILL, LOOKS
from ...work.studio import Studio
from .see import plan_of


@dataclass(frozen=True, slots=True)
class CellChoice:
    """A cell of a model."""

    model: str
    layer: int
    kind: str


def add_matrix(controls: Controls, studio: Studio) -> None:
    """Add a hidden part, which requests and carries the details of a matrix."""
    drill, cache = live("drill", None, events=("look",)), Recent(100)

    def on_closeup(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        return drill_payload(session, read_cell(values[drill], session), studio, cache)

    wire_part(drill, drill.look, on_closeup, controls.inputs | {drill}, LOOKS)


def read_cell(value: object, session: Session) -> CellChoice:
    """Read {"model", "layer", "kind"}; InvalidValue if the model is not in the list."""
    fields = asked_keys(value, model=str, layer=int, kind=str)
    if fields["model"] not in {model.reference for model in session.models}:
        raise InvalidValue(f"{fields['model']!r:.80} is not in the list of models.")
    return CellChoice(fields["model"], fields["layer"], fields["kind"])


def drill_payload(
    session: Session, cell: CellChoice, studio: Studio, cache: Recent
) -> Iterator[dict[str, Any]]:
    """Yield the cell from the profile at once, then its rows and columns, read in a thread."""
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
    if len(table.modules) > MAX_NAMES:
        yield {**value, "lines": []}
        return
    yield {**value, "lines": None}
    plan = plan_of(session, cell.model, studio)
    selections = {item.name: item.levels[-1].selection for item in plan.modules} if plan else {}
    key = (session.base, cell, ranked_by, tuple(map(selections.get, table.modules)))
    lines = cache.find(key)
    if lines is None:

        def look(name: str, stop: Stop) -> dict[str, Any]:
            closeup = look_closely(
                *(session.base, cell.model, name, selections.get(name)),
                significance=ranked_by,
                public=studio.public,
                stop=stop,
            )
            return _lines(closeup)

        work = studio.finished(DRILL, lambda stop: [look(name, stop) for name in table.modules])
        lines = cache.keep(key, work)
    yield {**value, "lines": lines}


def _lines(closeup: MatrixCloseup) -> dict[str, Any]:
    rows, columns = (list(map(astuple, lines)) for lines in (closeup.rows, closeup.columns))
    return {"module": closeup.module, "shape": closeup.shape, "rows": rows, "columns": columns}
