"""The answering process: `python -m dppa_core.answering FILE_DESCRIPTOR`.

It is started with the server, and imports behind it: on a busy machine the page comes first.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

IMPORT_NICENESS = 4
"""Niceness of the importing thread, added to that of the threads that answer."""


def main() -> None:
    """Import the worker, then serve over the socket whose number is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asking process ends this one
    first = threading.Thread(target=_import)
    first.start()
    first.join()
    from dppa_core.answering.worker import main as work  # noqa: PLC0415  (torch: in the thread)

    work()


def _import() -> None:
    if sys.platform == "linux":  # elsewhere this would hold for the process, for good
        os.nice(IMPORT_NICENESS)
    import dppa_core.answering.worker  # noqa: F401, PLC0415  (torch)


if __name__ == "__main__":
    main()
