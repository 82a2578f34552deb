"""The command line, run in this process."""

import json
import sys

import pytest

from dppa_core.cli.main import main


class Command:
    """Runs `dppa …` in this process; keeps what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys, self._patch = capsys, patch
        self.out = self.err = ""

    def __call__(self, *arguments: object) -> int:
        self._patch.setattr(sys, "argv", ["dppa", *(str(a) for a in arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        self.out, self.err = self._capsys.readouterr()
        code = exit_.value.code
        return code if isinstance(code, int) else 0

    @property
    def json(self) -> dict:  # type: ignore[type-arg]
        assert self.out.count("\n") == 1
        return json.loads(self.out)  # type: ignore[no-any-return]
