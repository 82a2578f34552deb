"""Figures of measured results in hand-written pages: rewrite each one from the data it rests on.

`make leaderboard`, `make results` and `make experiments` run it. A sentence whose words no longer
hold (a rank, "more", "less") is not rewritten: tests/app/page/test_stated_results.py fails then.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from dppa_core.evaluation.tables import signed_text  # noqa: E402
from dppa_core.methods.registry import get_method  # noqa: E402
from dppa_core.studies.zoo.results.entry import RATE  # noqa: E402
from dppa_core.tasks import DOMAINS  # noqa: E402

TEN, README = "docs/start/ten-minutes.md", "README.md"
TUNE, SCORE, SEARCH = (f"docs/guides/{name}.md" for name in ("tune-by-eye", "score", "search"))
COEFFICIENTS = "docs/guides/coefficients.md"
SHORT = 8
"""Methods of the README's table."""
ORDINAL = {1: "st", 2: "nd", 3: "rd"}


class Results:
    """The measured data, read once."""

    @cached_property
    def board(self) -> dict[str, dict[str, Any]]:
        """Method -> its row of the leaderboard, the best first."""
        rows = json.loads(text_of("docs/leaderboard.json"))["rows"]
        return {row["method"]: row for row in rows}

    @cached_property
    def experiments(self) -> dict[str, dict[str, Any]]:
        """Key -> experiment."""
        listed = json.loads(text_of("assets/data/experiments.json"))["experiments"]
        return {one["key"]: one for one in listed}

    def kept(self, method: str) -> str:
        """Mean retention in per cent."""
        return f"{100 * self.board[method]['retention']:.1f}"

    def ahead(self, method: str) -> tuple[str, ...]:
        """Points of retention by which a method is before DPPA, and the interval; without signs."""
        against = self.board[method]["against_dppa"]
        return unsigned((against["mean"], *against["ci95"]), 100)

    def unsure(self, method: str) -> tuple[str, ...]:
        """Points by which DPPA is before a method, and the interval around 0, whose lower end is
        written without its sign."""
        mean, low, high = self.ahead(method)
        return mean, low.removeprefix("-"), high

    def place(self, method: str, without: str = "") -> tuple[str, str]:
        """Its rank, and the number of ranked methods."""
        ranked = [name for name in self.board if name != without]
        place = ranked.index(method) + 1
        return f"{place}{ORDINAL.get(place, 'th')}", str(len(ranked))

    def finding(self, key: str, pattern: str) -> tuple[str, ...]:
        """Figures of an experiment's finding; a difference's own sign is left out."""
        return unsigned(map(float, found(pattern, self.experiments[key]["finding"])))

    @cached_property
    def seeds(self) -> int:
        """Training seeds of the small settled models in the overview."""
        rows = self.experiments["overview"]["tables"][0]["rows"]
        names = dict.fromkeys(str(row["cells"][0]["value"]) for row in rows)
        (count,) = found(r"small, settled, (\d+) seeds", "; ".join(names))
        return int(count)

    def over_seeds(self, column: str) -> tuple[str, ...]:
        """A cell of the small settled models at 95 %, a mean of their training seeds."""
        row = {"models": f"small, settled, {self.seeds} seeds", "pruned": 95.0}
        return self.cell("overview", row, column)

    def cell(self, key: str, row: Mapping[str, object], column: str) -> tuple[str, ...]:
        """A cell of an experiment's first table, and its interval if it has one."""
        table = self.experiments[key]["tables"][0]
        titles = [one["title"] for one in table["columns"]]
        for each in table["rows"]:
            cells = dict(zip(titles, each["cells"], strict=True))
            if all(cells[title]["value"] == value for title, value in row.items()):
                cell = cells[column]
                figures = (cell["value"], cell["low"], cell["high"])
                return unsigned(one for one in figures if one is not None)
        raise LookupError(f"{key} has no row {row}")

    def table(self) -> str:
        """The first methods of the leaderboard as rows of a table."""
        return "\n".join(f"| {' | '.join(self._row(name))} |" for name in list(self.board)[:SHORT])

    def _row(self, method: str) -> Iterator[str]:
        row = self.board[method]
        yield get_method(method).title
        for domain in DOMAINS:
            score = row["domains"][domain]
            low, high = (100 * one for one in score["ci95"])
            yield f"{100 * score['accuracy']:.1f} ({low:.1f}–{high:.1f})"
        yield f"{self.kept(method)} %"
        against = row["against_dppa"]
        told = signed_text(against["mean"], tuple(against["ci95"]))
        sure = f"**{told}**" if against["significant"] else f"{told}, not significant"
        yield "–" if method == "dppa" else sure


def unsigned(values: Any, scale: float = 1) -> tuple[str, ...]:
    """One decimal each, without the sign of the first; the ends of an interval keep their order."""
    first, *rest = (scale * one for one in values)
    sign = -1 if first < 0 else 1
    return f"{abs(first):.1f}", *(f"{one:.1f}" for one in sorted(sign * one for one in rest))


def found(pattern: str, text: str) -> tuple[str, ...]:
    """The groups of the only place of a pattern."""
    (match,) = re.finditer(pattern, text)
    return match.groups()


def text_of(path: str) -> str:
    """A file of the repository; lines of prose are not joined."""
    return (ROOT / path).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class StatedFigures:
    """Figures in a page, and where they come from."""

    path: str
    pattern: str
    """Matches once; a space is any white space, # a group that holds a figure."""
    figures: Callable[[Results], tuple[str, ...]]
    """What the groups must hold."""

    def match(self, text: str) -> re.Match[str]:
        """The place of the figures. Raises LookupError if the page does not say this once."""
        pattern = re.sub(r"\\ ", r"\\s+", re.escape(self.pattern))
        places = list(re.finditer(pattern.replace(r"\#", r"(\d+(?:\.\d+)?(?:st|nd|rd|th)?)"), text))
        if len(places) != 1:
            raise LookupError(f"{self.path} says {len(places)} times: {self.pattern}")
        return places[0]

    def rewritten(self, text: str, results: Results) -> str:
        """The page with these figures as they were measured."""
        match = self.match(text)
        for group, figure in reversed(list(enumerate(self.figures(results), 1))):
            text = text[: match.start(group)] + figure + text[match.end(group) :]
        return text


def of_search(row: str) -> Callable[[Results], tuple[str, ...]]:
    """Figures of docs/search.md."""
    return lambda _: found(row, text_of("docs/search.md"))


def adamerging(row: str) -> tuple[str, ...]:
    """Mean retention, gain and half of its interval in docs/adamerging-results.md."""
    mean = r"([\d.]+) % \| (?:\+([\d.]+) ± ([\d.]+)|–) \|"
    return found(rf"\n\| {row} \| [^%\n]*? {mean}", text_of("docs/adamerging-results.md"))


POINTS = r"(-?[\d.]+) points \((-?[\d.]+) to ([-+]?[\d.]+)\)"
MEAN = r"\| mean retention \| [^|]+\| ([\d.]+) \(([\d.]+)–([\d.]+)\)"
WORSE = r"better than what was found: -([\d.]+) points \(95 % interval -10"
STRENGTH = "".join(rf" (-[\d.]+) points \([^)]+\) at {rate} %.*?" for rate in (85, 90, 95))
BESIDE = "DPPA keeps # points more than magnitude (-# to #)"
AT_95 = {"models": "embedded, settled", "pruned": 95.0}
STATED = (
    StatedFigures(
        README,
        "(task arithmetic), keep # % of the domain models' scores. DPPA with a fifth of each delta "
        "keeps # %, # points less (# to #;",
        lambda data: (
            *(data.kept("task_arithmetic"), data.kept("dppa")),
            *data.ahead("task_arithmetic"),
        ),
    ),
    StatedFigures(README, BESIDE, lambda data: data.unsure("magnitude")),
    StatedFigures(
        README,
        "At 95 % magnitude pruning leaves # % of the models' accuracy. With settings searched "
        "alike magnitude keeps # %, DPPA # %, # points more (# to #).",
        lambda data: (
            *data.cell("overview", AT_95, "magnitude as pruned"),
            *data.cell("overview", AT_95, "magnitude"),
            *data.cell("overview", AT_95, "DPPA"),
            *data.cell("overview", AT_95, "minus magnitude"),
        ),
    ),
    StatedFigures(
        README,
        "Over # training seeds of smaller models, embeddings pruned too, magnitude keeps # %, "
        "DPPA # %, # points more (# to #), whole deltas # %;",
        lambda data: (
            str(data.seeds),
            *data.over_seeds("magnitude"),
            *data.over_seeds("DPPA"),
            *data.over_seeds("minus magnitude"),
            *data.over_seeds("task arithmetic"),
        ),
    ),
    StatedFigures(
        README,
        "models lose # points of accuracy more than with magnitude at 80 % (# to #) and # at 95 % "
        "(# to #;",
        lambda data: (
            *data.finding("beyond", rf"DPPA has no gain; .*?from {POINTS} at 80 %"),
            *data.finding("beyond", rf"DPPA has no gain; .*?80 % to {POINTS} at 95 %"),
        ),
    ),
    StatedFigures(
        README,
        "DPPA ranks # of # methods (SLERP merges two models only), or # of the # that make one",
        lambda data: (*data.place("dppa"), *data.place("dppa", without="emr")),
    ),
    StatedFigures(README, "Pruning methods keep # %", lambda _: (f"{100 * (1 - RATE):.0f}",)),
    StatedFigures(
        TEN,
        "keeps # % (#–#) of the domain models' scores, and task arithmetic # % (#–#).",
        of_search(MEAN + r" \| ([\d.]+) \(([\d.]+)–([\d.]+)\)"),
    ),
    StatedFigures(TEN, "keeps # % (arithmetic mean).", lambda data: (data.kept("dppa"),)),
    StatedFigures(SCORE, BESIDE, lambda data: data.unsure("magnitude")),
    StatedFigures(SEARCH, "of three worse by # points than", of_search(WORSE)),
    StatedFigures(TUNE, "of three worse by # points (", of_search(WORSE)),
    StatedFigures(
        TUNE,
        "0.08 costs # points of accuracy at 85 % pruning, # at 90 % and # at 95 %",
        lambda data: tuple(
            f"{-float(one):.0f}"
            for one in found(
                "minus strength 0, test items:.*?;" + STRENGTH,
                data.experiments["strength"]["finding"],
            )
        ),
    ),
    StatedFigures(
        COEFFICIENTS,
        "for each layer keeps # % of the domain models' scores; the best single coefficient keeps "
        "# % (+# ± # points",
        lambda _: (
            adamerging("per layer")[:1] + adamerging("uniform 1")[:1] + adamerging("per layer")[1:]
        ),
    ),
    StatedFigures(
        COEFFICIENTS,
        "surprise` gives # %, `--balance relative` # %",
        lambda _: (
            adamerging("per layer, surprise")[:1] + adamerging("per layer, domains balanced")[:1]
        ),
    ),
)


def with_table(text: str, results: Results) -> str:
    """The README with the first rows of the leaderboard."""
    rows = re.compile(r"(?<=\n\| --- \| --- \| --- \| --- \| --- \| --- \|\n)(\|.*\n)+")
    if len(rows.findall(text)) != 1:
        raise LookupError(f"{README} has no table of six columns, or several")
    return rows.sub(lambda _: f"{results.table()}\n", text)


def rewritten(path: str, results: Results) -> str:
    """A page with all of its figures as they were measured."""
    text = text_of(path)
    for one in STATED:
        if one.path == path:
            text = one.rewritten(text, results)
    return with_table(text, results) if path == README else text


def main() -> None:
    """Rewrite all pages; print the names of those that changed."""
    results = Results()
    for path in sorted({one.path for one in STATED}):
        text = rewritten(path, results)
        if text != text_of(path):
            (ROOT / path).write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
