"""The page: views over one frozen session; knows the library's public names, never a tensor.

Its packages in order; each imports only those before it:

    session      a visitor's choices as one value
    work         what all visitors share, and what runs in the background
    widgets      what every view is made of
    views        the columns of the page; none imports another
    learn        lessons
    server       how the page is served
    page         all of it together
"""

import sys

from components.server.stubs import WithoutStubs

sys.meta_path.insert(0, WithoutStubs())  # before anything here imports Gradio
