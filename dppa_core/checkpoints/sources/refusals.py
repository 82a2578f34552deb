"""What the Hub refuses while something is uploaded, in one line each, and never with the token.

Knows huggingface_hub's errors, not what is uploaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from dppa_core.errors import DppaError, InvalidValue, NotAllowed, Unreachable, shown

LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN, with a token that may write."
"""What to do on a computer of one's own."""
_TOKEN = re.compile(r"hf_\w+|Bearer\s+\S+", re.ASCII)
_LONGEST = 200


def no_token() -> NotAllowed:
    """Said where there is no token at all."""
    return NotAllowed(f"Nobody is logged in to the Hub. {LOG_IN}")


@contextmanager
def upload_errors(name: str, token: str, *, removing: bool = False) -> Iterator[None]:
    """Say in one line what the Hub, or huggingface_hub, raises in many.

    Args:
        name: owner/name.
        token: Cut out of every message.
        removing: Whether what failed is the removal of a repository.

    Raises:
        NotAllowed: the token is unknown, or has not the right.
        InvalidValue: the name was taken meanwhile, or the Hub refuses what it was sent.
        Unreachable: no answer, or the upload broke off.
    """
    from huggingface_hub import errors  # noqa: PLC0415  (a third of a second)

    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise Unreachable(
            f"{name}: offline mode is on (HF_HUB_OFFLINE), so nothing can be uploaded."
        ) from None
    # RuntimeError and ValueError: what huggingface_hub makes of a file that cannot be sent
    except (errors.HTTPError, OSError, RuntimeError, ValueError) as error:
        raise _told(name, error, token, removing) from None  # its request holds the token


def _told(name: str, error: BaseException, token: str, removing: bool) -> DppaError:
    status, said = _answer(error, token)
    if removing:
        return Unreachable(
            f"{name}: the upload failed, and the repository made for it could not be removed "
            f"({said}). Remove it at https://huggingface.co/{name}/settings."
        )
    if status == 401:
        return NotAllowed(f"{name}: the Hub does not know this token. {LOG_IN}")
    if status == 403:
        return NotAllowed(f"{name}: the Hub refuses ({said}). {LOG_IN}")
    if status == 409:
        return InvalidValue(f"{name}: the Hub says that it is there already ({said}).")
    if status is not None and 400 <= status < 500 and status not in (408, 429):
        return InvalidValue(f"{name}: the Hub does not take it (status {status}: {said}).")
    return Unreachable(
        f"{name}: the Hub does not answer, or the upload broke off ({said}). No network, a proxy, "
        "or a Hub that is busy is the usual cause; try again."
    )


def _answer(error: BaseException, token: str) -> tuple[int | None, str]:
    """The status of the first answer among an error and its causes, and what was said."""
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
    return shown(" ".join(text.split()), _LONGEST)[1:-1]
