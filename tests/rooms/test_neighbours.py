"""Nearest others: against brute force, and relatives drawn from them."""

import numpy as np
import pytest
import torch

from moe_lib.ladder import neighbours, relatives


def test_neighbours_equal_brute_force():
    x = torch.rand(60, 5, generator=torch.Generator().manual_seed(0))
    distances = torch.cdist(x, x).fill_diagonal_(torch.inf)
    assert torch.equal(neighbours(x, k=4), distances.argsort(dim=1)[:, :4])


def test_relatives_want_a_row_for_each_example():
    with pytest.raises(ValueError, match="3 rows of neighbours for 2 examples"):
        relatives(torch.rand(2, 5), torch.zeros(3, 1, dtype=torch.long), seed=0)


def test_twins_are_neighbours_and_nobody_is_their_own():
    x = torch.tensor([[0.0], [0.0], [5.0]])
    assert neighbours(x, k=1).flatten().tolist()[:2] == [1, 0]


def test_relatives_are_drawn_from_the_nearest():
    x = torch.arange(40.0).unsqueeze(1)
    nearest = neighbours(x, k=2)
    drawn = relatives(x, nearest, seed=0)
    assert torch.equal(drawn, relatives(x, nearest, seed=0))
    assert not torch.equal(drawn, relatives(x, nearest, seed=1))
    first, second = x[nearest[:, 0]], x[nearest[:, 1]]
    assert ((drawn == first) | (drawn == second)).all()
    assert (drawn == first).any() and (drawn == second).any()


def test_images_in_training_have_neighbours_too():
    x = torch.rand(9, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(neighbours(x.clone().requires_grad_(), k=2), neighbours(x, k=2))


def test_how_bright_images_are_does_not_matter():
    x = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(neighbours(255 * x, k=3), neighbours(x, k=3))
    assert torch.equal(neighbours(2 * x - 1, k=3), neighbours(x, k=3))


def test_any_whole_number_is_a_seed():
    x, nearest = torch.rand(9, 4), torch.arange(9).roll(1).unsqueeze(1).repeat(1, 3)
    assert torch.equal(relatives(x, nearest, seed=np.int64(3)), relatives(x, nearest, seed=3))


@pytest.mark.parametrize("k", [0, 3])
def test_impossible_numbers_of_neighbours_are_refused(k):
    with pytest.raises(ValueError, match=f"k is {k} for 3 examples"):
        neighbours(torch.rand(3, 2), k=k)
