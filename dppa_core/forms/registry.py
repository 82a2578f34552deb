"""All forms by name."""

from __future__ import annotations

from dppa_core.errors import UnknownName, did_you_mean, shown
from dppa_core.forms import bits, drawn, low_rank, sparse
from dppa_core.forms.contract import Form

FORMS: tuple[Form, ...] = tuple(form.FORM for form in (sparse, drawn, low_rank, bits))


def get_form(name: str) -> Form:
    """The form of that name.

    Raises:
        UnknownName: the message has the closest known name.
    """
    for form in FORMS:
        if form.name == name:
            return form
    names = tuple(form.name for form in FORMS)
    raise UnknownName(f"No form of a delta {shown(name)}. {did_you_mean(str(name), names)}")
