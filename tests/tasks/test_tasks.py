"""The questions: seeded, disjoint between splits, and scored exactly."""

import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dppa_core import tasks
from dppa_core.errors import InvalidValue, UnknownName
from dppa_core.tasks import (
    DOMAINS,
    NEWS,
    SPLITS,
    example_items,
    example_of,
    example_prompts,
    finance,
    items,
    law,
    math,
    news,
    score,
    tasks_of,
)
from dppa_core.tasks.items import Item, fillers, last_number, only_label, plain, wordings

POOLS = {
    "names": math.NAMES,
    "things": math.THINGS,
    "parties": law.PARTIES,
    "places": law.PLACES,
    "people in the news": news.NAMES,
}
WORDINGS = {
    f"{module.__name__} {name}": getattr(module, name)
    for module, names in {
        math: "OPENINGS GAINS LOSSES GROUPS QUESTIONS",
        finance: "GOOD BAD EVEN TONE_QUESTIONS REPORT_QUESTIONS MOVES",
        law: "CLAUSE_QUESTIONS DEEDS HARSH MILD TERM_QUESTIONS HOLDING_QUESTIONS",
        news: "OPENINGS UP DOWN ASIDES RISE_QUESTIONS FALL_QUESTIONS AMOUNT_QUESTIONS",
    }.items()
    for name in names.split()
} | {f"report on {subject}": texts for subject, texts in finance.REPORTS.items()}


ALL = (*DOMAINS, NEWS)


@pytest.mark.parametrize("domain", ALL)
def test_a_full_test_has_200_different_items_of_every_task(domain: str) -> None:
    drawn = items(domain, "test")
    counts = {task.name: 0 for task in tasks_of(domain)}
    for item in drawn:
        counts[item.task] += 1
    assert set(counts.values()) == {200}
    assert len({item.prompt for item in drawn}) == len(drawn)


@pytest.mark.parametrize("domain", ALL)
def test_every_domain_has_two_tasks_or_more(domain: str) -> None:
    assert len(tasks_of(domain)) >= 2


@pytest.mark.parametrize("domain", ALL)
@pytest.mark.parametrize("split", SPLITS)
def test_the_reference_answer_scores_and_an_empty_reply_does_not(domain: str, split: str) -> None:
    for item in items(domain, split, 60):
        assert score(item, item.answer)
        assert not score(item, "")


def test_the_same_arguments_give_the_same_items() -> None:
    assert items("law", "search", 30) == items("law", "search", 30)
    assert items("law", "search", 30, seed=1) != items("law", "search", 30)


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_no_filler_is_in_two_splits(pool: list[str]) -> None:
    parts = [set(fillers(pool, split)) for split in SPLITS]
    assert all(parts)
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(set(pool))


@pytest.mark.parametrize("pool", WORDINGS.values(), ids=WORDINGS)
def test_the_test_split_has_wordings_that_no_other_split_has(pool: tuple[str, ...]) -> None:
    train, search, test = (set(wordings(pool, split)) for split in SPLITS)
    assert test - train - search
    assert train <= test


def test_company_names_of_two_splits_never_meet() -> None:
    rng = random.Random(0)
    drawn = {
        split: {finance.company(rng, split).split()[0] for _ in range(400)} for split in SPLITS
    }
    assert not drawn["train"] & drawn["test"]
    assert not drawn["search"] & drawn["test"]


def test_prompts_of_train_and_test_never_meet() -> None:
    for domain in ALL:
        train = {item.prompt for item in items(domain, "train", 1000)}
        assert not train & {item.prompt for item in items(domain, "test", 400)}


def test_sums_in_the_working_are_right_and_stay_within_two_digits() -> None:
    for item in items("math", "train", 400):
        for step in item.answer.split(". ")[:-1]:
            left, right = step.split(" = ")
            a, symbol, b = left.split()
            result = {"+": int(a) + int(b), "-": int(a) - int(b), "x": int(a) * int(b)}[symbol]
            assert int(right) == result
            assert 0 <= result <= 99


def test_a_direction_is_scored_by_its_figures() -> None:
    for item in items("finance", "train", 300):
        if item.task == "direction":
            old, new = (int(part.split()[0]) for part in item.answer.split("$")[1:])
            assert ("rose" in item.answer) == (new > old)


def figures_told(article: str) -> dict[str, tuple[int, int]]:
    """Figure -> what it was and is, read from an article's sentences."""
    figures = {}
    for sentence in article.split(". "):
        sums = [int(number) for number in re.findall(r"\$(\d+) million", sentence)]
        if sums:
            old_first = re.search(r"from \$\d+ million.* to ", sentence)
            figures[sentence.split()[0].lower()] = tuple(sums if old_first else sums[::-1])
    return figures


@pytest.mark.parametrize("split", SPLITS)
def test_the_answer_on_an_article_is_what_its_sentences_say(split: str) -> None:
    for item in items(NEWS, split, 200):
        figures = figures_told(item.prompt)
        assert len(figures) == 3
        named = item.answer.split()[0].lower()
        if item.task == "figure":
            assert item.answer.endswith(f" is ${figures[named][1]} million.")
            assert named in item.prompt.rpartition(". ")[2]
            continue
        rose = "rose" in item.answer
        assert [name for name, (old, new) in figures.items() if (new > old) == rose] == [named]


def test_the_example_of_the_news_is_an_article_like_the_others() -> None:
    (example,) = example_items(NEWS)
    assert figures_told(example.prompt)["profit"] == (7, 4)
    assert score(example, "It is profit that fell.") and not score(example, "Profit or debt.")
    assert example_of(example.prompt) == example


@pytest.mark.parametrize(
    ("domain", "task", "answer", "reply", "right"),
    [
        ("math", "one_step", "The answer is 17.", "I think 17", True),
        ("math", "one_step", "The answer is 17.", "17 or 18", False),
        ("finance", "sentiment", "The tone is positive.", "positive", True),
        ("finance", "sentiment", "The tone is positive.", "positive or negative", False),
        ("finance", "report", "The report is about debt.", "debt", True),
        ("finance", "report", "The report is about debt.", "debt and rent", False),
        ("finance", "report", "The report is about debt.", "rent", False),
        ("finance", "direction", "it rose.", "It fell.", False),
        ("law", "clause", "It is a law clause.", "A law clause", True),
        ("law", "fairness", "The term is fair.", "The term is unfair.", False),
        ("law", "holding", "Holding (A): x.", "(A)", True),
        ("law", "holding", "Holding (A): x.", "Holding A", False),
    ],
)
def test_scorers_are_exact(domain: str, task: str, answer: str, reply: str, right: bool) -> None:
    assert score(Item(domain, task, "?", answer), reply) is right


def test_an_unknown_domain_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(UnknownName, match="'finanse'.*'finance'"):
        items("finanse")


def test_more_items_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    constant = tasks.Task("one_step", lambda rng, split: ("1 + 1?", "The answer is 2."), str)
    monkeypatch.setattr(tasks, "tasks_of", lambda domain: (constant,))
    assert len(items("math", "search", 1)) == 1
    with pytest.raises(InvalidValue, match="fewer than 2 different search items"):
        items("math", "search", 2)


@pytest.mark.parametrize("n", [0, -1])
def test_no_items_at_all_are_refused(n: int) -> None:
    with pytest.raises(InvalidValue, match=f"at least 1, got {n}"):
        items("math", "test", n)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(InvalidValue, match="train, search, test"):
        items("law", "dev", 1)


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_example_has_an_answer_that_its_task_accepts(domain: str) -> None:
    prompts = example_prompts(domain)
    assert prompts
    for prompt in prompts:
        item = example_of(f" {prompt} ")
        assert item is not None and item.prompt == prompt and item.domain == domain
        assert score(item, item.answer) and not score(item, "no idea")
    assert example_of("What is 2 + 2?") is None


def test_last_number_reads_the_last_one() -> None:
    assert last_number("3 + 4 = 7. So 7 apples") == 7
    assert last_number("none") is None
    assert last_number("7 m²") == 7
    assert last_number("٣٤ or ③") == 34
    assert last_number("9" * 5000) is None


QUESTIONS = [item for domain in DOMAINS for item in items(domain, "search", 6)]


@given(st.text() | st.text("0123456789²③٣½-(AB)", max_size=40), st.sampled_from(QUESTIONS))
@example("²", QUESTIONS[0])
@example("9" * 5000, QUESTIONS[0])
@example("(", QUESTIONS[-1])
def test_no_reply_can_break_a_scorer(reply: str, item: Item) -> None:
    assert score(item, reply) in (True, False)
    assert score(item, f"{reply} {item.answer}") in (True, False)


def test_only_label_wants_exactly_one() -> None:
    assert only_label("It is Fair.", ("fair", "unfair")) == "fair"
    assert only_label("unfair", ("fair", "unfair")) == "unfair"
    assert only_label("fair and unfair", ("fair", "unfair")) is None


def test_plain_forgets_case_space_and_the_full_stop() -> None:
    assert plain("  $42   Million. ") == "$42 million"
