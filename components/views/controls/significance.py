"""The choice of the score that ranks the changes, and the measuring that some scores need."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from components.session.session import Session
from components.work.studio import Emit, Studio
from dppa_core.progress import Stop
from dppa_core.pruning.density import PruningParameters


def build_significance(session: Session) -> gr.Radio:
    """The choice of the score."""
    about = PruningParameters.__dataclass_fields__["significance"].metadata
    return gr.Radio(
        list(about["choices"]),
        value=session.significance,
        label=about["title"],
        info="What ranks the changes. magnitude: their size. fisher and activation: their size "
        "times what the model does with them, measured once on questions of its own domain; that "
        "takes some seconds. random: a control, which should do worse.",
        elem_id="significance",
        buttons=[],
    )


def measuring(session: Session, studio: Studio) -> Iterator[str]:
    """Make the profiles of a session in their own thread; closing the iterator stops it. Yields the
    current step, a few times a second; nothing if all profiles are cached."""

    def work(emit: Emit, stop: Stop) -> None:
        def tell(done: int, total: int, what: str) -> None:
            emit((f"{what} ({done} of {total})" if total > 1 else what,))

        for model in session.models:
            studio.profile(
                session.base, model.reference, session.significance, progress=tell, stop=stop
            )

    job = studio.start("significance", work)
    for batch in job.to_its_end(every=0.2):
        if batch:
            yield str(batch[-1][0])
