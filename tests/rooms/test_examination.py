"""The examiner's verdict, with an examiner and experts whose answers are known."""

import pytest
import torch
from torch import nn

from moe_lib import VAEExperts
from moe_lib.measures import examine


class Drawer(VAEExperts):
    """Expert i draws an image whose pixel i is white; every fourth drawing of expert 0 shows pixel 1."""

    def generate(self, expert, n, seed):
        pixels = torch.full((n,), expert)
        if expert == 0:
            pixels[::4] = 1
        return torch.eye(self.in_features)[pixels]


class Scribbler(VAEExperts):
    """Of all n drawings of each of two experts the first `self.few` show pixel 2, the others pixel 0."""

    few = 0

    def generate(self, expert, n, seed):
        pixels = torch.zeros(n, dtype=torch.long)
        pixels[: self.few] = 2
        return torch.eye(self.in_features)[pixels]


def test_counts_accuracy_and_coverage():
    found = examine(Drawer(3, in_features=5), nn.Identity(), torch.tensor([0, 1, 4]), n=100)
    assert found.counts.tolist() == [[75, 25, 0, 0, 0], [0, 100, 0, 0, 0], [0, 0, 100, 0, 0]]
    assert found.accuracy == pytest.approx((0.75 + 1 + 0) / 3)
    assert found.covered == 3  # digits 3 and 4 are never drawn


@pytest.mark.parametrize(("few", "covered"), [(0, 1), (3, 1), (4, 2), (100, 2)])
def test_a_digit_is_covered_from_a_tenth_of_its_fair_share_on(few, covered):
    """Of 400 drawings and 5 digits a fair share is 80, and a tenth of it 8."""
    experts = Scribbler(2, in_features=5)
    experts.few = few
    assert examine(experts, nn.Identity(), torch.tensor([0, 0]), n=200).covered == covered


def test_the_seed_reaches_the_experts():
    torch.manual_seed(0)
    experts = VAEExperts(2, in_features=5, hidden=(4,), latent=2)
    for parameter in experts.decoder.parameters():
        parameter.data *= 5
    read = [examine(experts, nn.Identity(), torch.tensor([0, 1]), n=50, seed=seed).counts for seed in (3, 3, 4)]
    assert torch.equal(read[0], read[1])
    assert not torch.equal(read[0], read[2])
    drawn = torch.stack([experts.generate(i, 50, seed=3).argmax(dim=1).bincount(minlength=5) for i in range(2)])
    assert torch.equal(read[0], drawn)


def test_an_expert_without_a_digit_is_never_right():
    assert examine(Drawer(3, in_features=5), nn.Identity(), torch.tensor([-1, 1, -1]), n=8).accuracy == pytest.approx(
        1 / 3
    )


def test_one_digit_an_expert_must_be_given():
    with pytest.raises(ValueError, match=r"expected \(3,\)"):
        examine(Drawer(3, in_features=5), nn.Identity(), torch.tensor([0, 1]))
