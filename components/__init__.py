"""The page: views over one frozen Session.

Knows dppa_core's public names, never a tensor.
"""

import sys

from components.stubs import WithoutStubs

sys.meta_path.insert(0, WithoutStubs())  # before anything here imports Gradio
