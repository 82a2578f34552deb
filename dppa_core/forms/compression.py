"""Zstandard frames of one fixed level, read back within a bound.

Another version of zstandard may write other bytes; what they hold is the same.
"""

from __future__ import annotations

import zstandard

from dppa_core.errors import DamagedCheckpoint

LEVEL = 1
"""Low: its search for repetitions spoils bytes that only their frequencies compress least."""
_MAX_WINDOW = 1 << 23
"""Bytes; frames of this level need fewer."""
DAMAGE = "A file that was edited or damaged is the usual cause."


def compress(content: bytes) -> bytes:
    """One frame with the size of its content and a checksum."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(content)


def decompress(frame: bytes | memoryview, most: int, subject: str) -> bytes:
    """The content of a frame.

    Args:
        most: Bytes it may hold: no more memory is taken.
        subject: What it is part of, for messages.

    Raises:
        DamagedCheckpoint: no frame, a damaged or a larger one.
    """
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= most:
            text = "an unknown number of bytes" if size < 0 else f"{size} bytes"
            raise DamagedCheckpoint(
                f"{subject}: a compressed part holds {text}, at most {most} fit. {DAMAGE}"
            )
        reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        return reader.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DamagedCheckpoint(f"{subject}: cannot be decompressed ({error}). {DAMAGE}") from error
