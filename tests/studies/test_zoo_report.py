"""The results page agrees with the measured report."""

import pytest

from dppa_core.evaluation.scores import DomainScore, Evaluation
from dppa_core.studies.zoo.build import model_card
from dppa_core.studies.zoo.results.scores import MethodScores, ZooReport, recipe, retained
from dppa_core.studies.zoo.results.scores_text import findings, markdown
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import wilson


def _scores(**shares: float) -> Evaluation:
    domains = {
        name: DomainScore(share, wilson(round(share * 100), 100), 100, {})
        for name, share in shares.items()
    }
    return Evaluation("x", "test", domains)


def _row(method: str, alone: float, merged: float, rate: float = 0.9) -> MethodScores:
    return MethodScores(
        method,
        rate,
        {domain: (1.5, 1.0) for domain in DOMAINS} if method == "dppa" else {},
        {domain: _scores(**{domain: alone}) for domain in DOMAINS},
        1.2,
        _scores(**dict.fromkeys(DOMAINS, merged)),
    )


@pytest.fixture
def report() -> ZooReport:
    full = dict.fromkeys(DOMAINS, 1.0)
    return ZooReport(
        base=_scores(**dict.fromkeys(DOMAINS, 0.02)),
        own={domain: _scores(**full) for domain in DOMAINS},
        plain=(1.0, _scores(**dict.fromkeys(DOMAINS, 0.9))),
        treated=(_row("dare", 0.5, 0.4), _row("dppa", 0.8, 0.7)),
        test_items=None,
        search_items=60,
    )


def test_findings_name_the_best_merge_and_what_whole_deltas_keep(report: ZooReport) -> None:
    first = findings(report)[0]
    assert "DPPA at 90 %" in first
    assert "keeps 70 %" in first
    assert "keep 90 %" in first


def test_findings_rank_the_methods_at_each_rate(report: ZooReport) -> None:
    assert (
        "At 90 % pruning, mean accuracy of the domains pruned one at a time: DPPA 80 %, DARE 50 %."
        in findings(report)
    )


def test_findings_say_where_dare_loses_a_tenth(report: ZooReport) -> None:
    assert "in math, finance, law" in findings(report)[-1]


def test_findings_say_when_the_deltas_are_small(report: ZooReport) -> None:
    small = ZooReport(report.base, report.own, report.plain, (_row("dare", 0.95, 0.9),), None, 60)
    assert "in no domain" in findings(small)[-1]


def test_the_page_has_every_row_with_its_interval_and_the_command(report: ZooReport) -> None:
    page = markdown(report, "dppa zoo report")
    assert "`dppa zoo report`" in page
    assert page.count("| DPPA |") == 2
    assert "80.0 (71.1–86.7)" in page
    assert "math 1.5 / 1" in page


def test_retained_is_the_mean_of_the_ratios() -> None:
    own = {"math": 1.0, "finance": 0.5, "law": 0.8}
    assert retained(_scores(math=0.5, finance=0.5, law=0.4), own) == pytest.approx(2 / 3)


def test_dp_is_dppa_with_one_partition_at_factor_1() -> None:
    made = recipe("dp", 0.8, ["math"])
    assert made.method == "dppa"
    assert made.models[0].levels == (0.8,)
    assert made.models[0].amplification == (1.0,)


def test_a_card_states_licence_training_and_scores() -> None:
    card = model_card(
        {
            "stages": [
                {
                    "name": "law",
                    "steps": 700,
                    "batch": 64,
                    "learning_rate": 1e-3,
                    "replay": 0.3,
                    "pull": 5.0,
                    "scales": [1.0, 1.0],
                    "seed": 0,
                },
                {
                    "name": "law",
                    "steps": 500,
                    "batch": 64,
                    "learning_rate": 7e-4,
                    "replay": 0.4,
                    "pull": 15.0,
                    "scales": [0.4, 1.2],
                    "seed": 1,
                    "company": 0.5,
                },
            ],
            "architecture": {
                "layers": 6,
                "hidden": 256,
                "feed_forward": 512,
                "heads": 4,
                "vocabulary": 1024,
            },
            "search_accuracy": {"law": 0.951},
        }
    )
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "700 steps of 64 texts" in card
    assert "deltas beside it in 50 % of the steps" in card
    assert "random scale from 0.4 to 1.2" in card
    assert "| law | 95 % |" in card
