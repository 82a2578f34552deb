"""Measured results of docs/ and assets/data/, of which hand-written pages state figures."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from dppa_core.evaluation.tables import signed_text  # noqa: E402
from dppa_core.methods.registry import get_method  # noqa: E402
from dppa_core.tasks import DOMAINS  # noqa: E402
from dppa_core.tasks.intervals import Interval  # noqa: E402
from dppa_lab.zoo.study.compare import (  # noqa: E402
    SECONDARY,
    compare,
    embeddings_whole,
)
from dppa_lab.zoo.study.confirmation import without_new  # noqa: E402

SHORT = 5
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
    def variants(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Method and what is changed -> its row below the leaderboard."""
        rows = json.loads(text_of("docs/leaderboard.json"))["variants"]
        return {(row["method"], row["what"]): row for row in rows}

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

    def loss(self, method: str, what: str) -> tuple[str, ...]:
        """Points of retention that a method loses if changed, and the interval, whose lower end is
        written without its sign."""
        against = self.variants[method, what]["against_itself"]
        mean, low, high = unsigned((against["mean"], *against["ci95"]), 100)
        return mean, low.removeprefix("-"), high

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
    def _split(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        files = sorted(ROOT.glob("docs/study/*-settled-*.json"))
        return without_new([json.loads(file.read_text("utf-8")) for file in files])

    @property
    def settled(self) -> Sequence[Mapping[str, Any]]:
        """The measured settled sets of all sizes but those of the confirmation."""
        return self._split[0]

    @property
    def new(self) -> Sequence[Mapping[str, Any]]:
        """The measured sets of the confirmation."""
        return self._split[1]

    def over_sizes(self, one: str, other: str, rate: float) -> tuple[str, ...]:
        """Points by which a merge keeps more than another over the settled sets, and the interval,
        whose lower end is written without its sign."""
        pairs = [*compare(self.settled, rate), *compare(self.settled, rate, SECONDARY)]
        (gap,) = (of.interval for of in pairs if (of.one, of.other) == (one, other))
        return _without_sign(gap)

    def over_new(self, one: str, other: str, rate: float) -> tuple[str, ...]:
        """As `over_sizes`, over the sets of the confirmation."""
        (gap,) = compare(self.new, rate, [(one, other, "")])
        return _without_sign(gap.interval)

    def over_new_with_embeddings(self, rate: float) -> tuple[str, ...]:
        """As `over_new`, DPPA minus magnitude where embeddings stay whole."""
        gap = embeddings_whole(self.new, rate)
        if gap is None:
            raise LookupError("too few sets of the confirmation were measured so")
        return _without_sign(gap.interval)

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
        low, high = (100 * one for one in row["retention_ci95"])
        yield f"{self.kept(method)} % ({low:.1f}–{high:.1f})"
        against = row["against_dppa"]
        told = signed_text(against["mean"], tuple(against["ci95"]))
        sure = f"**{told}**" if against["significant"] else f"{told}, not significant"
        yield "–" if method == "dppa" else sure


def unsigned(values: Any, scale: float = 1) -> tuple[str, ...]:
    """One decimal each, without the sign of the first; the ends of an interval keep their order."""
    first, *rest = (scale * one for one in values)
    sign = -1 if first < 0 else 1
    return f"{abs(first):.1f}", *(f"{one:.1f}" for one in sorted(sign * one for one in rest))


def _without_sign(gap: Interval) -> tuple[str, ...]:
    """A difference in points and its interval, whose lower end is written without its sign."""
    mean, low, high = unsigned((gap.value, gap.low, gap.high), 100)
    return mean, low.removeprefix("-"), high


def found(pattern: str, text: str) -> tuple[str, ...]:
    """The groups of the only place of a pattern."""
    (match,) = re.finditer(pattern, text)
    return match.groups()


def text_of(path: str) -> str:
    """A file of the repository; lines of prose are not joined."""
    return (ROOT / path).read_text(encoding="utf-8")
