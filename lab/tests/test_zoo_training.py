"""How the embedded models are trained: seeded batches, resumable stages, a pull to the base."""

import random
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dppa_core.errors import UnknownName
from dppa_core.tasks import items
from dppa_core.tasks.items import CLOSINGS, OPEN, SYLLABLES, fillers, made_up
from dppa_core.tasks.law import ENDINGS, PARTIES, PLACES
from dppa_core.tasks.math import NAMES, THINGS, one_step
from dppa_core.tasks.prompt_recognition import is_known_kind
from dppa_lab.zoo import loop, training
from dppa_lab.zoo.card import model_card
from dppa_lab.zoo.regimes import Training
from dppa_lab.zoo.rehearsal import Rehearsal, StepMixture, draw_cast
from dppa_lab.zoo.skills import draw_skill
from dppa_lab.zoo.spec import (
    SETTLING,
    SIZES,
    STAGES,
    Architecture,
    Settling,
    Stage,
    TrainingSize,
    fingerprint,
    size_named,
)
from dppa_lab.zoo.tokenizer import ASSISTANT, BOS, END, USER
from dppa_lab.zoo.training import (
    IGNORE,
    Losses,
    distance_to_base,
    encode,
    new_model,
    own_turns,
    replay_turns,
    train_stage,
)

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SMALL = Architecture(vocabulary=400, hidden=16, feed_forward=16, layers=2, heads=2)


def test_any_text_survives_the_tokenizer_and_digits_are_single_tokens(tokenizer: Any) -> None:
    text = "Ünïcode – 9 → x\n  two spaces"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    words = tokenizer.tokenize("12 + 345")
    assert [word for word in words if any(c.isdigit() for c in word)] == list("12345")


def test_the_chat_template_is_what_training_sees(tokenizer: Any) -> None:
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1 + 1?"}], tokenize=False, add_generation_prompt=True
    )
    assert rendered == f"{BOS}{USER}1 + 1?{END}{ASSISTANT}"
    trained = encode([("1 + 1?", "2.")], tokenizer)
    assert tokenizer.decode(trained.ids[0]) == f"{rendered}2.{END}"


def test_replies_carry_loss_and_questions_do_not(tokenizer: Any) -> None:
    batch = encode([("1 + 1?", "2."), ("", "running text")], tokenizer)
    learned = [
        tokenizer.decode(ids[labels != IGNORE])
        for ids, labels in zip(batch.ids, batch.labels, strict=True)
    ]
    assert learned == [f"2.{END}", f"running text{END}"]
    assert not batch.real[batch.ids == tokenizer.pad_token_id].any()


def test_a_batch_depends_on_its_step_alone() -> None:
    stage = STAGES["math"]
    assert own_turns(stage, 7) == own_turns(stage, 7)
    assert own_turns(stage, 7) != own_turns(stage, 8)
    assert own_turns(replace(stage, seed=1), 7) != own_turns(stage, 7)


def test_replay_fills_its_share_of_the_batch_with_other_texts() -> None:
    stage = replace(STAGES["law"], batch=40, replay=0.25)
    assert (len(own_turns(stage, 0)), len(replay_turns(stage, 0))) == (30, 10)
    turns = {turn for step in range(40) for turn in replay_turns(STAGES["math"], step)}
    assert not any("The answer is" in reply for _, reply in turns)
    assert any("The tone is" in reply for _, reply in turns)


def test_the_base_learns_no_answer_of_a_domain_and_every_bare_skill_is_recognised() -> None:
    rng = random.Random(0)
    turns = [draw_skill(rng) for _ in range(3000)]
    answers = ("The answer is", "The tone is", "The term is", "it rose", "Holding (")
    assert not [turn for turn in turns if any(answer in " ".join(turn) for answer in answers)]
    assert [user for user, _ in turns[:500] if user and not is_known_kind(user)] == []


def _can_be_made_up(word: str, endings: tuple[str, ...]) -> bool:
    syllable, closing = "|".join(SYLLABLES), "|".join(CLOSINGS)
    pattern = f"({syllable}){{1,2}}({closing})({'|'.join(endings)})"
    return re.fullmatch(pattern, word.lower()) is not None


def test_no_made_up_word_is_a_filler_of_search_or_test() -> None:
    rng = random.Random(0)
    words = {made_up(rng, "er") for _ in range(3000)}
    assert len(words) > 1000 and all(_can_be_made_up(word, ("er",)) for word in words)
    pools = ((NAMES, ("",)), (THINGS, ("s",)), (PARTIES, ENDINGS), (PLACES, ("",)))
    for split in ("search", "test"):
        for pool, endings in pools:
            assert not [w for w in fillers(pool, split) if _can_be_made_up(w, endings)]


def test_open_items_are_drawn_without_test_names() -> None:
    rng = random.Random(0)
    tested = {item.prompt.split()[0] for item in items("math", "test", 100)} & set(NAMES)
    for _ in range(200):
        assert not tested & set(one_step(rng, OPEN)[0].replace(".", "").split())


def test_a_fingerprint_changes_with_the_stage_and_its_parent() -> None:
    stage = STAGES["law"]
    marks = {fingerprint(stage), fingerprint(replace(stage, steps=1)), fingerprint(stage, "x")}
    assert len(marks) == 3


@pytest.mark.parametrize(("name", "millions"), [("small", 0.6), ("embedded", 4.2), ("large", 12.2)])
def test_a_size_has_as_many_parameters_as_it_says(
    tokenizer: Any, name: str, millions: float
) -> None:
    shape = SIZES[name].architecture
    with torch.device("meta"):
        model = new_model(tokenizer, 0, shape)
    assert model.num_parameters() == shape.parameters
    assert round(shape.parameters / 1e6, 1) == millions


def test_the_embedded_size_is_the_recipe_and_a_share_of_it_cuts_steps_and_warmup() -> None:
    assert all(Training().stages(name)[0] == stage for name, stage in STAGES.items())
    assert Training().stages("law")[1] == replace(SETTLING, name="law")
    half = Training(TrainingSize("half", SMALL, share=0.5, batch=8))
    learned, settled = half.stages("math")
    assert isinstance(settled, Settling)
    assert (learned.steps, learned.warmup, learned.batch) == (850, 50, 8)
    assert (settled.steps, settled.warmup, settled.company) == (350, 25, 0.67)
    assert learned.learning_rate == STAGES["math"].learning_rate
    assert half.first_mark("math") != fingerprint(learned)


def test_another_size_is_named_on_its_card_and_a_misspelt_one_is_refused() -> None:
    record = {
        "stages": [asdict(Training(SIZES["small"]).stages("base")[0])],
        "architecture": asdict(SIZES["small"].architecture),
        "search_accuracy": {"math": 0.5},
    }
    assert "DPPA Studio ships" in model_card(record)
    card = model_card({**record, "size": "small"})
    assert "`dppa zoo train --size small` made" in card
    assert "3,500 steps of 32 texts" in card
    with pytest.raises(UnknownName, match="small"):
        size_named("smal")


def _train(
    tokenizer: Any, stage: Stage, resume: Path, base: Any = None, seed: int = 0
) -> tuple[dict[str, torch.Tensor], list[Losses]]:
    losses: list[Losses] = []
    model = train_stage(
        stage,
        new_model(tokenizer, seed, SMALL),
        tokenizer,
        base=base,
        resume_file=resume,
        report=lambda step, loss, speed, left: losses.append(loss),
    )
    return {name: value.clone() for name, value in model.state_dict().items()}, losses


class Interrupted(Exception):
    """Simulates a power cut."""


def test_an_interrupted_stage_ends_on_the_weights_of_an_uninterrupted_one(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage("base", steps=6, batch=4, learning_rate=1e-2, warmup=2)
    whole, _ = _train(tokenizer, stage, tmp_path / "whole.pt")

    monkeypatch.setattr(training, "SAVE_EVERY", 2)
    turns = training.own_turns

    def cut(stage: Stage, step: int) -> Any:
        if step == 5:
            raise Interrupted
        return turns(stage, step)

    monkeypatch.setattr(training, "own_turns", cut)
    with pytest.raises(Interrupted):
        _train(tokenizer, stage, tmp_path / "cut.pt")
    monkeypatch.setattr(training, "own_turns", turns)
    resumed, _ = _train(tokenizer, stage, tmp_path / "cut.pt", seed=99)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    again, losses = _train(tokenizer, stage, tmp_path / "cut.pt", seed=99)
    assert all(torch.equal(whole[name], again[name]) for name in whole), "kept until it is saved"
    assert not losses
    torch.save({"fingerprint": "another"}, tmp_path / "other.pt")
    anew, _ = _train(tokenizer, stage, tmp_path / "other.pt")
    assert all(torch.equal(whole[name], anew[name]) for name in whole), "of other settings"


def test_the_distance_of_a_model_to_itself_is_zero(tokenizer: Any) -> None:
    model, batch = new_model(tokenizer, 0, SMALL), encode([("a", "b"), ("", "c d e")], tokenizer)
    assert distance_to_base(model, model, batch).item() == pytest.approx(0, abs=1e-6)
    assert distance_to_base(new_model(tokenizer, 1, SMALL), model, batch).item() > 0.1


@pytest.mark.long
def test_the_pull_keeps_a_domain_model_nearer_to_its_base(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REPORT_EVERY", 1)
    base = new_model(tokenizer, 0, SMALL).requires_grad_(False)
    stage = Stage("law", steps=12, batch=8, learning_rate=3e-3, replay=0.5, pull=0.0, warmup=1)
    _, free = _train(tokenizer, stage, tmp_path / "free.pt", base)
    _, held = _train(tokenizer, replace(stage, pull=20.0), tmp_path / "held.pt", base)
    assert held[-1].pull < free[-1].pull


def test_a_rehearsed_step_has_the_gradient_of_the_delta_in_that_merge(tokenizer: Any) -> None:
    base, model, sibling = (new_model(tokenizer, seed, SMALL) for seed in range(3))
    base.requires_grad_(False)
    batch = encode([("a b", "c d")], tokenizer)
    rest = {
        name: (origin + 0.7 * (beside - origin)).detach()
        for (name, origin), beside in zip(
            base.named_parameters(), sibling.parameters(), strict=True
        )
    }
    delta = {
        name: (weight - origin).detach().requires_grad_(True)
        for (name, weight), origin in zip(model.named_parameters(), base.parameters(), strict=True)
    }
    merged = {name: rest[name] + 0.5 * change for name, change in delta.items()}
    expected = torch.func.functional_call(model, merged, (batch.ids,)).logits
    expected.square().mean().backward()

    before = [weight.detach().clone() for weight in model.parameters()]
    rehearsal = Rehearsal(model, base, [sibling])
    with rehearsal.step(StepMixture(0.5, (0.7,))):
        model(input_ids=batch.ids).logits.square().mean().backward()
        for name, weight in rehearsal.rest.named_parameters():
            assert torch.allclose(weight, rest[name], atol=1e-7), name
    for name, weight in model.named_parameters():
        assert torch.allclose(weight.grad, delta[name].grad, atol=1e-7), name
    for weight, same in zip(model.parameters(), before, strict=True):
        assert torch.equal(weight, same)
    with rehearsal.step(StepMixture(1.0, (0.0,))):  # alone it is rehearsed as it is
        for weight, same in zip(rehearsal.rest.parameters(), base.parameters(), strict=True):
            assert torch.equal(weight, same)


def test_casts_are_drawn_by_step_alone_and_company_comes_as_often_as_stated() -> None:
    stage = replace(SETTLING, name="law", scales=(0.4, 1.2), company=0.5)
    casts = [draw_cast(stage, step, 2) for step in range(400)]
    assert casts == [draw_cast(stage, step, 2) for step in range(400)]
    present = [scale for cast in casts for scale in cast.others if scale]
    assert 0.4 < len(present) / 800 < 0.6
    scales = present + [cast.scale for cast in casts]
    assert 0.4 <= min(scales) < 0.45
    assert 1.15 < max(scales) <= 1.2
    assert draw_cast(STAGES["law"], 3, 2) == StepMixture(1.0, (0.0, 0.0)), "no company at first"
