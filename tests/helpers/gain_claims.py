"""What lesson 5 says of the experiment *gain*, as conditions on its data."""

from lab.scripts.measured_results import Results

DATA = Results()


def gains(domain: str, least: float, most: float = 100) -> list[dict[str, float]]:
    """One model at some rates of the experiment: the columns by their titles."""
    table = DATA.experiments["gain"]["tables"][0]
    titles = [one["title"] for one in table["columns"]]
    rows = ([cell["value"] for cell in row["cells"]] for row in table["rows"])
    found = [dict(zip(titles, row, strict=True)) for row in rows if row[0] == domain]
    return [one for one in found if least <= one["pruned"] <= most]


def won(one: dict[str, float]) -> float:
    """Share of the measured cost that the best factor wins back."""
    return 1 - one["cost left with it"] / one["cost, measured"]


def off(one: dict[str, float]) -> float:
    """The best factor as a multiple of the foretold one."""
    return one["best factor, measured"] / one["best factor, foretold"]


def parted() -> bool:
    """From 95 % on, law's pruning costs three times what is foretold, and the best factor, below
    the foretold one, takes back more than half of that."""
    return all(
        one["cost, measured"] > 3 * one["cost, foretold"] and won(one) > 1 / 2 and off(one) < 1
        for one in gains("law", 95)
    )


def together() -> bool:
    """Up to 80 %, foretold and measured cost of law are alike, and a factor gains little."""
    return all(
        abs(one["cost, measured"] - one["cost, foretold"]) < 0.005 and abs(one["gain"]) <= 2
        for one in gains("law", 0, 80)
    )


def finance_is_harder() -> bool:
    """From 95 % on, its best factor is above the foretold one, and wins back less than law's."""
    both = zip(gains("finance", 95), gains("law", 95), strict=True)
    return all(off(one) > 1.05 and won(one) < won(law) for one, law in both)


def rising_and_fading() -> bool:
    """The gain of all three grows up to 98 %, and is smaller at the last rate."""
    plot = DATA.experiments["gain"]["plots"][0]["series"]
    means = [sum(of) / len(of) for of in zip(*(one["y"] for one in plot), strict=True)]
    rates = plot[0]["x"]
    rising = means[: rates.index(98.0) + 1]
    return rising == sorted(rising) and means[-1] < rising[-1] - 5 and rates[-1] == 99.5
