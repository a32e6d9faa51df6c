"""The examiner's verdict, with an examiner and experts whose answers are known."""

import pytest
import torch
from torch import nn

from moe_lib import VAEExperts, examine


class Drawer(VAEExperts):
    """Expert i draws an image whose pixel i is white; every fourth drawing of expert 0 shows pixel 1."""

    def generate(self, expert, n, seed):
        pixels = torch.full((n,), expert)
        if expert == 0:
            pixels[::4] = 1
        return torch.eye(self.in_features)[pixels]


def test_counts_accuracy_and_coverage():
    found = examine(Drawer(3, in_features=5), nn.Identity(), torch.tensor([0, 1, 4]), n=100)
    assert found.counts.tolist() == [[75, 25, 0, 0, 0], [0, 100, 0, 0, 0], [0, 0, 100, 0, 0]]
    assert found.accuracy == pytest.approx((0.75 + 1 + 0) / 3)
    assert found.covered == 3  # digits 3 and 4 are never drawn


def test_one_digit_an_expert_must_be_given():
    with pytest.raises(ValueError, match=r"expected \(3,\)"):
        examine(Drawer(3, in_features=5), nn.Identity(), torch.tensor([0, 1]))
