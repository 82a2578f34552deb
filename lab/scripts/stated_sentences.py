"""The sentences of hand-written pages that state measured figures, and the data they rest on.

lab/scripts/stated_figures.py rewrites them.
"""

from dppa_core.tasks import DOMAINS
from dppa_lab.zoo.results.entry import RATE
from dppa_lab.zoo.study.merges import CLAIM_RATES
from lab.scripts.measured_results import found, text_of
from lab.scripts.stated_guides import GUIDES, SMOLLM2_AT_90, second_on_smollm2
from lab.scripts.stated_pattern import AT_80, BESIDE, StatedFigures, as_loss, of_search, of_survey

README = "README.md"
EMBEDDED_MODELS = "docs/embedded-models.md"


PLAIN_SEEDS = 5
PLAIN_AT_90 = {"models": f"small, plain, {PLAIN_SEEDS} seeds", "pruned": 90.0}
ONE = "magnitude, one factor"
ALONE_AT_95, OVER_MAGNITUDE = {"pruned": 95.0}, "minus plain magnitude"
AT_90, AT_95 = {**AT_80, "pruned": 90.0}, {**AT_80, "pruned": 95.0}
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
    StatedFigures(
        README,
        "a climb, DPPA keeps # % (geometric mean; # to #) and",
        of_search(r"\| mean retention \(geometric\) \| ([\d.]+) \(([\d.]+)–([\d.]+)\)"),
    ),
    StatedFigures(
        README,
        "answers # points less than with factors of 1 (# to #).",
        lambda _: as_loss(
            found(
                r"better than what was found: -([\d.]+) points \(95 % interval -(10[\d.]*) to "
                r"-([\d.]+)",
                text_of("lab/docs/search.md"),
            )
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
        "tested on # new training seeds",
        lambda data: (str(len(data.new)),),
    ),
    StatedFigures(
        README,
        "DPPA keeps # points more than magnitude (# to #), two factors with even "
        "densities (DPA) # (# to #); at 95 % DPA keeps # more (# to #), and DPPA's # are open (-# "
        "to #).",
        lambda data: tuple(
            figure
            for name, rate in (("dppa", 0.9), ("dpa", 0.9), ("dpa", 0.95), ("dppa", 0.95))
            for figure in data.over_new(name, "magnitude", rate)
        ),
    ),
    StatedFigures(
        README,
        "Whole deltas keep # (# to #) and # (# to #) points more than DPPA.",
        lambda data: tuple(
            figure
            for rate in CLAIM_RATES
            for figure in data.over_new("dppa", "task_arithmetic", rate)
        ),
    ),
    StatedFigures(
        README,
        "as the app leaves them, DPPA's # at 90 % are open (-# to #).",
        lambda data: data.over_new_with_embeddings(0.9),
    ),
    StatedFigures(
        README,
        "no difference is seen at 90 % (# points, -# to #).",
        lambda data: tuple(
            figure.removeprefix("-")
            for figure in data.cell("overview", SMOLLM2_AT_90, "minus magnitude")
        ),
    ),
    StatedFigures(
        EMBEDDED_MODELS,
        "whole deltas keep # % with both, # % with the first alone and # % with neither",
        lambda data: tuple(
            figure
            for kind in ("settled, 5", "between, 3", f"plain, {PLAIN_SEEDS}")
            for figure in data.cell(
                "overview", {"models": f"small, {kind} seeds", "pruned": 90.0}, "task arithmetic"
            )
        ),
    ),
    StatedFigures(
        EMBEDDED_MODELS,
        "it is # points at 90 % with embeddings whole as here (-# to #, open).",
        lambda data: data.over_new_with_embeddings(0.9),
    ),
    StatedFigures(
        EMBEDDED_MODELS,
        "as well it is # at 90 % (# to #) and # at 95 % (-# to #, open), DPA's lead at 95 % # (# "
        "to #).",
        lambda data: tuple(
            figure
            for name, rate in (("dppa", 0.9), ("dppa", 0.95), ("dpa", 0.95))
            for figure in data.over_new(name, "magnitude", rate)
        ),
    ),
    StatedFigures(
        README,
        "Over # training seeds of small ones whole deltas keep # %, DPPA at 90 % # % (the "
        "difference is open), and one model that is not merged # % or more.",
        lambda data: (
            str(PLAIN_SEEDS),
            *data.cell("overview", PLAIN_AT_90, "task arithmetic"),
            *data.cell("overview", PLAIN_AT_90, "DPPA"),
            f"{100 / len(DOMAINS):.1f}",
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
        "by # points at 85 % (# to #), # at 90 % (# to #) and # at 95 % (# to #); from",
        lambda data: tuple(
            figure
            for rate in (85, 90, 95)
            for figure in as_loss(
                found(
                    r"minus strength 0, test items:.*?[;] -([\d.]+) points "
                    rf"\(-([\d.]+) to -([\d.]+)\) at {rate} %",
                    data.experiments["strength"]["finding"],
                )
            )
        ),
    ),
    StatedFigures(
        "docs/method.md",
        "at 95 % pruning costs # to # times as much",
        lambda data: data.finding("gain", r"it costs ([\d.]+) to ([\d.]+) times"),
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
        "experiments`): DP answers # points less (# to #); DP with two searched factors # more (# "
        "to #). At one rate for all matrices one factor answers # more (# to #), two # more "
        "than one (# to #); DPPA at that strength answers # less than one factor (# to #).",
        lambda data: (
            *data.cell("ablation", {**ALONE_AT_95, "variant": "DP alone"}, OVER_MAGNITUDE),
            *data.cell("ablation", {**ALONE_AT_95, "variant": "both (DPPA)"}, OVER_MAGNITUDE),
            *data.cell("ablation", {**ALONE_AT_95, "variant": ONE}, OVER_MAGNITUDE),
            *data.cell("ablation", {**ALONE_AT_95, "variant": "DPA alone"}, "minus one factor"),
            *data.cell("ablation", {**ALONE_AT_95, "variant": "both (DPPA)"}, "minus one factor"),
        ),
    ),
    StatedFigures(
        README,
        "On SmolLM2 a second factor was not seen to help (-# points, -# to #).",
        lambda _: second_on_smollm2(),
    ),
    StatedFigures(
        README,
        "DPPA ranks # of # methods, or # of the # that make one",
        lambda data: (*data.place("dppa"), *data.place("dppa", without="emr")),
    ),
    StatedFigures(README, "Magnitude keeps # % of every", lambda _: (f"{100 * (1 - RATE):.0f}",)),
    *GUIDES,
)
