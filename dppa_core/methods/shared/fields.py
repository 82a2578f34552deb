"""Settings shared by several methods, so that they have one name everywhere."""

from __future__ import annotations

from typing import Any, Literal

from dppa_core.parameter_fields import choice, number


def density(default: float, text: str = "", *, own: bool | Literal["alike"] = False) -> Any:
    """A share of elements kept."""
    text = text or "The share of each delta's elements that is kept, the largest."
    span = (0.0, 1.0, 0.01)
    return number(default, title="Density", text=text, unit="share", span=span, own=own)


def drop_rate(default: float, text: str = "") -> Any:
    """A share of elements dropped at random."""
    text = text or "The share of each delta's elements dropped at random."
    span = (0.0, 0.999, 0.01)
    return number(default, title="Drop rate", text=text, unit="share", span=span, own=True)


def scale(default: float) -> Any:
    """The factor of the merged delta, lambda or alpha in the papers."""
    text = "Multiplies the merged delta."
    return number(
        default, title="Scale", text=text, unit="x", span=(-10.0, 10.0, 0.05), own="alike"
    )


def semantics(text: str, *choices: str, later: bool = False) -> Any:
    """The definition to follow: the paper's by default."""
    every = ("paper", *(choices or ("mergekit",)))
    return choice("paper", title="Semantics", text=text, choices=every, later=later)


def ranked_in(text: str, *choices: str) -> Any:
    """The scope in which elements are ranked; the first choice is the default."""
    return choice(choices[0], title="Ranked in", text=text, choices=choices)


def turned() -> Any:
    """What a method of angles turns."""
    return choice(
        "deltas",
        title="Turns",
        text="deltas: the changes from the base. models: the weights themselves, which are nearly "
        "parallel; mergekit does so without a base_model.",
        choices=("deltas", "models"),
    )


def rescale(default: str) -> Any:
    """Whether elements that stay make up for those that go, as mergekit does."""
    return choice(
        default,
        title="Rescale",
        text="With the semantics of mergekit: multiply what stays of a delta by one number, so "
        "that each tensor keeps its sum of |d|.",
        choices=("yes", "no"),
        later=True,
    )


def divide(default: str, *, later: bool = False) -> Any:
    """What divides a sum of deltas or models."""
    return choice(
        default,
        title="Divide by",
        text="coefficients: their sum, so that they are shares. nothing: the size grows with the "
        "coefficients.",
        choices=("coefficients", "nothing"),
        later=later,
    )
