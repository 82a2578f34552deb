"""The page: views over one frozen session; uses the library's public names, never a tensor.

Its packages in order; each imports only those before it:

    session      a visitor's choices as one value
    work         services that all visitors share, and background work
    widgets      building blocks of the views
    views        the columns of the page; none imports another
    learn        lessons
    server       HTTP server: limits, queue, settings
    page         layout and wiring of all views
"""

import sys

from .server.stubs import WithoutStubs

sys.meta_path.insert(0, WithoutStubs())  # before anything here imports Gradio
