"""The controls of a session, one row each.

Components, links, JSON, undo and the scripts' schema are derived from these rows. A new control is
a row here, a field of `Session`, and its place in a view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dppa_core.errors import InvalidValue, shown
from dppa_core.parameter_fields import check_number
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.recipes.merged_tokens import CHOICES
from dppa_core.recipes.recipe import DTYPES, HEADS

Span = tuple[float, ...]
"""The lowest value of a slider, its highest, and its step; empty without a slider."""
Changes = Literal["models", "plan", "levels", "tables", "ranking", "factors", "method", "weights"]
"""The first thing that a control changes. Browsers look plans up in tables by themselves; they ask
for other tables, and a changed ranking is measured before."""

COEFFICIENT: tuple[float, float, float] = (-1.0, 2.0, 0.05)
"""Of a whole model's delta, or of a layer's."""
FACTOR: tuple[float, float, float] = (0.0, 4.0, 0.1)
"""Of the amplification of a partition."""


@dataclass(frozen=True, slots=True)
class Control:
    """A control: its name, type, range, step and title, and what it changes."""

    key: str
    """Its name in links, in JSON and in scripts; of its field in `Session` without `attribute`."""
    title: str
    """Its label; in lower case the name of its change for undo."""
    changes: Changes
    span: Span = ()
    """Range and step as on the page."""
    unit: str = ""
    whole: bool = False
    """Whether it holds whole numbers."""
    percent: bool = False
    """Whether the page shows it in per cent; elsewhere it is a share of at most four digits."""
    hint: str = ""
    """Added to the error about a value out of range."""
    choices: tuple[str, ...] = ()
    """The values of a list; a chat template may be a model's too."""
    part: str = ""
    """The component that holds it, if that is another control's."""
    attribute: str = ""
    of_pruning: bool = False
    """Whether it is a setting of Dynamically Pruning."""
    hidden_by: str = ""
    """The word in a class link that hides its slider; empty if the scripts name its element."""

    @property
    def name(self) -> str:
        """Its field in `Session`."""
        return self.attribute or self.key

    @property
    def element(self) -> str:
        """The id of its element."""
        return self.key.replace("_", "-")

    @property
    def element_classes(self) -> tuple[str, ...]:
        """Its classes; style.css hides settings of Dynamically Pruning with other methods."""
        return ("of-pruning",) if self.of_pruning else ()

    @property
    def label(self) -> str:
        """Its title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def scale(self) -> int:
        """Units of the page in one of the session."""
        return 100 if self.percent else 1

    def from_page(self, value: object) -> Any:
        """A component's value as the session holds it; InvalidValue if it is out of range."""
        if not self.span:
            return str(value)
        low, high, _ = self.span
        return self._held(check_number(self.title, value, low, high) / self.scale)

    def from_json(self, value: object) -> Any:
        """As `from_page`, for a value of a link or a preset; a whole number must be one."""
        if not self.span:
            return str(value)
        if self.whole:
            return whole_number(self.key, value, int(self.span[0]), int(self.span[1]))
        return self._held(self.check(self.key, value))

    def check(self, name: str, value: object) -> float:
        """The value if the session may hold it, else InvalidValue, which calls it by `name`."""
        low, high, _ = self.span
        return check_number(name, value, low / self.scale, high / self.scale, self.hint)

    def to_page(self, value: Any) -> Any:
        """A value of the session as its component shows it."""
        return round(value * 100, 2) if self.percent else value

    def _held(self, number: float) -> float:
        return int(number) if self.whole else round(number, 4) if self.percent else number


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """The value, if it is a whole number in [low, high]; else InvalidValue, which names it."""
    number = check_number(name, value, low, high)
    if number != int(number):
        raise InvalidValue(f"{name} must be a whole number, got {shown(value)}.")
    return int(number)


def _of_pruning(key: str, changes: Changes, span: Span = (), **more: Any) -> Control:
    """A setting of Dynamically Pruning as it describes itself; `span` if the page offers less."""
    about = PruningParameters.__dataclass_fields__[key].metadata
    described = (about["min"], about["max"], about["step"]) if "min" in about else ()
    unit, choices = about["unit"].replace("x ", "× "), about.get("choices", ())
    return Control(
        *(key, about["title"], changes, span or described, unit),
        choices=choices,
        of_pruning=True,
        **more,
    )


_OUTLIERS: Span = (1.0, 10.0, 0.5)

CONTROLS = (
    Control("base", "Base model", "models", part="models"),
    Control("models", "List of models", "models"),
    Control(
        *("rate", "Pruning rate", "plan", (0, 99, 1), "%"),
        percent=True,
        hint="It is the share dropped.",
    ),
    Control("partitions", "Partitions", "levels", (1, 4, 1), "number", whole=True),
    Control("shares", "Levels", "levels"),
    _of_pruning("strength", "tables", hidden_by="strength"),
    _of_pruning("k_layer", "tables", _OUTLIERS, hidden_by="outliers"),
    _of_pruning("k_module", "tables", _OUTLIERS, hidden_by="outliers"),
    _of_pruning("significance", "ranking", hidden_by="significance"),
    Control("amplify", "Amplification", "factors", attribute="factors"),
    Control("method", "Method", "method"),
    Control("overrides", "Rates of single matrices", "plan"),
    Control(
        *("template", "Chat template", "weights"),
        part="models",
        attribute="chat_template",
        choices=CHOICES["chat_template"],
    ),
    Control("dtype", "Number format", "weights", part="models", choices=DTYPES),
    Control("heads", "Heads", "weights", part="models", choices=HEADS),
)
"""All controls, in the order in which undo names their changes."""
BY_KEY = {control.key: control for control in CONTROLS}
SLIDERS = tuple(control for control in CONTROLS if control.span)
OWN_CHOICES = tuple(control for control in CONTROLS if control.changes == "weights")
"""Choices for own models; their defaults are left out of JSON."""
PRUNING_SETTINGS = tuple(control.key for control in CONTROLS if control.of_pruning)
MOST_PARTITIONS = int(BY_KEY["partitions"].span[1])
HIGHEST_RATE = BY_KEY["rate"].span[1] / 100
