"""Overlap and conflict of domain models, counted in the background on request.

assets/js/plots/conflict.js and the heatmap draw it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from components.session.session import Session
from components.views.see.see import drawn_with
from components.work.figures import settings_json
from components.work.studio import Emit, Studio
from dppa_core.evaluation.analysis.overlap_pass import count_meetings
from dppa_core.progress import Stop
from dppa_core.pruning.density import Override
from dppa_core.pruning.overlap import pack_meetings


def conflict_payload(session: Session, studio: Studio) -> Iterator[dict[str, Any]]:
    """Count all pairs of the merged models, in a thread; closing the iterator stops it. Yields
    {"counting": progress} a few times a second, then the pairs (none for one model) and
    settings."""
    names, found = session.deciding, list[dict[str, Any]]()
    parameters = drawn_with(session, studio)
    held = {name: Override(rate) for name, rate in session.held}

    def work(emit: Emit, stop: Stop) -> None:
        def tell(done: int, total: int, what: str) -> None:
            emit((f"{what} ({done} of {total})",))

        meetings = count_meetings(
            session.base, names, parameters, held, public=studio.public, progress=tell, stop=stop
        )
        profile = studio.profile(session.base, names[0])
        found.extend(pack_meetings(profile, meetings))

    if len(names) > 1:
        job = studio.start("conflict", work)
        for batch in job.to_its_end(every=0.2):
            if batch:
                yield {"counting": str(batch[-1][0])}
    yield {"settings": settings_json(session), "models": list(names), "pairs": found}
