"""The sentences of hand-written pages that state measured figures, and the data they rest on.

scripts/stated_figures.py rewrites them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from dppa_core.studies.zoo.results.entry import RATE
from dppa_core.studies.zoo.study.merges import CLAIM_RATES
from dppa_core.tasks import DOMAINS
from scripts.measured_results import Results, found, text_of

TEN, README, SMOLLM2 = "docs/start/ten-minutes.md", "README.md", "docs/guides/smollm2.md"
TUNE, SCORE, SEARCH = (f"docs/guides/{name}.md" for name in ("tune-by-eye", "score", "search"))
COEFFICIENTS = "docs/guides/coefficients.md"
EMBEDDED_MODELS = "docs/embedded-models.md"


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


def of_survey(row: str) -> Callable[[Results], tuple[str, ...]]:
    """Figures of docs/survey.md."""
    return lambda _: found(row, text_of("docs/survey.md"))


def of_smollm2(row: str) -> tuple[str, ...]:
    """Figures of the page of SmolLM2's experiments."""
    return found(row, text_of("docs/smollm2/experiments.md"))


def with_embeddings_whole() -> tuple[str, ...]:
    """Points by which DPPA keeps more than magnitude where embeddings stay whole, in docs/study.md;
    there the difference is magnitude's."""
    row = r"\| magnitude pruning \| 90 %, embeddings whole \|[^|]+\|[^|]+\| "
    figures = found(rf"{row}([-+.\d]+) \(([-+.\d]+) to ([-+.\d]+)\)", text_of("docs/study.md"))
    mean, low, high = (-float(one) for one in figures)
    return f"{mean:.1f}", f"{-high:.1f}", f"{low:.1f}"


def adamerging(row: str) -> tuple[str, ...]:
    """Mean retention, gain and half of its interval in docs/adamerging-results.md."""
    mean = r"([\d.]+) % \| (?:\+([\d.]+) ± ([\d.]+)|–) \|"
    return found(rf"\n\| {row} \| [^%\n]*? {mean}", text_of("docs/adamerging-results.md"))


POINTS = r"([-+]?[\d.]+) points \(([-+]?[\d.]+) to ([-+]?[\d.]+)\)"
MEAN = r"\| mean retention \| [^|]+\| ([\d.]+) \(([\d.]+)–([\d.]+)\)"
WORSE = r"better than what was found: -([\d.]+) points \(95 % interval -10"
STRENGTH = "".join(rf" (-[\d.]+) points \([^)]+\) at {rate} %.*?" for rate in (85, 90, 95))
BESIDE = "DPPA keeps # points more than magnitude (-# to #)"
PLAIN_SEEDS, BETWEEN_SEEDS = 5, 3
PLAIN_AT_90 = {"models": f"small, plain, {PLAIN_SEEDS} seeds", "pruned": 90.0}
BETWEEN_AT_80 = {"models": f"small, between, {BETWEEN_SEEDS} seeds", "pruned": 80.0}
APART_AT_80 = {"models": "embedded, between, seed 1", "pruned": 80.0}
SMOLLM2_AT_90 = {"models": "smollm2, lora, seed 0", "pruned": 90.0}
ONE = "magnitude, one factor"
ALONE_AT_95, OVER_MAGNITUDE = {"pruned": 95.0}, "minus plain magnitude"
AT_80, AT_90, AT_95 = (
    {"models": "embedded, settled", "pruned": rate} for rate in (80.0, 90.0, 95.0)
)
STATED = (
    StatedFigures(
        README,
        "(task arithmetic) keep # % of the domain models' scores. DPPA with a fifth of the "
        "matrices keeps # %, # points less (# to #;",
        lambda data: (
            *(data.kept("task_arithmetic"), data.kept("dppa")),
            *data.ahead("task_arithmetic"),
        ),
    ),
    StatedFigures(README, BESIDE, lambda data: data.unsure("magnitude")),
    StatedFigures(
        README,
        "at 95 %: magnitude pruning leaves # % of their accuracy. With settings searched alike "
        "magnitude keeps # %, DPPA # %, # points more (# to #).",
        lambda data: (
            *data.cell("overview", AT_95, "magnitude as pruned"),
            *data.cell("overview", AT_95, "magnitude"),
            *data.cell("overview", AT_95, "DPPA"),
            *data.cell("overview", AT_95, "minus magnitude"),
        ),
    ),
    StatedFigures(
        README,
        "Whole deltas keep # (# to #) and # (# to #) points more than DPPA.",
        lambda data: tuple(
            figure
            for rate in CLAIM_RATES
            for figure in data.over_sizes("dppa", "task_arithmetic", rate)
        ),
    ),
    StatedFigures(
        README,
        "With embeddings whole (5 sets, 90 %) DPPA keeps # more than magnitude (-# to #).",
        lambda _: with_embeddings_whole(),
    ),
    StatedFigures(
        README,
        "DPPA keeps # points more than magnitude at 90 % (# to #), # at 95 % (-# to #); its two "
        "factors with even densities (DPA) # (# to #) and # (# to #); its uneven densities with "
        "one factor (DP) # (-# to #) and # (-# to #).",
        lambda data: tuple(
            figure
            for name in ("dppa", "dpa", "dp")
            for rate in CLAIM_RATES
            for figure in data.over_sizes(name, "magnitude", rate)
        ),
    ),
    StatedFigures(
        README,
        "Over # training seeds of small ones whole deltas keep # %, less than the # % or more of "
        "one model that is not merged; so do pruned merges. Trained with a quarter of other texts "
        "(replay) and a pull to the base, whole deltas keep # % over # seeds "
        "(larger models, one seed: # %), DPPA pruned by 80 % # points less (# to #).",
        lambda data: (
            str(PLAIN_SEEDS),
            *data.cell("overview", PLAIN_AT_90, "task arithmetic"),
            f"{100 / len(DOMAINS):.1f}",
            *data.cell("overview", BETWEEN_AT_80, "task arithmetic"),
            str(BETWEEN_SEEDS),
            *data.cell("overview", APART_AT_80, "task arithmetic"),
            *data.cell("overview", BETWEEN_AT_80, "minus task arithmetic"),
        ),
    ),
    StatedFigures(
        "docs/method.md",
        "their logits correlate # (# to #) over # deltas, on models of 0.6 to 135 million "
        "parameters. With ln ‖d‖/‖W‖ the former correlates # (# to #) over",
        lambda data: (
            *of_survey(r"both rates correlate ([\d.]+) \(([\d.]+) to ([\d.]+)\)")(data),
            *of_survey(r"deltas (\d+) break between")(data),
            *of_survey(r"correlates ([\d.]+) \(([\d.]+) to ([\d.]+)\) over the models")(data),
        ),
    ),
    StatedFigures(
        SMOLLM2,
        "what it keeps (-# points, -# to -#). Magnitude with one searched factor keeps all of it; "
        "two factors (DPA) do no better (-# points, -# to #).",
        lambda _: (
            *of_smollm2(r"DP minus DARE -([\d.]+) points \(-([\d.]+) to -([\d.]+)\)"),
            *of_smollm2(
                r"What was found.*one factor: .*?seen, -([\d.]+) points \(-([\d.]+) to \+([\d.]+)\)"
            ),
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
        "docs/method.md",
        "`scaling: mean` keeps # points less (-# to #), `semantics: authors` # points less (# to "
        "#),",
        lambda data: (
            *data.loss("dppa", "shifts by effect size"),
            *data.loss("dppa", "as the authors' program"),
        ),
    ),
    StatedFigures(
        "docs/method.md",
        "correlation of # (# to #) with the foretold one, the cost one of # (# to #).",
        lambda data: (
            *of_survey(r"best factor has ([\d.]+) \(([\d.]+) to ([\d.]+)\) with the fore")(data),
            *of_survey(r"correlation of ([\d.]+) \(([\d.]+) to ([\d.]+)\) with the fore")(data),
        ),
    ),
    StatedFigures(
        "docs/method.md",
        "at 95 % pruning costs # to # times as much",
        lambda data: data.finding("gain", r"it costs ([\d.]+) to ([\d.]+) times"),
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
        EMBEDDED_MODELS,
        "keep # % of the domain models' accuracy; at 80 % pruning DPPA keeps # %, magnitude "
        "pruning # %, each",
        lambda data: (
            *data.cell("overview", AT_80, "task arithmetic"),
            *data.cell("overview", AT_80, "DPPA"),
            *data.cell("overview", AT_80, "magnitude"),
        ),
    ),
    StatedFigures(
        EMBEDDED_MODELS,
        "magnitude pruning leaves # % in the merge, DP at the paper's strength # %. With settings "
        "searched for each, magnitude keeps # %, DP with one factor # %, DPPA # %.",
        lambda data: data.finding(
            "overview",
            r"pruning leaves ([\d.]+) %.* leaves ([\d.]+) %.*magnitude keeps ([\d.]+) %, DP with "
            r"one factor ([\d.]+) %, DPPA ([\d.]+) %",
        ),
    ),
    StatedFigures(
        EMBEDDED_MODELS,
        "At 90 % DPPA keeps # points more than magnitude (# to #;",
        lambda data: data.cell("overview", AT_90, "minus magnitude"),
    ),
    StatedFigures(
        README,
        "Each model alone, pruned by 95 %, against magnitude without a factor (`make "
        "experiments`): DP answers # points less (# to #), with two searched factors # more (# to "
        "#). At one rate for all matrices one factor answers # more (# to #), two # more "
        "than one (# to #).",
        lambda data: (
            *data.cell("ablation", {**ALONE_AT_95, "variant": "DP alone"}, OVER_MAGNITUDE),
            *data.cell("ablation", {**ALONE_AT_95, "variant": "both (DPPA)"}, OVER_MAGNITUDE),
            *data.cell("ablation", {**ALONE_AT_95, "variant": ONE}, OVER_MAGNITUDE),
            *data.cell("ablation", {**ALONE_AT_95, "variant": "DPA alone"}, "minus one factor"),
        ),
    ),
    StatedFigures(
        README,
        "DPPA ranks # of # methods, or # of the # that make one",
        lambda data: (*data.place("dppa"), *data.place("dppa", without="emr")),
    ),
    StatedFigures(README, "Magnitude keeps # % of every", lambda _: (f"{100 * (1 - RATE):.0f}",)),
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
