"""Renders untrusted chat templates in a separate process with limits.

Started by `render`; requests and answers are lines of JSON. transformers' sandbox limits what a
template can do; this process limits its time and memory.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from math import ceil
from pathlib import Path

from dppa_core.errors import DamagedCheckpoint
from dppa_core.system.error_translation import ForeignCode


def main(longest: int, seconds: int, mib: int) -> None:
    """Answer until standard input ends.

    Args:
        longest: Most characters of an answer.
        seconds: Processor time per request; the process ends beyond it.
        mib: Memory beyond that at the start.
    """
    from transformers.utils.chat_template_utils import (  # noqa: PLC0415  (half a second)
        render_jinja_template,
    )

    _bound_memory(mib)
    _say({})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _bound_time(seconds)
        try:
            with ForeignCode(request["what"], request["cause"]):
                text = str(render_jinja_template(**request["template"])[0][0])
        except DamagedCheckpoint as error:
            _say({"error": str(error)})
            continue
        _say({"text": text} if len(text) <= longest else {"length": len(text)})


def _say(value: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _bound_memory(mib: int) -> None:
    with suppress(ImportError, OSError, ValueError):  # Linux only
        import resource  # noqa: PLC0415

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        most = pages * resource.getpagesize() + (mib << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _bound_time(seconds: int) -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (ceil(time.process_time()) + seconds, hard))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
