"""Published encoders: the share of vectors by hand, and tiny ones measured by command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertModel

from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_lab.reports.form_tables import encoder_table
from dppa_lab.zoo.forms.encoder_figures import encoder_figures
from dppa_lab.zoo.forms.encoders import kept_share, text_vectors
from dppa_lab.zoo.forms.measured_forms import FACTORS
from tests.helpers.command import Command
from tests.helpers.encoders import save_encoders

TEXTS = ("a good film", "not bad", "a bad film", "good films")
pytestmark = pytest.mark.usefixtures("one_torch_thread")


def test_vectors_are_kept_by_their_squared_way_from_the_base() -> None:
    base, whole = np.zeros((2, 2)), np.array([[3.0, 0], [0, 4]])
    assert kept_share(whole, whole, base) == 1 and kept_share(base, whole, base) == 0
    assert kept_share(np.array([[3.0, 0], [0, 3]]), whole, base) == pytest.approx(1 - 1 / 25)


def test_a_vector_is_the_last_layer_s_at_the_first_token(tmp_path: Path) -> None:
    base, *_ = save_encoders(tmp_path)
    model, tokenizer = BertModel.from_pretrained(base).eval(), AutoTokenizer.from_pretrained(base)
    with torch.inference_mode():
        rows = [model(**tokenizer(text, return_tensors="pt"))[0][0, 0] for text in TEXTS]
    expected = torch.stack(rows).double().numpy()
    np.testing.assert_allclose(text_vectors(ModelPool(), base, TEXTS), expected, atol=1e-6)


def test_encoders_are_measured_by_command(dppa: Command, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n\n".join(TEXTS), "utf-8")
    folders = save_encoders(tmp_path)
    options = ("--text", tmp_path / "texts.txt", "--out", tmp_path / "measured.json")
    assert dppa("zoo", "encoders", *options, *folders) == 0, dppa.err
    record = json.loads((tmp_path / "measured.json").read_text("utf-8"))
    assert encoder_table(encoder_figures(record)) in dppa.out
    assert (record["base"], record["texts"]) == ("base", 4)
    assert [model["model"] for model in record["models"]] == ["tone", "reader"]
    for model in record["models"]:
        forms = {form["store"]: form for form in model["forms"]}
        whole_rank = forms["low_rank(rank=16)"]  # of matrices with 16 rows or columns
        assert whole_rank["factor"] == 1 and whole_rank["kept"] > 0.99
        assert all(form["factor"] in FACTORS and form["kept"] <= 1 for form in forms.values())
        assert forms["sparse(rate=0.95)"]["kept plain"] < forms["sparse(rate=0.8)"]["kept plain"]
    (pair,) = record["pairs"]
    assert pair["models"] == ["tone", "reader"]
    every, largest = pair["rates"]
    assert every["shared"] == pytest.approx(1, abs=1e-3) and 0.4 < every["opposed"] < 0.6
    assert 0 < largest["shared"] < 0.2, "independent deltas meet in a tenth"
