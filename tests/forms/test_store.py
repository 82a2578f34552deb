"""What a recipe's `store` says: read, written, summed, and its errors."""

import numpy as np
import pytest

from dppa_core.errors import DppaError, InvalidRecipe, NonFiniteWeights, UnknownName
from dppa_core.forms.contract import Place, code_bytes, kept_energy
from dppa_core.forms.store import parse_store, parse_store_text

PLACE = Place("layers.0.mlp.up_proj.weight", "zoo:math")
VALUES: tuple[object, ...] = (
    {"form": "low_rank", "rank": 8},
    {"form": "bits", "bits": 4, "block": "block", "other_tensors": "drop"},
    {"form": "drawn", "rate": 0.995, "seed": 3},
    [{"form": "low_rank", "rank": 4, "energy": 0.5}, {"form": "bits", "bits": 1}],
)


@pytest.mark.parametrize("value", VALUES)
def test_a_store_is_read_back_from_its_file_and_from_its_text(value: object) -> None:
    store = parse_store(value)
    assert store.plain() == value
    assert parse_store_text(str(store)) == store == parse_store(store.plain())


def test_a_store_has_a_short_title() -> None:
    titles = [parse_store(value).title() for value in VALUES]
    assert titles == [
        "rank 8",
        "4 bits by block, rest dropped",
        "99.5 % pruned at random",
        "rank 4, 0.5 of the energy + 1 bit",
    ]


def test_each_part_of_a_sum_keeps_what_those_before_it_lost() -> None:
    rng = np.random.default_rng(0)
    delta = 2 * rng.standard_normal((40, 1), np.float32) @ rng.standard_normal((1, 60), np.float32)
    delta += rng.standard_normal((40, 60), np.float32)
    kept = {}
    for name in ("low_rank(rank=1)", "bits(bits=1)", "low_rank(rank=1)+bits(bits=1)"):
        store = parse_store_text(name)
        codes = store.encode(delta, PLACE)
        assert len(codes) == name.count("+") + 1
        kept[name] = kept_energy(delta, store.decode(codes, (40, 60), PLACE))
    low, bits, both = kept.values()
    assert 0 < 1 - both < 0.5 * min(1 - low, 1 - bits)


def test_a_factor_multiplies_what_every_form_keeps() -> None:
    delta = np.random.default_rng(0).standard_normal((30, 40), np.float32)
    for name in (
        "low_rank(rank=3)",
        "bits(bits=1)",
        "drawn(rate=0.5)",
        "low_rank(rank=2)+bits(bits=1)",
    ):
        store = parse_store_text(name)
        larger = store.times(1.5)
        assert (
            larger != store and parse_store_text(str(larger)) == larger and store.times(1) == store
        )
        kept, more = (
            one.decode(one.encode(delta, PLACE), delta.shape, PLACE) for one in (store, larger)
        )
        assert np.allclose(more, 1.5 * kept, rtol=1e-5, atol=1e-6)
    assert parse_store_text("bits(bits=1)").times(1.5).title() == "1 bit × 1.5"
    drawn = parse_store_text("drawn(rate=0.99)")
    assert drawn.times(2).title() == "99 % pruned at random × 2", "beside the 100 of the rate"
    assert parse_store_text("drawn(rate=0.99,factor=100)").title() == drawn.title()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "store must be a mapping with `form`"),
        ([], "store must be a mapping with `form`"),
        ([{"form": "bits"}] * 4, "a list of at most 3 parts"),
        ({"rank": 8}, "No form of a delta 'None'"),
        ({"form": "low_rnk"}, "low_rank"),
        ({"form": "low_rank", "rnk": 8}, "unknown key 'rnk'"),
        ({"form": "low_rank", "rank": 0}, "rank must be a number from 1 to 4096, got 0"),
        (
            {"form": "bits", "other_tensors": "some"},
            "other_tensors must be one of same, keep, drop",
        ),
        (
            [{"form": "bits", "other_tensors": "keep"}, {"form": "bits", "other_tensors": "drop"}],
            "state it once",
        ),
    ],
)
def test_a_wrong_store_is_refused_by_name(value: object, message: str) -> None:
    with pytest.raises(DppaError, match=message.replace("(", r"\(")):
        parse_store(value)


@pytest.mark.parametrize("text", ["", "bits", "bits(bits=1", "bits(bits=1)x", "bits(bits)"])
def test_a_wrong_text_is_refused(text: str) -> None:
    with pytest.raises((InvalidRecipe, UnknownName, DppaError)):
        parse_store_text(text)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("low_rank(rank=0)", "'low_rank(rank=0)': rank must be a number from 1 to 4096, got 0."),
        ("lowrank(rank=4)", "'lowrank(rank=4)': No form of a delta 'lowrank'. Did you mean"),
        ("lowrank", "'lowrank': the form of a delta is written as"),
        ("low_rank(rnk=4)", "'low_rank(rnk=4)': low_rank: unknown key 'rnk'."),
        ("sparse(rate=90%)", "'sparse(rate=90%)': rate must be a number from 0 to 1, got '90%'."),
        ("others(drop)", "'others(drop)': others goes with a form"),
        ("+".join(["bits()"] * 4), "'bits()+bits()+bits()+bits()': a sum has at most 3 parts"),
    ],
)
def test_an_error_of_a_text_lists_the_forms_as_they_are_written(text: str, start: str) -> None:
    with pytest.raises(DppaError) as error:
        parse_store_text(text)
    assert str(error.value).startswith(start)
    forms = "Forms: sparse(rate=0.9), drawn(rate=0.9), low_rank(rank=16), bits(bits=1)"
    assert forms in str(error.value)


def test_a_delta_with_nan_names_its_tensor() -> None:
    delta = np.array([[1, np.nan]], np.float32)
    with pytest.raises(NonFiniteWeights, match=r"zoo:math: NaN or infinity in layers\.0"):
        parse_store(VALUES[1]).encode(delta, PLACE)


@pytest.mark.parametrize(
    "name",
    [
        *("low_rank(rank=3)", "low_rank(rank=999)", "bits(bits=1)", "bits(bits=2,block=block)"),
        *("bits(bits=4,block=matrix)", "sparse(rate=0.9)", "sparse(rate=0.8,bits=4)"),
        *("drawn(rate=0.95)", "low_rank(rank=2)+bits(bits=1)"),
    ],
)
def test_the_bytes_of_a_shape_are_known_before_the_matrix(name: str) -> None:
    shape, store = (301, 130), parse_store_text(name)
    delta = np.random.default_rng(0).standard_normal(shape, np.float32)
    nbytes = sum(map(code_bytes, store.encode(delta, PLACE)))
    random = "sparse" in name or "drawn" in name
    assert store.nbytes(shape) == pytest.approx(nbytes, rel=0.05 if random else 0)
