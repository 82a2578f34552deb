"""Make the experiments' page, its plots and the app's file from a finished run.

python scripts/experiments.py out/experiments     (make experiments)
python scripts/experiments.py --page              page and plots only, from the app's file
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS, ASSET = ROOT / "docs", ROOT / "assets" / "data" / "experiments.json"


def main() -> None:
    """Write all three."""
    sys.path.insert(0, str(ROOT))
    from dppa_core.studies.experiments.page.text import write_page  # noqa: PLC0415
    from dppa_core.studies.experiments.runner import RESULT  # noqa: PLC0415  (the path first)
    from dppa_core.studies.experiments.values import report_of  # noqa: PLC0415

    if sys.argv[1] != "--page":
        ASSET.write_text((Path(sys.argv[1]) / RESULT).read_text("utf-8"), "utf-8")
    write_page(report_of(json.loads(ASSET.read_text("utf-8"))), DOCS)


if __name__ == "__main__":
    main()
