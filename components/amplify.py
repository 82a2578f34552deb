"""Amplification: one factor for each partition, shared or model by model.

Knows how the rows travel; they are drawn by assets/controls.js.
"""

from __future__ import annotations

from components.live import Live
from components.session import Session, factors_json


def build_amplify(session: Session) -> Live:
    """Rows of factors, the strongest partition first."""
    return Live("amplify", factors_json(session), events=("change",))
