"""A Space that lends GPUs, imitated on a machine without one: run by test_gpu.py.

The package `spaces` and its forked processes are real. Its service (schedules and releases
GPUs) is simulated, and so is CUDA's PyTorch, which the package would patch.
"""

import json
import os
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Service(BaseHTTPRequestHandler):
    """Lends a GPU to everybody, or reports a used-up quota."""

    calls: Sequence[str] = ()
    refuses = False

    def do_POST(self) -> None:
        """Answer, and record the request."""
        path = self.path.partition("?")[0]
        Service.calls = (*Service.calls, path)
        lent = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "x", "allowToken": "t"}
        refused = path == "/schedule" and Service.refuses
        body = json.dumps({"left": 0, "wait": 60} if refused else lent).encode()
        self.send_response(429 if refused else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Ask a model as on such a Space; print the result as JSON in the last line."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["SPACES_ZERO_GPU"] = "true"
    os.environ["SPACES_ZERO_DEVICE_API_URL"] = f"http://127.0.0.1:{server.server_port}"
    import gradio as gr  # noqa: PLC0415  (after the variables)

    assert gr.Blocks
    sys.modules["torch"] = None  # type: ignore[assignment]  (the package then patches nothing)
    import spaces  # noqa: PLC0415

    assert spaces.GPU
    del sys.modules["torch"]
    sys.stdout.write(f"\n{json.dumps(try_replies())}\n")


def try_replies() -> dict[str, Any]:
    """A reply from another process, and replies that are stopped, refused or fail."""
    from components.work.lent_gpu import LentGpu  # noqa: PLC0415
    from dppa_core.errors import Cancelled, DppaError, Unreachable  # noqa: PLC0415
    from dppa_core.merging.in_memory.model_pool import ModelPool  # noqa: PLC0415
    from dppa_core.models.decode import token_steps  # noqa: PLC0415
    from dppa_core.models.generate import stream_tokens  # noqa: PLC0415
    from dppa_core.models.reply import GenerationSettings  # noqa: PLC0415
    from dppa_core.system.machine import on_zero  # noqa: PLC0415

    steps = token_steps
    resident, prompt = ModelPool().get("zoo:math"), "What is 12 + 5?"
    settings = GenerationSettings(temperature=1, seed=3)
    expected = list(stream_tokens(resident, prompt, settings))
    assert on_zero()
    small = LentGpu()
    outcomes: dict[str, Any] = {
        "small": list(small.replies(resident, prompt, settings, None, steps)) == expected,
        "small_calls": len(Service.calls),
    }
    lent = LentGpu(large=0)
    outcomes["same"] = list(lent.replies(resident, prompt, settings, None, steps)) == expected
    outcomes["calls"] = list(Service.calls)
    stop = threading.Event()
    tokens = lent.replies(resident, prompt, settings, stop, steps)
    next(tokens)
    stop.set()
    for name, error, provoke in (
        ("stopped", Cancelled, lambda: list(tokens)),
        (
            "failed",
            DppaError,
            lambda: list(lent.replies(resident, " ", settings, None, steps)),
        ),
        ("refused", Unreachable, lambda: _refused(lent, resident, prompt, settings)),
    ):
        try:
            provoke()
        except error as caught:
            outcomes[name] = str(caught)
    outcomes["left"] = [path.name for path in Path(os.environ["TMPDIR"]).glob("dppa-handed-*")]
    return outcomes


def _refused(lent: Any, *arguments: Any) -> None:
    from dppa_core.models.decode import token_steps  # noqa: PLC0415

    Service.refuses = True
    list(lent.replies(*arguments, None, token_steps))


if __name__ == "__main__":
    main()
