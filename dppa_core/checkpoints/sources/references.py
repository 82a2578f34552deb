"""Model references as text: one printable line of bounded length."""

from __future__ import annotations

from pathlib import Path

from dppa_core.errors import InvalidValue, shown

MAX_REFERENCE_LENGTH = 4096
"""Characters; no path is longer."""


def checked_reference(text: object, subject: str = "A model reference") -> str:
    """A reference, or a folder's path, as text without surrounding space.

    Raises:
        InvalidValue: not a text, empty, too long, or with unprintable characters (NUL, line ends).
    """
    text = str(text) if isinstance(text, Path) else text
    if not isinstance(text, str) or not text.strip():
        raise InvalidValue(
            f"{subject} must be a text such as zoo:math, or a folder, got {shown(text)}."
        )
    text = text.strip()
    if len(text) > MAX_REFERENCE_LENGTH:
        raise InvalidValue(
            f"{subject} has {len(text)} characters; no path has more than {MAX_REFERENCE_LENGTH}."
        )
    if not text.isprintable():
        raise InvalidValue(
            f"{subject} holds a character that cannot be printed: {shown(text)}. "
            "A line end that was copied along is the usual cause."
        )
    return text


def short_name(reference: str) -> str:
    """A short name of a model: math for zoo:math, BASE+ADAPTER.

    For a Hub model the name without owner and commit; for a folder or pack the last part of its
    path.
    """
    parts = [part.removeprefix("zoo:").rstrip("/") for part in reference.split("+")]
    return "+".join(_last(part) for part in parts) or reference


def hub_parts(reference: str) -> tuple[str, ...]:
    """The parts of a reference, model and adapters, that are on the Hub: "hub:owner/name@…"."""
    return tuple(part for part in reference.split("+") if part.startswith("hub:"))


def _last(part: str) -> str:
    name = part.rsplit("/", 1)[-1].removesuffix(".safetensors") or part
    return name.partition("@")[0] if part.startswith("hub:") else name
