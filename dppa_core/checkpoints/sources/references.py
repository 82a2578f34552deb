"""How a model is named in text: one printable line, and no end of it.

Knows no place and opens nothing.
"""

from __future__ import annotations

from dppa_core.errors import InvalidValue, shown

LONGEST_REFERENCE = 4096
"""Characters; no path of a computer is longer."""


def checked_reference(text: object, what: str = "A model reference") -> str:
    """A reference without the space around it.

    Args:
        text: What somebody wrote.
        what: How to call it in messages.

    Raises:
        InvalidValue: no text, an empty one, an endless one, or one with characters that cannot
            be printed (NUL, line ends).
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidValue(
            f"{what} must be a text such as zoo:math, or a folder, got {shown(text)}."
        )
    text = text.strip()
    if len(text) > LONGEST_REFERENCE:
        raise InvalidValue(
            f"{what} has {len(text)} characters; no path has more than {LONGEST_REFERENCE}."
        )
    if not text.isprintable():
        raise InvalidValue(
            f"{what} holds a character that cannot be printed: {shown(text)}. "
            "A line end that was copied along is the usual cause."
        )
    return text


def short_name(reference: str) -> str:
    """What a model is called where there is little room: math for zoo:math, BASE+ADAPTER.

    Of a model of the Hub its name without owner and commit, of a folder or a pack the last part
    of its path.
    """
    parts = [part.removeprefix("zoo:").rstrip("/") for part in reference.split("+")]
    return "+".join(_last(part) for part in parts) or reference


def hub_parts(reference: str) -> tuple[str, ...]:
    """Those parts of a reference, model and adapters, that are of the Hub: "hub:owner/name@…"."""
    return tuple(part for part in reference.split("+") if part.startswith("hub:"))


def _last(part: str) -> str:
    name = part.rsplit("/", 1)[-1].removesuffix(".safetensors") or part
    return name.partition("@")[0] if part.startswith("hub:") else name
