"""A manager without experts, and one that is taught: by hand, and against a plain loop."""

import pytest
import torch

from moe_lib import Manager
from moe_lib.ladder import (
    Augmentation,
    ConvManager,
    InvariantMixture,
    NoExperts,
    TaughtManager,
    averaged,
    pair_information,
)

from .small import DIGITS, assert_same_bits, train, weights


def seeded_manager(seed=0):
    torch.manual_seed(seed)
    return Manager(784, 3, hidden=(4,))


def test_without_experts_the_pairs_are_all_of_the_loss():
    model = InvariantMixture(seeded_manager(), NoExperts(3), weight=2.0)
    noise = model.noise(6, torch.Generator().manual_seed(0))
    found = model.objective(DIGITS[:6], DIGITS[6:12], noise)
    p, q = model.gate(DIGITS[:6]), model.gate(model.augmentation(DIGITS[6:12], noise.augmentation))
    assert found.expected.item() == 0
    torch.testing.assert_close(found.total, -2 * pair_information(p, q, 1.5))


def test_a_manager_learns_without_experts():
    model = InvariantMixture(seeded_manager(), NoExperts(3), weight=2.0)
    before, history = weights(model), train(model, DIGITS, batch_size=8, epochs=20)
    assert history.total[-1] < history.total[0] and set(history.expected) == {0.0}
    assert any(not torch.equal(before[name], value) for name, value in weights(model).items())
    assert model.assign(DIGITS).shape == (16,)


def test_what_a_taught_manager_minimises():
    model, taught = TaughtManager(seeded_manager(), Augmentation.gentle()), torch.eye(3)[[0, 2, 1, 1]]
    noise = model.noise(4, torch.Generator().manual_seed(0))
    found = model(DIGITS[:4], taught, noise)
    p = model.manager(model.augmentation(DIGITS[:4], noise)).softmax(dim=1)
    by_hand = -sum(p[b, i].log() for b, i in enumerate([0, 2, 1, 1])) / 4
    torch.testing.assert_close(found.total, by_hand)


def test_a_taught_manager_learns_what_it_is_told():
    told = torch.arange(15) % 3
    images = torch.zeros(15, 28, 28)
    for image, place in zip(images, told.tolist(), strict=True):
        image[4 + 7 * place : 11 + 7 * place, 8:20] = 1  # high, in the middle, or low
    model, images = TaughtManager(seeded_manager()), images.flatten(1)
    train(model, images, torch.eye(3)[told], batch_size=15, epochs=60)
    assert torch.equal(model.manager(images).argmax(dim=1), told)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (DIGITS[:, :16], torch.eye(3)[:1].expand(16, 3), "784"),
        (DIGITS, torch.eye(4)[:1].expand(16, 4), "3"),
        (DIGITS, torch.full((16, 3), float("nan")), "y"),
        (DIGITS, torch.full((16, 3), 2.0), "y"),
        (DIGITS, torch.eye(3), "16"),
    ],
)
def test_what_cannot_be_taught_is_refused(x, y, message):
    with pytest.raises((TypeError, ValueError), match=message):
        TaughtManager(seeded_manager()).check(x, y)


class Says(torch.nn.Module):
    """A mixture whose gate is the first three pixels."""

    def __init__(self, order):
        super().__init__()
        self.order = order

    def gate(self, x):
        return x[:, self.order]


def test_managers_are_renumbered_before_they_are_averaged():
    p = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6], [0.9, 0.0, 0.1]])
    same, agreed = averaged([Says([0, 1, 2]), Says([2, 0, 1]), Says([1, 2, 0])], p)
    torch.testing.assert_close(same, p)
    assert agreed.all()


class Fixed(Says):
    def __init__(self, p):
        super().__init__([])
        self.p = p

    def gate(self, x):
        return self.p


def test_they_agree_where_all_choose_the_same():
    one = torch.eye(3)[[0, 0, 1, 1, 2, 2]]
    two = torch.eye(3)[[1, 1, 0, 0, 2, 0]]  # the same with other numbers, but for the last
    p, agreed = averaged([Fixed(one), Fixed(two)], torch.zeros(6, 4))
    assert agreed.tolist() == [True] * 5 + [False]
    assert p[5].tolist() == [0.0, 0.5, 0.5] and p[0].tolist() == [1.0, 0.0, 0.0]


def test_asking_a_committee_changes_no_member():
    """Batch normalisation would move with every look in training mode, and answers would depend on the batch."""
    torch.manual_seed(0)
    members = [InvariantMixture(ConvManager(3, channels=(2, 3), hidden=4), NoExperts(3)) for _ in range(2)]
    before = [weights(member) for member in members]
    p, _ = averaged(members, DIGITS)
    for member, was in zip(members, before, strict=True):
        assert member.training
        assert_same_bits(weights(member), was)
    torch.testing.assert_close(averaged(members, DIGITS[:4])[0].sum(dim=1), p[:4].sum(dim=1))
    torch.testing.assert_close(averaged(members[:1], DIGITS[:4])[0], averaged(members[:1], DIGITS)[0][:4])
