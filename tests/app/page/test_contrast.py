"""Text can be read on what lies below it, in both themes: at least 4.5 : 1 (WCAG AA).

The pairs are those of the style sheets: a rule's colour on its own background, or, if it has none,
on each of the three papers of the page.
"""

import re
from collections.abc import Iterator

import pytest

from components.session.shipped import shipped
from components.widgets.theme import CSS, PALETTE

AA, OF_MARKS = 4.5, 3.0
PAPERS = ("paper", "card", "sunk")
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
NO_TEXT = re.compile(r"disabled|skeleton|50%|::before|guess|-bar|progress")
"""Selectors whose opacity dims no text, or text of a control that cannot be used."""

Colour = tuple[float, ...]


def channels(colour: str) -> Colour:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def luminance(colour: Colour) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in shares(colour)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def shares(colour: Colour) -> Colour:
    return tuple(channel / 255 for channel in colour)


def contrast(first: Colour, second: Colour) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def over(top: Colour, share: float, below: Colour) -> Colour:
    return tuple(share * a + (1 - share) * b for a, b in zip(top, below, strict=True))


def channels_of(name: str, mode: int) -> Colour:
    return channels(PALETTE[name][mode])


def rules() -> Iterator[tuple[str, str]]:
    """(selector, declarations) of every style sheet of the page; the report has its own colours."""
    for path in sorted(CSS.glob("*.css")):
        if path.stem != "report":
            text = re.sub(r"(?s)/\*.*?\*/", "", path.read_text(encoding="utf-8"))
            yield from RULE.findall(text)


def named(property_name: str, declarations: str) -> list[str]:
    names: list[str] = re.findall(rf"(?:^|[;\s]){property_name}: var\(--d-([\w-]+)\)", declarations)
    return names


def pairs() -> set[tuple[str, str]]:
    """(text, background) of all rules."""
    found_pairs = set()
    for _, declarations in rules():
        below = named("background(?:-color)?", declarations) or PAPERS
        found_pairs |= {(text, colour) for text in named("color", declarations) for colour in below}
    return found_pairs


MODES = pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])


@MODES
def test_every_colour_of_text_reads_on_what_lies_below_it(mode: int) -> None:
    on_page = pairs()
    assert {("on-accent", "accent"), ("paper", "ink"), ("muted", "sunk")} <= on_page
    bad = {
        pair for pair in on_page - {("edge", paper) for paper in PAPERS} if reads(pair, mode) < AA
    }
    assert not bad
    assert all(
        reads(("edge", paper), mode) >= OF_MARKS for paper in PAPERS
    )  # frames, dots between words


def reads(pair: tuple[str, str], mode: int) -> float:
    text, below = pair
    return contrast(channels_of(text, mode), channels_of(below, mode))


@MODES
def test_text_that_is_dimmed_while_it_is_out_of_date_still_reads(mode: int) -> None:
    dimmed = [
        (selector.strip(), float(share))
        for selector, declarations in rules()
        for share in re.findall(r"(?:^|[;\s])opacity: (0?\.\d+)", declarations)
        if not NO_TEXT.search(selector)
    ]
    assert dimmed
    for selector, share in dimmed:
        for paper in PAPERS[:2]:
            below = channels_of(paper, mode)
            assert contrast(over(channels_of("ink", mode), share, below), below) >= AA, selector


@MODES
def test_tokens_read_on_every_colour_of_their_entropy(mode: int) -> None:
    paper, full, ink = (channels_of(name, mode) for name in ("paper", "entropy", "ink"))
    assert contrast(ink, full) >= AA and contrast(ink, paper) >= AA
    # Even to the eye: lightness moves one way from the certain to the open end, and far enough.
    assert abs(luminance(full) ** (1 / 3) - luminance(paper) ** (1 / 3)) > 0.2


@pytest.mark.parametrize("name", ["VIRIDIS", "VIK"])
def test_numbers_read_on_every_colour_of_a_heatmap(name: str) -> None:
    """As the page chooses: black above a luminance, else white."""
    script = (shipped("assets/js") / "base" / "shapes.js").read_text(encoding="utf-8")
    (written,) = re.findall(rf"const {name} = stops\((.*?)\);", script, re.DOTALL)
    stops = [channels(f"#{code}") for code in re.findall(r"[0-9a-f]{6}", written)]
    (bound,) = re.findall(r"> ([\d.]+) \? \"#000\" : \"#fff\"", script)
    for low, high in zip(stops, stops[1:], strict=False):
        for share in range(21):
            colour = tuple(round(code) for code in over(high, share / 20, low))
            ink = (0.0,) * 3 if luminance(colour) > float(bound) else (255.0,) * 3
            assert contrast(ink, colour) >= AA, colour
