"""Errors of an upload to the Hub as messages of one line, without the token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from dppa_core.errors import DppaError, InvalidValue, NotAllowed, Unreachable, shown

LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN, with a token that may write."
"""The remedy on a user's own computer."""
_TOKEN = re.compile(r"hf_\w+|Bearer\s+\S+", re.ASCII)
_MAX_CHARACTERS = 200


def no_token() -> NotAllowed:
    """The error if there is no token."""
    return NotAllowed(f"Nobody is logged in to the Hub. {LOG_IN}")


@contextmanager
def upload_errors(name: str, token: str, *, removing: bool = False) -> Iterator[None]:
    """Turn errors of the Hub and huggingface_hub into our own, with a message of one line.

    Args:
        token: Removed from every message.
        removing: True if the block removes a repository.

    Raises:
        NotAllowed: the token is unknown, or lacks the permission.
        InvalidValue: the name was taken meanwhile, or the Hub rejects the content.
        Unreachable: no answer, or the upload was interrupted.
    """
    from huggingface_hub import errors  # noqa: PLC0415  (a third of a second)

    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise Unreachable(
            f"{name}: offline mode is on (HF_HUB_OFFLINE), so nothing can be uploaded."
        ) from None
    # huggingface_hub raises RuntimeError and ValueError for a file it cannot send
    except (errors.HTTPError, OSError, RuntimeError, ValueError) as error:
        raise _refusal(name, error, token, removing) from None  # its request holds the token


def _refusal(name: str, error: BaseException, token: str, removing: bool) -> DppaError:
    status, reply = _answer(error, token)
    if removing:
        return Unreachable(
            f"{name}: the upload failed, and the repository made for it could not be removed "
            f"({reply}). Remove it at https://huggingface.co/{name}/settings."
        )
    if status == 401:
        return NotAllowed(f"{name}: the Hub does not know this token. {LOG_IN}")
    if status == 403:
        return NotAllowed(f"{name}: the Hub refuses ({reply}). {LOG_IN}")
    if status == 409:
        return InvalidValue(f"{name}: the Hub says that it exists already ({reply}).")
    if status is not None and 400 <= status < 500 and status not in (408, 429):
        return InvalidValue(f"{name}: the Hub rejects it (status {status}: {reply}).")
    return Unreachable(
        f"{name}: the Hub does not answer, or the upload broke off ({reply}). No network, a proxy, "
        "or a Hub that is busy is the usual cause; try again."
    )


def _answer(error: BaseException, token: str) -> tuple[int | None, str]:
    """The HTTP status and text of the first response among an error and its causes."""
    cause = error
    while True:
        response = getattr(cause, "response", None)
        if response is not None or cause.__cause__ is None:
            break
        cause = cause.__cause__
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    text = getattr(cause, "server_message", None) or lines[0]
    return None if response is None else int(response.status_code), _clean(str(text), token)


def _clean(text: str, token: str) -> str:
    text = _TOKEN.sub("…", text.replace(token, "…"))
    return shown(" ".join(text.split()), _MAX_CHARACTERS)[1:-1]
