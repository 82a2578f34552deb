"""Renders a conversation with a tokenizer's chat template, with limits of time, size and memory.

A template is a program: nested loops or a text repeated a billion times would block this process.
Only the template of the embedded models is rendered here; others run in a separate process, which
can be killed.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from dppa_core.checkpoints.vocabulary.chat_templates import EMBEDDED
from dppa_core.errors import DamagedCheckpoint
from dppa_core.system.error_translation import ForeignCode

MAX_RENDERED_CHARACTERS = 1_000_000
"""Characters a chat template may make of one conversation."""
MAX_SECONDS, MAX_MIB = 5, 256
"""Limits of processor time (s) and of memory (MiB)."""
OF_ANOTHER = "A tokenizer or chat template of another model is the usual cause."
_START_SECONDS = 120.0
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
"""Environment variables of the process: no login, no key."""


class TemplateProcess:
    """The rendering process, started at the first request and again after it was killed.

    Safe for many threads; requests run one at a time.

    Args:
        seconds: Processor time for one conversation; the wall time limit is six times that.
        mib: Memory, if the system can limit it.
    """

    def __init__(self, seconds: int = MAX_SECONDS, mib: int = MAX_MIB) -> None:
        self._seconds, self._mib = seconds, mib
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer; None if the process had to be killed first."""
        with self._lock:
            running = self._running
            if running is None or running.poll() is not None or self._owner != os.getpid():
                self._end()  # a fork shares no pipes
                self._start()
            answer = self._answer(
                json.dumps(request, default=str).encode() + b"\n", 6.0 * self._seconds
            )
            if answer is None:
                self._end()
            return answer

    def close(self) -> None:
        """End the process; the next request starts it again."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        paths = [str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")]
        self._running = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{__package__}.render_worker"]
            + [str(number) for number in (MAX_RENDERED_CHARACTERS, self._seconds, self._mib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **passed,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "PYTHONIOENCODING": "utf-8",
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },
        )
        self._owner = os.getpid()
        atexit.register(self.close)
        if self._answer(b"", _START_SECONDS) is None:
            self._end()
            raise DamagedCheckpoint(
                "The process that renders chat templates does not start. Too little memory is "
                "the usual cause."
            )

    def _answer(self, line: bytes, seconds: float) -> dict[str, Any] | None:
        running = self._running
        if running is None:
            return None
        late = threading.Timer(seconds, running.kill)
        late.daemon = True
        late.start()
        try:
            writing, reading = _pipe(running.stdin), _pipe(running.stdout)
            writing.write(line)
            writing.flush()
            answer = reading.readline()
        except OSError:  # the process has ended
            return None
        finally:
            late.cancel()
        return json.loads(answer) if answer.endswith(b"\n") else None

    def _end(self) -> None:
        running, self._running = self._running, None
        atexit.unregister(self.close)
        if running is None or self._owner != os.getpid():
            return
        running.kill()
        running.wait()
        for pipe in (running.stdin, running.stdout):
            try:
                _pipe(pipe).close()
            except OSError:  # the last bytes had no reader
                continue


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("no pipe")
    return pipe


_PROCESS = TemplateProcess()


def rendered_chat(
    tokenizer: Any,
    turns: Sequence[Mapping[str, str]],
    label: str,
    *,
    finish: bool = False,
    process: TemplateProcess = _PROCESS,
) -> str:
    """A conversation as text in a tokenizer's chat template, ready for a reply.

    Args:
        tokenizer: With a chat template.
        turns: Each with "role" and "content".
        label: The template's name in messages, as "folder: its chat template".
        finish: True if the last turn is the beginning of the reply.

    Raises:
        DamagedCheckpoint: the template fails, writes too much or takes too long.
    """
    with ForeignCode(f"{label} fails", OF_ANOTHER):
        template = tokenizer.get_chat_template()
        flags = {"add_generation_prompt": not finish, "continue_final_message": finish}
        if template == EMBEDDED:
            return str(tokenizer.apply_chat_template(list(turns), tokenize=False, **flags))
        special = dict(tokenizer.special_tokens_map)
    arguments = {**special, "conversations": [list(turns)], "chat_template": template, **flags}
    answer = process.ask({"what": f"{label} fails", "cause": OF_ANOTHER, "template": arguments})
    if answer is None:
        raise DamagedCheckpoint(
            f"{label} fails: it takes more than {MAX_SECONDS} seconds or {MAX_MIB} MiB. An endless "
            "loop is the usual cause."
        )
    if "error" in answer:
        raise DamagedCheckpoint(answer["error"])
    if "length" in answer:
        characters = sum(len(turn["content"]) for turn in turns)
        raise DamagedCheckpoint(
            f"{label} makes {answer['length']} characters of a conversation of {characters}; at "
            f"most {MAX_RENDERED_CHARACTERS} are read. {OF_ANOTHER}"
        )
    return str(answer["text"])
