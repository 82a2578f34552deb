"""Links as the page's script writes them (assets/js/session/session_value.js)."""

import base64
import json
import zlib

from components.session.session import Session
from components.session.state import state_of

RAW = -15
"""Deflate without a header, as browsers call "deflate-raw"."""


def link_of(session: Session) -> str:
    """A session as the value of `?c=`."""
    text = json.dumps(state_of(session), separators=(",", ":"))
    packed = zlib.compressobj(9, zlib.DEFLATED, RAW)
    data = packed.compress(text.encode()) + packed.flush()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
