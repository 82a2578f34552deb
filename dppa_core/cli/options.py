"""Commands that take their options as one frozen dataclass, a field an option."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar, get_type_hints

Options = TypeVar("Options")


def dataclass_command(run: Callable[[Options], None]) -> Callable[..., None]:
    """A function for Typer that takes the fields of a dataclass, and calls `run` with the object.

    Args:
        run: The command; its one parameter, `options`, is annotated with the dataclass, whose
            fields are annotated as Typer's parameters.
    """
    options = get_type_hints(run)["options"]

    @wraps(run)
    def command(**values: Any) -> None:
        run(options(**values))

    command.__signature__ = signature(options, eval_str=True)  # type: ignore[attr-defined]
    command.__annotations__ = {}
    return command
