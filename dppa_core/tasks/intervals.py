"""95 % intervals of shares, ratios and differences, and the sign test of paired answers.

Wilson's interval for shares. For ratios and differences the percentile bootstrap over items: both
sides are drawn together, since both models answered the same questions. For means over several
random draws Student's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import atan, comb, erfc, pi, sqrt, tan
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from dppa_core.errors import InvalidValue

Z95 = 1.959963984540054
SIGNIFICANCE_LEVEL = 0.05
"""Differences with a smaller p-value, corrected for their number, are not by chance."""
RESAMPLES = 10_000
"""Draws of every bootstrap; more would change the third digit of a percentile."""
PRIOR_ITEMS = 0.5
"""Items of each kind added before drawing (Jeffreys): one absent from n items may still exist."""
SEED = 0
Hits = Sequence[bool]
Pair = tuple[Hits, Hits]
"""Hits of one model and of another on the same items, in the same order."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """Lower and upper end."""
        return self.low, self.high

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {"value": self.value, "ci95": [self.low, self.high]}


@dataclass(frozen=True, slots=True)
class VariancePart:
    """A part of a figure's variance, independent of the others."""

    variance: float
    freedom: float
    """Values it was estimated from, less one; at least 1."""


def reach(parts: Sequence[VariancePart]) -> float:
    """Half of the 95 % interval of a figure whose variance is the sum of some parts.

    Student's, with the degrees of freedom of Welch and Satterthwaite: three draws estimate their
    variance poorly, and two standard errors are too few then.
    """
    whole = sum(part.variance for part in parts)
    if whole == 0:
        return 0.0
    freedom = whole**2 / sum(part.variance**2 / part.freedom for part in parts)
    return student(freedom) * sqrt(whole)


def student(freedom: float) -> float:
    """Standard errors on either side of a 95 % interval by Student's t; `freedom` at least 1."""
    if freedom > 100:  # the first term of its expansion about the normal distribution
        return Z95 + (Z95**3 + Z95) / (4 * freedom)
    angles, area = _t_area(freedom)
    return sqrt(freedom) * tan(float(np.interp(0.95, area, angles)))


def _t_area(freedom: float) -> tuple[Float64[ndarray, " n"], Float64[ndarray, " n"]]:
    """Angles from 0 to pi/2, with the probability that |t| < sqrt(freedom) · tan(angle)."""
    angles = np.linspace(0, pi / 2, 20_001)
    heights = np.cos(angles) ** (freedom - 1)
    area = np.concatenate(([0.0], np.cumsum((heights[1:] + heights[:-1]) / 2)))
    return angles, area / area[-1]


def p_of_t(value: float, freedom: float) -> float:
    """The two-sided p-value of Student's t; `freedom` at least 1."""
    return float(1 - np.interp(atan(abs(value) / sqrt(freedom)), *_t_area(freedom)))


def p_of_interval(interval: Interval) -> float:
    """The two-sided p-value of a normal mean from its 95 % interval; without a width 1 if the mean
    is 0, else 0: every item differs by as much."""
    error = (interval.high - interval.low) / (2 * Z95)
    if not error:
        return float(interval.value == 0)
    return erfc(abs(interval.value) / error / sqrt(2))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values corrected for their number, by Holm's step-down method (1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, most = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = most
    return tuple(corrected)


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of `right` successes in `n` >= 1 trials, as fractions."""
    share, spread = right / n, Z95**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * sqrt(share * (1 - share) / n + spread / (4 * n))
    return middle - half if right else 0.0, middle + half if right < n else 1.0


def accuracy(hits: Hits) -> Interval:
    """The share of right answers, of at least one, with its Wilson interval."""
    right, n = sum(hits), len(hits)
    return Interval(right / n, *wilson(right, n))


def mean_interval(values: Sequence[float], weights: Sequence[float]) -> Interval:
    """sum(values) / sum(weights), with the bootstrap over items.

    Args:
        values: One per item, such as the loss of its answer.
        weights: One per item, such as the answer's tokens; positive.
    """
    both = np.array([values, weights], np.float64)
    drawn = _draws(np.full(both.shape[1], 1 / both.shape[1]), both.shape[1], 2_000, SEED)
    sums = drawn @ both.T
    return _interval(float(both[0].sum() / both[1].sum()), sums[:, 0] / sums[:, 1])


def ratio(pairs: Mapping[str, Pair]) -> Interval | None:
    """Geometric mean over the domains of one model's share of hits divided by another's.

    For a single domain it is that ratio: retention, if the other is the domain's own model.

    Args:
        pairs: Domain -> hits of both; a domain without hits of the other has no ratio.

    Returns:
        None if a domain has no ratio, or there is no domain.
    """
    if not pairs or not all(any(reference) for _, reference in pairs.values()):
        return None

    def geometric_mean(counts: Float64[ndarray, "domains draws 4"]) -> Float64[ndarray, " draws"]:
        shares, reference = counts[..., 0] + counts[..., 1], counts[..., 0] + counts[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.exp(np.log(shares / reference).mean(0))  # type: ignore[no-any-return]

    return _resampled(pairs, geometric_mean)


def difference(pairs: Mapping[str, Pair]) -> Interval:
    """Mean over the domains, at least one, of one model's share of hits minus another's."""

    def mean_gap(counts: Float64[ndarray, "domains draws 4"]) -> Float64[ndarray, " draws"]:
        gaps = (counts[..., 1] - counts[..., 2]) / counts.sum(-1)
        return gaps.mean(0)  # type: ignore[no-any-return]

    return _resampled(pairs, mean_gap)


def sign_test(pairs: Mapping[str, Pair]) -> float:
    """Two-sided p of the exact sign test (McNemar), over items that only one of the two has right.

    The chance of a split at least as uneven if both were equally good; 1 without such items.
    """
    counts = [_counts(pair) for pair in pairs.values()]
    first, second = (sum(int(row[kind]) for row in counts) for kind in (1, 2))
    n = first + second
    return min(1.0, 2 * sum(comb(n, k) for k in range(max(first, second), n + 1)) / (1 << n))


def _counts(pair: Pair) -> Int64[ndarray, " 4"]:
    """Items that both have right, only the first, only the second, neither."""
    a, b = np.array(pair[0], bool), np.array(pair[1], bool)
    if a.shape != b.shape or not a.size:
        raise InvalidValue(
            f"{a.size} and {b.size} answers cannot be compared: both models must have been asked "
            "the same items. Scores of another split or limit are the usual cause."
        )
    counts: Int64[ndarray, " 4"] = np.array(
        [(a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum()]
    )
    return counts


def _resampled(
    pairs: Mapping[str, Pair],
    figure: Callable[[Float64[ndarray, "domains draws 4"]], Float64[ndarray, " draws"]],
) -> Interval:
    """A figure of the counts, with its interval over resampled counts.

    Items of one kind are interchangeable: resampling them is drawing the sizes of the four kinds.
    """
    counts = np.array([_counts(pair) for pair in pairs.values()], np.float64)
    shares = (counts + PRIOR_ITEMS) / (counts + PRIOR_ITEMS).sum(-1, keepdims=True)
    drawn = [
        _draws(shares[place], int(row.sum()), RESAMPLES, SEED + place)
        for place, row in enumerate(counts)
    ]
    return _interval(float(figure(counts[:, None])[0]), figure(np.array(drawn)))


def _draws(
    shares: Float64[ndarray, " kinds"], n: int, times: int, seed: int
) -> Float64[ndarray, "times kinds"]:
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=times)
    return drawn.astype(np.float64)


def _interval(value: float, drawn: Float64[ndarray, " draws"]) -> Interval:
    """The percentile interval, without draws that divide by no hits."""
    finite = drawn[np.isfinite(drawn)]
    low, high = np.percentile(finite, [2.5, 97.5]) if finite.size else (value, value)
    return Interval(value, min(float(low), value), max(float(high), value))
