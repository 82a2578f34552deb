"""Drawing tokens: top-p, greedy and seeds; loss and entropy against numbers by hand."""

import math

import pytest
import torch

from dppa_core.models.sampling import TokenNumbers, greedy, sampler, token_numbers, within_top_p

SHARES = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
LOGITS = SHARES.log()


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(1.0, 4), (0.9, 4), (0.875, 3), (0.8, 3), (0.75, 2), (0.6, 2), (0.5, 1), (0.1, 1), (1e-9, 1)],
)
def test_the_fewest_likeliest_tokens_that_reach_top_p_stay(top_p: float, kept: int) -> None:
    expected = [*SHARES[0, :kept].tolist(), *[0.0] * (4 - kept)]
    assert within_top_p(SHARES, top_p)[0].tolist() == expected


def test_what_lies_outside_top_p_is_never_drawn() -> None:
    drawn = sampler(1.0, 0.75, seed=1)
    tokens = {int(drawn(LOGITS.flip(-1))[0]) for _ in range(200)}
    assert tokens == {2, 3}  # the two likeliest, in any order


def test_what_is_drawn_follows_the_shares() -> None:
    drawn = sampler(1.0, 0.75, seed=5)
    share = sum(int(drawn(LOGITS)[0]) == 0 for _ in range(3000)) / 3000
    assert share == pytest.approx(2 / 3, abs=0.03)  # 0.5 of 0.75


def test_temperature_comes_before_top_p() -> None:
    # Temperature 0.5 squares the shares: 16, 4, 1, 1 of 22; the first holds 0.727.
    drawn = sampler(0.5, 0.72, seed=0)
    assert {int(drawn(LOGITS)[0]) for _ in range(50)} == {0}


def test_temperature_0_is_greedy_whatever_else_is_set() -> None:
    assert sampler(0, 0.3, seed=9) is greedy
    assert int(greedy(LOGITS)[0]) == 0


@pytest.mark.parametrize("temperature", [5e-324, 1e-320, 1e-39, 1e-36, 1e-7, 1e-6])
def test_next_to_no_temperature_takes_the_likeliest_token(temperature: float) -> None:
    """Logits that are divided by less than about 1e-36 are infinite."""
    assert int(sampler(temperature, 1.0, seed=0)(100 * LOGITS.flip(-1))[0]) == 3


def test_a_seed_repeats_its_draws() -> None:
    def draws(seed: int) -> list[int]:
        drawn = sampler(1.0, 1.0, seed)
        return [int(drawn(LOGITS)[0]) for _ in range(20)]

    assert draws(3) == draws(3) != draws(4)


def test_loss_and_entropy_of_known_shares() -> None:
    (numbers,) = token_numbers(LOGITS[:1], torch.tensor([1]))
    assert numbers.loss == pytest.approx(math.log(4))  # 1 in 4
    assert numbers.entropy == pytest.approx(1.75)  # 1/2·1 + 1/4·2 + 2·1/8·3 bits


def test_even_shares_have_the_log_of_their_number_in_bits() -> None:
    (numbers,) = token_numbers(torch.full((1, 1024), 3.0), torch.tensor([17]))
    assert numbers.entropy == pytest.approx(10) and numbers.loss == pytest.approx(math.log(1024))


def test_certainty_has_neither_loss_nor_entropy() -> None:
    logits, first = torch.tensor([[0.0, -math.inf, -math.inf]]), torch.tensor([0])
    assert token_numbers(logits, first) == token_numbers(logits + 100, first)
    assert token_numbers(logits, first) == [TokenNumbers(loss=0.0, entropy=0.0)]
