"""The sentences of the guides that state measured figures."""

from lab.scripts.measured_results import found, text_of
from lab.scripts.stated_pattern import AT_80, BESIDE, StatedFigures, of_search, of_smollm2

TEN, SMOLLM2 = "docs/start/ten-minutes.md", "docs/guides/smollm2.md"
TUNE, SCORE, SEARCH = (f"docs/guides/{name}.md" for name in ("tune-by-eye", "score", "search"))
COEFFICIENTS = "docs/guides/coefficients.md"


def second_on_smollm2() -> tuple[str, ...]:
    """What a second factor adds to one on SmolLM2's models, each alone."""
    return of_smollm2(
        r"What was found.*two factors against one factor: .*?seen, "
        r"-([\d.]+) points \(-([\d.]+) to \+([\d.]+)\)"
    )


def adamerging(row: str) -> tuple[str, ...]:
    """Mean retention, gain and half of its interval in lab/docs/adamerging-results.md."""
    mean = r"([\d.]+) % \| (?:\+([\d.]+) ± ([\d.]+)|–) \|"
    return found(rf"\n\| {row} \| [^%\n]*? {mean}", text_of("lab/docs/adamerging-results.md"))


MEAN = r"\| mean retention \(geometric\) \| [^|]+\| ([\d.]+) \(([\d.]+)–([\d.]+)\)"
WORSE = r"better than what was found: -([\d.]+) points \(95 % interval -10"
STRENGTH = "".join(rf" (-[\d.]+) points \([^)]+\) at {rate} %.*?" for rate in (85, 90, 95))
SMOLLM2_FULL = {"models": "smollm2, full, seed 0", "pruned": 90.0}
SMOLLM2_AT_90 = {"models": "smollm2, lora, seed 0", "pruned": 90.0}
GUIDES = (
    StatedFigures(
        SMOLLM2,
        "what it keeps (-# points, -# to -#). With magnitude and one searched factor no loss was "
        "seen; two factors (DPA) were not seen to do better (-# points, -# to #).",
        lambda _: (
            *of_smollm2(r"DP minus DARE -([\d.]+) points \(-([\d.]+) to -([\d.]+)\)"),
            *second_on_smollm2(),
        ),
    ),
    StatedFigures(
        SMOLLM2,
        "than one either: -# nats per token at 95 % (-# to #; experiment",
        lambda _: of_smollm2(
            r"What was found.*with two factors minus one.*? -([\d.]+) nats per token "
            r"\(-([\d.]+) to \+([\d.]+)\) at 95 %"
        ),
    ),
    StatedFigures(
        SMOLLM2,
        "at 80 % DPPA keeps # %, DARE # %, TIES # %, whole deltas # %. No difference is beyond "
        "chance (whole deltas minus DPPA -# points, -# to #),",
        lambda _: of_smollm2(
            r"law at 80 %, mean retention with one coefficient: DPPA (\d+) %, DARE (\d+) %, TIES "
            r"(\d+) %, task arithmetic (\d+) %.*? task arithmetic -([\d.]+) points \(-([\d.]+) to "
            r"\+([\d.]+)\)\. math"
        ),
    ),
    StatedFigures(
        SMOLLM2,
        "the three keep # % of that (arithmetic mean of the domains); the embedded models, which "
        "differ in more than size, keep # %.",
        lambda data: (
            *data.cell("overview", SMOLLM2_AT_90, "task arithmetic"),
            *data.cell("overview", AT_80, "task arithmetic"),
        ),
    ),
    StatedFigures(
        SMOLLM2,
        "the three keep # %. Pruned by 90 % of all entries, embeddings too, magnitude keeps # %, "
        "DPPA # %,",
        lambda data: tuple(
            figure
            for column in ("task arithmetic", "magnitude", "DPPA")
            for figure in data.cell("overview", SMOLLM2_FULL, column)
        ),
    ),
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
