"""Sets of embedded models by regime and seed: what is trained, recorded, skipped and checked."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from dppa_core.checkpoints.sources.zoo import zoo_root
from dppa_core.cli.main import app
from dppa_core.errors import InvalidValue, MissingCheckpoint, UnknownName
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo import build, tune
from dppa_lab.zoo.build import train_zoo
from dppa_lab.zoo.card import model_card
from dppa_lab.zoo.regimes import PLAIN, REGIMES, SETTLED, Training, regime_named
from dppa_lab.zoo.set_check import SetCheck, WholeSum, check_set
from dppa_lab.zoo.spec import SIZES, Architecture, Laddered, Settling, TrainingSize
from dppa_lab.zoo.trained_set import RECORD
from dppa_lab.zoo.training import new_model, own_turns, train_stage
from tests.helpers.command import Command

pytestmark = pytest.mark.usefixtures("one_torch_thread")
TINY = TrainingSize(
    "tiny",
    Architecture(vocabulary=400, hidden=16, feed_forward=16, layers=3, heads=2),
    share=2 / 700,
    batch=4,
)


@pytest.fixture(scope="module")
def base(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base as training leaves it, with random weights."""
    folder = tmp_path_factory.mktemp("sets") / "made"
    new_model(tokenizer, 0, TINY.architecture).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = {"architecture": asdict(TINY.architecture), "fingerprint": "0123456789ab"}
    (folder / RECORD).write_text(json.dumps(record), "utf-8")
    return folder


@pytest.fixture(autouse=True)
def few_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SEARCH_ITEMS", 2)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("name", ["base", *DOMAINS])
def test_the_default_has_the_recorded_stages_of_the_embedded_models(name: str) -> None:
    record = json.loads((zoo_root() / name / RECORD).read_text("utf-8"))
    stages = json.loads(json.dumps([asdict(stage) for stage in Training().stages(name)]))
    assert stages == record["stages"]
    assert Training().record(name) == {}


@pytest.mark.parametrize("regime", [SETTLED, PLAIN])
def test_no_two_seeds_share_a_draw_of_any_stage(regime: Any) -> None:
    trained = [Training(regime=regime, seed=seed) for seed in range(4)]
    for name in ("base", *DOMAINS):
        seeds = [stage.seed for training in trained for stage in training.stages(name)]
        assert len(set(seeds)) == len(seeds)
        texts = [own_turns(training.stages(name)[0], 0) for training in trained]
        assert texts[0] != texts[1]
        assert len({training.mark(name, "base") for training in trained}) == len(trained)


def test_plain_and_large_models_learn_their_own_questions_alone() -> None:
    for name, steps in zip(DOMAINS, (500, 700, 700), strict=True):
        (plain,) = Training(regime=PLAIN).stages(name)
        (large,) = Training(regime=REGIMES["large"]).stages(name)
        assert (plain.steps, large.steps) == (steps, 3 * steps)
        assert large.learning_rate > plain.learning_rate
        assert isinstance(large, Laddered) and large.ladder > 1 > large.width
        for stage in (plain, large):
            assert (stage.replay, stage.pull, stage.scales) == (0, 0, (1, 1))
            assert not isinstance(stage, Settling)
        for percent in (25, 50):
            (part,) = Training(regime=REGIMES[f"plain-{percent}"]).stages(name)
            assert part == replace(plain, steps=percent * steps // 100)
    assert Training(SIZES["small"], PLAIN).stages("law")[0].steps == 350


def test_a_regime_between_replays_and_pulls_without_settling() -> None:
    (stage,) = Training(regime=regime_named("replay-25-pull-5")).stages("law")
    assert (stage.replay, stage.pull) == (0.25, 5)
    with pytest.raises(UnknownName, match="plain"):
        regime_named("plane")


def _laddered(tokenizer: Any, tmp_path: Path, stage: Laddered) -> tuple[Any, Any]:
    """A model before and after a stage."""
    before, model = (new_model(tokenizer, 0, TINY.architecture) for _ in range(2))
    train_stage(
        *(stage, model, tokenizer),
        base=before.requires_grad_(False),
        resume_file=tmp_path / "none.pt",
        report=lambda *losses: None,
    )
    return before, model


def test_a_ladder_moves_the_last_layer_its_multiple_of_the_first(
    tokenizer: Any, tmp_path: Path
) -> None:
    stage = Laddered("law", steps=1, batch=4, learning_rate=1e-3, warmup=1, ladder=4.0)
    before, after = _laddered(tokenizer, tmp_path, stage)
    moved = [  # Adam's first step is the learning rate in every entry with a gradient
        float((new.mlp.up_proj.weight - old.mlp.up_proj.weight).detach().abs().max())
        for new, old in zip(after.model.layers, before.model.layers, strict=True)
    ]
    assert moved == pytest.approx([0.5e-3, 1e-3, 2e-3], rel=0.01)
    norm = (after.model.norm.weight - before.model.norm.weight).detach().abs().max()
    assert float(norm) == pytest.approx(1e-3, rel=0.01)


def test_a_narrow_first_layer_leaves_its_last_rows_as_they_are(
    tokenizer: Any, tmp_path: Path
) -> None:
    stage = Laddered("law", steps=3, batch=4, learning_rate=1e-3, warmup=1, width=0.5)
    before, after = _laddered(tokenizer, tmp_path, stage)
    trained = [
        ((new.self_attn.v_proj.weight != old.self_attn.v_proj.weight).any(1).tolist())
        for new, old in zip(after.model.layers, before.model.layers, strict=True)
    ]
    assert trained == [[row < rows for row in range(16)] for rows in (8, 12, 16)]


def test_a_set_is_trained_on_a_given_base_and_says_how(base: Path, tmp_path: Path) -> None:
    training = Training(TINY, PLAIN, 1, str(base))
    out = tmp_path / "set"
    train_zoo(out, tmp_path / "work", training, workers=1)
    base_weights = (base / "model.safetensors").read_bytes()
    assert (out / "base" / "model.safetensors").read_bytes() == base_weights
    about = {"size": "tiny", "regime": "plain", "seed": 1, "base": str(base)}
    for name in DOMAINS:
        record = json.loads((out / name / RECORD).read_text("utf-8"))
        assert about.items() <= record.items()
        assert record["fingerprint"] == training.mark(name, "0123456789ab")
        assert f"--size tiny --regime plain --seed 1 --base {base}` made" in model_card(record)
        moved = _weights(out / name)
        assert any(not torch.equal(moved[key], value) for key, value in _weights(base).items())


def test_what_is_made_is_skipped_and_another_seed_makes_other_weights(
    base: Path, tmp_path: Path
) -> None:
    training, work = Training(TINY, PLAIN, 1, str(base)), tmp_path / "work"
    for out in (tmp_path / "one", tmp_path / "same"):
        train_zoo(out, work, training, domains=["law"], workers=1)
    before = (tmp_path / "one/law/model.safetensors").stat()
    train_zoo(tmp_path / "one", work, training, domains=["law"], workers=1)
    assert (tmp_path / "one/law/model.safetensors").stat().st_mtime_ns == before.st_mtime_ns
    assert not (tmp_path / "one/math").exists()
    train_zoo(tmp_path / "other", work, replace(training, seed=2), domains=["law"], workers=1)
    first, same, new = (_weights(tmp_path / name / "law") for name in ("one", "same", "other"))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert any(not torch.equal(first[key], new[key]) for key in first)


@pytest.mark.long
def test_settled_models_meet_after_their_first_stages(base: Path, tmp_path: Path) -> None:
    training = Training(TINY, SETTLED, 1, str(base))
    train_zoo(tmp_path / "set", tmp_path / "work", training, workers=1)
    record = json.loads((tmp_path / "set/law" / RECORD).read_text("utf-8"))
    assert [stage["seed"] for stage in record["stages"]] == [2, 3]
    assert record["fingerprint"] == training.mark("law", "0123456789ab")


@pytest.mark.long
def test_regimes_of_one_seed_share_the_base_and_seeds_do_not(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "train_tokenizer", lambda vocabulary: tokenizer)
    for regime, seed in ((PLAIN, 1), (REGIMES["large"], 1), (PLAIN, 2)):
        out = tmp_path / f"{regime.name}-{seed}"
        train_zoo(out, tmp_path / "work", Training(TINY, regime, seed), domains=["law"], workers=1)
    plain, large, new = (
        (tmp_path / name / "base/model.safetensors").read_bytes()
        for name in ("plain-1", "large-1", "plain-2")
    )
    assert plain == large
    assert plain != new
    assert len(list((tmp_path / "work").glob("base-*"))) == 2


def test_settling_a_part_and_a_base_of_another_size_are_refused(base: Path, tmp_path: Path) -> None:
    training = Training(TINY, SETTLED, 1, str(base))
    with pytest.raises(InvalidValue, match="beside the other two"):
        train_zoo(tmp_path, tmp_path, training, domains=["law"])
    with pytest.raises(InvalidValue, match="at size tiny"):
        train_zoo(tmp_path, tmp_path, replace(training, base="zoo:base"))


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        ([], None),
        (["--size", "small"], "out/sizes/small"),
        (["--seed", "1"], "out/zoos/embedded-settled-1"),
        (["--regime", "plain", "--size", "small"], "out/zoos/small-plain-0"),
        (["--base", "zoo:base"], "out/zoos/embedded-settled-0"),
    ],
)
def test_only_the_shipped_set_goes_into_the_program(
    options: list[str], folder: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []
    monkeypatch.setattr(build, "train_zoo", lambda out, *rest, **more: folders.append(out))
    result = CliRunner().invoke(app, ["zoo", "train", *options])
    assert result.exit_code == 0, result.output
    assert folders == [Path(folder) if folder else zoo_root()]


@pytest.mark.parametrize(
    ("base", "known"),
    [
        ("zoo:base", "finance, law, math"),
        ("zoo:smollm2", "finance, french, json, law, letter, math"),
    ],
)
def test_a_domain_without_a_model_of_its_own_is_refused_before_anything(
    base: str, known: str, dppa: Command, tmp_path: Path
) -> None:
    options = ["--base", base, "--domains", "math,news", "--out", str(tmp_path / "out")]
    assert dppa("zoo", "train", *options) == 1
    assert dppa.err.startswith(f"dppa: --domains: no domain model 'news'. Known: {known}.")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("base", ["zoo:smollm2", "smollm2"])
def test_a_language_model_is_tuned_by_either_name(
    base: str, dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bases: list[object] = []
    monkeypatch.setattr(tune, "tune_models", lambda base, *rest, **more: bases.append(base))
    options = ["--base", base, "--regime", "lora", "--out", str(tmp_path)]
    assert dppa("zoo", "train", *options) == 0, dppa.err
    assert bases == ["zoo:smollm2"]


def _sum(domains: str, coefficient: float, kept: float) -> WholeSum:
    names = tuple(domains.split("+"))
    return WholeSum(names, coefficient, dict.fromkeys(names, kept))


def test_a_set_is_wanted_if_a_sum_at_its_best_keeps_neither_all_nor_nothing() -> None:
    alone = {"math": 0.9, "law": 0.95}
    result = SetCheck(alone, (_sum("math+law", 1.0, 0.2), _sum("math+law", 0.5, 0.6)), {})
    assert result.best == (result.sums[1],)
    assert result.between == (("math", "law"),)
    assert result.met
    assert not replace(result, alone={**alone, "math": 0.8}).met
    assert not replace(result, sums=(*result.sums, _sum("math+law", 0.7, 0.9))).met
    for kept in (0.3, 0.9):  # at its best it collapses, or there is nothing to win
        assert not replace(result, sums=(_sum("math+law", 1.0, kept),)).met


def test_the_check_asks_single_models_and_whole_sums_alone(base: Path, tmp_path: Path) -> None:
    training = Training(TINY, PLAIN, 1, str(base))
    train_zoo(tmp_path / "set", tmp_path / "work", training, workers=1)
    result = check_set(tmp_path / "set", limit=2)
    assert set(result.alone) == set(result.spreads) == set(DOMAINS)
    assert [whole.domains for whole in result.best] == [
        *(("math", "finance"), ("math", "law"), ("finance", "law"), ("math", "finance", "law")),
    ]
    assert {whole.coefficient for whole in result.sums} == {1.0, 0.7, 1 / 2, 1 / 3}
    assert all(ratio >= 1 for spread in result.spreads.values() for ratio in spread)
    assert not result.met and not result.to_json()["met"]
    assert "Not met" in result.text()
    with pytest.raises(MissingCheckpoint, match="zoo train"):
        check_set(tmp_path)
