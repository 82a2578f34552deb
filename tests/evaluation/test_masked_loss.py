"""The loss of encoders at masked tokens: hand-checked masks, a slow reference, clear refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DamagedCheckpoint, InvalidValue, NotAllowed
from dppa_core.evaluation import masked_loss as masked_loss_module
from dppa_core.evaluation.masked_loss import choose_masks, masked_loss, masked_text
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.models.decode import prompt_ids
from dppa_core.models.resident import Resident
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.encoders import SIZES, save, save_encoders

pytestmark = pytest.mark.usefixtures("one_torch_thread")
TEXT = "a good film\n\nnot a bad film not a good films\nzzz a film\n"


@pytest.fixture
def encoders(tmp_path: Path) -> tuple[str, str, str]:
    """See `save_encoders`."""
    return save_encoders(tmp_path)


@pytest.fixture
def resident(encoders: tuple[str, str, str]) -> Resident:
    return ModelPool().get(encoders[0])


def loop_loss(folder: str | Path, text: str, masks: list[np.ndarray]) -> float:
    """One line and one mask after the other, by transformers alone."""
    model = BertForMaskedLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    losses = []
    for line, chosen in zip(filter(None, text.split("\n")), masks, strict=True):
        whole = tokenizer(line, return_tensors="pt")["input_ids"]
        hidden = whole.clone()
        for place in np.flatnonzero(chosen):
            hidden[0, 1 + place] = 4  # [MASK], behind [CLS]
        with torch.inference_mode():
            logs = model(hidden).logits[0].log_softmax(-1)
        losses += [-float(logs[1 + n, whole[0, 1 + n]]) for n in np.flatnonzero(chosen)]
    return sum(losses) / len(losses)


def test_15_percent_of_the_free_tokens_are_masked_and_never_a_special_one() -> None:
    free = np.array([True] * 30 + [False] * 10 + [True] * 10)
    masks = choose_masks(free)
    assert masks.sum() == 6 and not masks[30:40].any()
    np.testing.assert_array_equal(masks, choose_masks(free))
    assert (masks != choose_masks(free, seed=1)).any()
    assert choose_masks(np.array([False, True])).tolist() == [False, True], "at least one"


def test_masks_depend_on_the_text_and_stay_off_unknown_words(resident: Resident) -> None:
    read = masked_text(resident, TEXT, 512)
    assert read.windows == ((9, 5, 7), (10, 9, 6, 7, 10, 9, 5, 7, 8), (1, 9, 7))
    assert (read.before, read.after) == ((2,), (3,))
    assert sum(int(places.sum()) for places in read.masks) == 2  # of 14 known tokens
    assert not read.masks[2][0], "[UNK]"


def test_a_long_line_is_read_in_windows_side_by_side(resident: Resident) -> None:
    read = masked_text(resident, TEXT, 6)
    assert read.windows[1:4] == ((10, 9, 6, 7), (10, 9, 5, 7), (8,))
    result = masked_loss(resident, TEXT, window=6)
    assert (result.windows, result.window, result.tokens, result.unknown) == (5, 6, 15, 1)


@pytest.mark.parametrize("most", [1, 1 << 26])
def test_the_loss_is_that_of_a_loop_over_lines_in_batches_of_any_size(
    encoders: tuple[str, str, str], resident: Resident, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(masked_loss_module, "_MAX_BATCH_LOGITS", most)
    masks = list(masked_text(resident, TEXT, 512).masks)
    result = masked_loss(resident, TEXT)
    assert result.masked == 2
    assert result.loss.value == pytest.approx(loop_loss(encoders[0], TEXT, masks), rel=1e-5)


def test_a_merge_in_memory_is_scored_as_its_folder(
    encoders: tuple[str, str, str], tmp_path: Path
) -> None:
    base, *tuned = encoders
    recipe = MergeRecipe(base, tuple(map(DomainModel, tuned)), "ties", heads="base")
    merge_to_folder(recipe, tmp_path / "out")
    pool = ModelPool()
    merged = masked_loss(pool.get(recipe), TEXT)
    assert merged == masked_loss(pool.get(str(tmp_path / "out")), TEXT)
    assert merged.loss.value != masked_loss(pool.get(base), TEXT).loss.value


def test_a_head_tied_to_the_embedding_is_merged_with_it(
    encoders: tuple[str, str, str], tmp_path: Path
) -> None:
    head, embedding = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
    model = BertForMaskedLM.from_pretrained(encoders[0])
    torch.save(model.state_dict(), Path(encoders[0]) / "pytorch_model.bin")  # holds both
    (Path(encoders[0]) / "model.safetensors").unlink()
    base, *tuned = encoders
    recipe = MergeRecipe(base, tuple(map(DomainModel, tuned)), "task_arithmetic", heads="base")
    merge_to_folder(recipe, tmp_path / "out")
    merged = open_checkpoint(str(tmp_path / "out"))
    np.testing.assert_array_equal(merged.raw(head), merged.raw(embedding))
    assert not np.array_equal(merged.raw(head), open_checkpoint(base).raw(head))
    pool = ModelPool()
    assert masked_loss(pool.get(recipe), TEXT) == masked_loss(pool.get(str(tmp_path / "out")), TEXT)


def test_positions_of_roberta_begin_behind_its_padding(tmp_path: Path) -> None:
    config = RobertaConfig(**SIZES, max_position_embeddings=12, pad_token_id=1)
    folder = save(RobertaForMaskedLM(config), tmp_path / "base")
    result = masked_loss(ModelPool().get(str(folder)), "a good film " * 9)
    assert (result.window, result.windows) == (10, 4)


def test_a_configuration_from_before_model_types_is_read_by_its_tensors(
    encoders: tuple[str, str, str],
) -> None:
    path = Path(encoders[0]) / "config.json"
    values = json.loads(path.read_text("utf-8"))
    del values["model_type"], values["architectures"]
    path.write_text(json.dumps(values), "utf-8")
    assert open_checkpoint(encoders[0]).config["model_type"] == "bert"
    assert masked_loss(ModelPool().get(encoders[0]), TEXT).masked == 2


def test_a_text_of_unknown_words_and_a_model_without_the_head_are_refused(
    encoders: tuple[str, str, str], resident: Resident, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValue, match="no token that could be masked"):
        masked_loss(resident, "zzz yyy")
    with pytest.raises(DamagedCheckpoint, match="no masked-language head.*size BASE MODEL"):
        ModelPool().get(encoders[1])
    save(BertModel(BertConfig(**SIZES)), tmp_path / "bare")
    with pytest.raises(DamagedCheckpoint, match="no masked-language head"):
        ModelPool().get(str(tmp_path / "bare"))


def test_an_encoder_neither_chats_nor_answers(
    encoders: tuple[str, str, str], resident: Resident, dppa: Command
) -> None:
    with pytest.raises(NotAllowed, match="writes no replies: no chat.*--text FILE"):
        prompt_ids(resident, "a good film")
    assert dppa("evaluate", encoders[0], "--tasks", "math", "--limit", 1) == 1
    assert "fills masks and writes no replies" in dppa.err


def test_evaluate_says_what_it_measured_and_lends_the_bases_head(
    encoders: tuple[str, str, str], dppa: Command, tmp_path: Path
) -> None:
    base, *tuned = encoders
    recipe = MergeRecipe(base, tuple(map(DomainModel, tuned)), "task_arithmetic", heads="base")
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe), "utf-8")
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    assert dppa("evaluate", tmp_path / "recipe.yaml", "--text", tmp_path / "text.txt") == 0
    assert dppa.out.startswith("Loss at masked tokens, in nats: 15 %, drawn from a fixed seed")
    assert "does not know 1 of the tokens" in dppa.out
    assert f"{tuned[0]}, the base's head" in dppa.out and "perplexity" not in dppa.out


def test_size_measures_the_forms_of_an_encoders_delta_on_a_text(
    encoders: tuple[str, str, str], dppa: Command, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    base, tone, _ = encoders
    options = ("--text", tmp_path / "text.txt", "--forms", "low_rank(rank=2)", "--factors", 1)
    assert dppa("size", base, tone, *options) == 0
    assert "loss: masked-language loss in nats, the mean of 2 masked tokens" in dppa.out
    assert dppa("size", base, tone, *options, "--json") == 0
    whole = next(row for row in dppa.json["models"][0]["forms"] if not row["store"])
    # The classifier's body under the base's head; the embedding is the head's last matrix.
    model, head = (BertForMaskedLM.from_pretrained(name) for name in (tone, base))
    model.cls.predictions.transform = head.cls.predictions.transform
    model.cls.predictions.bias.data.copy_(head.cls.predictions.bias)
    borrowed = save(model, tmp_path / "borrowed")
    masks = list(masked_text(ModelPool().get(base), TEXT, 512).masks)
    assert whole["loss"] == pytest.approx(loop_loss(borrowed, TEXT, masks), rel=1e-4)
