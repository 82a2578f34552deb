"""A session as text for an address, `?c=…`: JSON, deflated, as base64url without padding.

assets/js/session/session_value.js writes the same. Anybody can write a link, so its length is
limited before and after unpacking.
"""

from __future__ import annotations

import base64
import binascii
import zlib

from dppa_core.errors import InvalidValue

from .json_form import LONGEST_TEXT, parsed
from .session import Session
from .state import session_from_state

PARAMETER = "c"
LONGEST_LINK = 8000
"""Characters; the first preset takes about 250."""
_RAW = -15  # deflate without a header, as browsers call "deflate-raw"
_DAMAGED = (
    "The settings in this link cannot be read. A link that was cut off or changed on its way is "
    "the usual cause: ask for it again, whole."
)


def session_from_link(text: str) -> Session:
    """Read the value of `?c=`. Raises InvalidValue if it is too long or damaged, and as
    `session_from_state`."""
    if len(text) > LONGEST_LINK:
        raise InvalidValue(
            f"The settings in this link have {len(text)} characters; at most {LONGEST_LINK} are "
            "read, and most links have a few hundred."
        )
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj(_RAW)
        data = unpacking.decompress(packed, LONGEST_TEXT + 1)
        if len(data) > LONGEST_TEXT or not unpacking.eof or unpacking.unused_data:
            raise InvalidValue(_DAMAGED)
        value = parsed(data.decode("utf-8"))
    except (ValueError, binascii.Error, zlib.error, InvalidValue) as error:
        raise InvalidValue(_DAMAGED) from error
    return session_from_state(value)
