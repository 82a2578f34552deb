"""DPPA Studio: builds the page and serves it; nothing else."""

import gc
import sys

gc.disable()  # a start makes 300,000 objects, and they stay: garbage is looked for later

from components.ending import until_told  # noqa: E402
from components.logs import start_log  # noqa: E402
from components.settings import read_settings  # noqa: E402
from components.workbench import build_page, start  # noqa: E402
from dppa_core.errors import DppaError  # noqa: E402


def main() -> None:
    """Serve until interrupted or terminated."""
    try:
        settings = read_settings()
    except DppaError as error:
        sys.exit(str(error))
    start_log(settings.log)
    page = build_page()
    start(page, settings)
    gc.freeze()
    gc.enable()
    until_told(page)


if __name__ == "__main__":
    main()
