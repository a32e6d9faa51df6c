"""Four arcs lie where they say; and the sevens that were sorted by eye."""

import numpy as np
import pytest
import torch

from moe_lib.ladder import arcs, sevens, two_levels


def test_two_levels_lie_on_their_four_arcs():
    borders = (-0.5, 0.0, 0.75)
    x, y, segment = two_levels(2_000, borders, noise=0.0, seed=3)
    torch.testing.assert_close(y, arcs(x, borders))
    assert torch.equal(segment, sum((x.flatten() >= border).long() for border in borders))
    laws = [lambda x: (2 * x + 2) ** 2, lambda x: (2 * x + 1) ** 2, lambda x: -((1 - x / 0.75) ** 2)]
    for arc, law in enumerate([*laws, lambda x: -((4 - 4 * x) ** 2)]):
        torch.testing.assert_close(y[segment == arc], law(x[segment == arc]), atol=1e-5, rtol=1e-5)


def test_two_levels_have_their_noise_and_repeat_with_their_seed():
    x, y, _ = two_levels(20_000, noise=0.2)
    assert torch.equal(x, x.sort(dim=0).values)
    assert (x.min().item(), x.max().item()) == pytest.approx((-1, 1), abs=0.001)
    assert (y - arcs(x, (-0.4, 0.1, 0.6))).std().item() == pytest.approx(0.2, rel=0.03)
    assert torch.equal(two_levels(10, seed=1).y, two_levels(10, seed=np.int64(1)).y)
    assert not torch.equal(two_levels(10, seed=1).y, two_levels(10, seed=2).y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 3}, "n is 3"),
        ({"n": 10, "noise": -0.1}, "finite and not negative"),
        ({"n": 10, "borders": (0.1, -0.4, 0.6)}, "three that rise"),
        ({"n": 10, "borders": (-0.4, 0.1, 1.0)}, "three that rise"),
        ({"n": 10, "borders": (-0.4, 0.1)}, "three that rise"),
    ],
)
def test_two_levels_refuse_nonsense(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_levels(**arguments)


def test_the_sevens_sorted_by_eye_are_the_first_sevens_of_the_test_images(test_half):
    first = (test_half.labels == 7).nonzero().flatten()[:240].tolist()
    barred, plain = (set(indices.tolist()) for indices in sevens())
    assert not barred & plain
    assert barred | plain < set(first)
    assert len(first) - len(barred | plain) == 1  # the one that leaves doubt
    assert min(len(barred), len(plain)) > 50


def test_a_bar_is_ink_to_the_left_of_the_stem(test_half):
    """A rule that knows nothing of the lists: below the middle, a barred seven has a row that is much wider."""
    widths = []
    for indices in sevens():
        lower = test_half.images[indices].view(-1, 28, 28)[:, 13:18] > 0.5  # (n, 5, 28)
        widths.append(lower.sum(dim=2).max(dim=1).values.float().median())
    assert widths[0] > 1.5 * widths[1]
