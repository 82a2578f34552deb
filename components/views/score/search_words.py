"""What a search varies, in the words of the sliders.

Knows the names of settings; no search.
"""

from __future__ import annotations

_WORDS = {
    "factor": "every band ×",
    "factor1": "strongest band ×",
    "factor2": "next band ×",
    "coefficient": "coefficient ×",
    "factors": "factors ×",
    "coefficients": "coefficients ×",
}


_GOALS = {
    "retention": "what is kept, mean of the domains",
    "both": "what is kept, and fewer parameters",
    "worst": "the domain that keeps least",
}


def goal_words(name: str) -> str:
    """What a search is after; a domain's name is what that one keeps."""
    return _GOALS.get(name, f"what {name} keeps")


def knob_words(name: str) -> str:
    """A setting by the name of its slider; a number follows it."""
    what, _, whose = name.partition(".")
    if whose:
        return f"{what} of {whose} ×"
    if name.startswith("factor") and name.removeprefix("factor").isdigit():
        return _WORDS.get(name, f"band {name.removeprefix('factor')} ×")
    return _WORDS.get(name, name)


def value_text(name: str, value: float | str) -> str:
    """A setting's value as the sliders say it: a rate in percent."""
    if isinstance(value, str):
        return value
    return f"{100 * value:g}\u2009%" if name == "rate" else f"{value:g}"


def range_words(text: str) -> str:
    """What `rate=0.5:0.95:0.01` varies, and from where to where: rate 50–95 %."""
    name, _, values = text.partition("=")
    if "," in values:
        return f"{name}: {values.replace(',', ', ')}"
    low, high = (float(one) for one in values.split(":")[:2])
    least = value_text(name, low).removesuffix("\u2009%")
    return f"{knob_words(name)} {least}–{value_text(name, high)}"
