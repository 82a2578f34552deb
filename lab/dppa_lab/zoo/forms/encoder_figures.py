"""What each form keeps of published encoders, as figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def encoder_figures(record: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of `measure_encoders`: fractions, by model and form, and of each pair."""
    return {
        "texts": record["texts"],
        "models": {
            one["model"]: {
                "size": one["change"],
                "forms": {
                    form["store"]: {
                        "title": form["title"],
                        "share of bytes": form["nbytes"] / one["whole"],
                        "energy": form["energy"],
                        "kept": form["kept"],
                        "kept plain": form["kept plain"],
                        "factor": form["factor"],
                    }
                    for form in one["forms"]
                },
            }
            for one in record["models"]
        },
        "pairs": record["pairs"],
    }
