"""Pictures that may only be moved: nothing moves at first, families come one after the other, and a move is learnt."""

import pytest
import torch

from moe_lib import Deformation, Manager, MixtureOfExperts, PrototypeExperts, fit


@pytest.fixture
def pictures():
    pictures = torch.zeros(2, 28, 28)
    pictures[0, 6:22, 12:16] = 1.0  # a bar
    pictures[1, 12:16, 6:22] = 1.0  # a bar that lies
    return pictures.flatten(1)


def test_at_first_the_loss_is_that_of_k_means(pictures):
    torch.manual_seed(0)
    experts = PrototypeExperts(pictures)
    x = torch.rand(5, 784)
    expected = torch.cdist(x, pictures.clamp(0.02, 0.98)).square() / (2 * 0.5**2)
    torch.testing.assert_close(experts.losses(x, x), expected, rtol=1e-3, atol=1e-2)
    assert (experts.losses(x, x).argmin(dim=1) == expected.argmin(dim=1)).all()


def test_held_numbers_do_not_move_a_picture(pictures):
    torch.manual_seed(0)
    experts = PrototypeExperts(pictures)
    experts.encoder[-1].bias.data.normal_()
    x = torch.rand(3, 784)
    still = experts.prototypes.sigmoid().expand(3, 2, 784)
    assert not torch.allclose(experts.draw(x), still, atol=0.1)
    experts.free = 5
    turned = experts.draw(x)
    experts.encoder[-1].bias.data[..., 5:] += 1  # of the warp, which is held
    torch.testing.assert_close(experts.draw(x), turned)
    experts.encoder[-1].bias.data[..., :5] += 1
    assert not torch.allclose(experts.draw(x), turned, atol=0.1)
    experts.free = 0
    torch.testing.assert_close(experts.draw(x), still, atol=1e-4, rtol=0)


def test_a_shift_is_learnt(pictures):
    torch.manual_seed(0)
    deformation = Deformation(shift=0.2)
    s = torch.zeros(64, deformation.strengths)
    s[:, 3] = 2 * torch.rand(64) - 1
    images = deformation.move(pictures[:1].expand(64, 784).contiguous(), s)
    experts = PrototypeExperts(pictures[:1], deformation=deformation)
    before = experts.losses(images, images).mean()
    fit(experts, images, images, epochs=60, batch_size=32, lr=3e-3, seed=0, device="cpu", progress=False)
    assert experts.losses(images, images).mean() < 0.2 * before


def test_it_is_an_expert_of_the_one_mixture(pictures):
    model = MixtureOfExperts(Manager(784, 2, hidden=(4,)), PrototypeExperts(pictures))
    x = torch.rand(4, 784)
    objective = model.objective(x, x)
    torch.testing.assert_close(objective.expected, (model.gate(x) * model.expert_losses(x, x)).sum(dim=1).mean())


def test_rows_of_single_experts_cost_what_they_do_among_all(pictures):
    torch.manual_seed(0)
    experts = PrototypeExperts(pictures)
    experts.encoder[-1].weight.data.normal_(std=0.1)
    x = torch.rand(5, 784)
    for free in (0, 5, experts.deformation.strengths):
        experts.free = free
        every = experts.losses(x, x)  # (5, 2)
        own = experts.losses(torch.cat([x[:2], x[1:]]), torch.cat([x[:2], x[1:]]), counts=[2, 4])
        torch.testing.assert_close(own, torch.cat([every[:2, 0], every[1:, 1]]))


def test_drawings_are_the_picture_moved_and_repeat(pictures):
    experts = PrototypeExperts(
        pictures, deformation=Deformation(shift=0.0, bend=0.0, rotation=0.1, scale=0.05, shear=0.05)
    )
    drawn = experts.generate(1, 4, seed=0)
    assert torch.equal(drawn, experts.generate(1, 4, seed=0))
    nearest = torch.cdist(drawn, pictures).argmin(dim=1)
    assert (nearest == 1).all()
    assert (drawn[0] - drawn[1]).abs().max() > 0.1
    experts.free = 0
    assert (experts.generate(1, 4, seed=0) - pictures[1]).abs().max() < 0.05
    with pytest.raises(IndexError, match="expert 2 of 2"):
        experts.generate(2, 1, seed=0)


def test_what_is_no_picture_is_refused(pictures):
    with pytest.raises(ValueError, match="784"):
        PrototypeExperts(torch.rand(2, 100))
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        PrototypeExperts(255 * pictures)
    with pytest.raises(ValueError, match=r"\(2, 2, 784\)"):  # images of their own: not for these experts
        PrototypeExperts(pictures).losses(torch.rand(2, 2, 784), torch.rand(2, 2, 784))
