"""DPPA Studio: builds the page and serves it; nothing else."""

import gc
import sys

gc.disable()  # a start makes 300,000 objects, and they stay: garbage is looked for later

from components.server.logs import start_log  # noqa: E402
from components.server.settings import check_temporary_folder, read_settings  # noqa: E402
from components.work.malloc_and_gc import few_heaps, keep_what_is_there  # noqa: E402
from dppa_core.checkpoints.sources.open import open_checkpoint  # noqa: E402
from dppa_core.errors import DppaError  # noqa: E402


def main() -> None:
    """Serve until interrupted or terminated; what is set wrongly ends it with one line."""
    few_heaps()
    try:
        settings = read_settings()
        check_temporary_folder()
        open_checkpoint("zoo:base")  # nothing can be shown without it
        start_log(settings.log)
        # Gradio reads the environment too, and ends with a trace where it cannot.
        from components.page.workbench import build_page, start  # noqa: PLC0415
        from components.server.serving import until_told  # noqa: PLC0415

        page = build_page()
        start(page, settings)
    except DppaError as error:
        sys.exit(str(error))
    keep_what_is_there()
    until_told(page)


if __name__ == "__main__":
    main()
