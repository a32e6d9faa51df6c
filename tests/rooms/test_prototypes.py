"""Pictures that may only be moved: nothing moves at first, families come one after the other, and a move is learnt."""

import pytest
import torch

from moe_lib import Manager, MixtureOfExperts, fit
from moe_lib.ladder import Deformation, PrototypeExperts

from .small import DIGITS, assert_same_bits, train, weights


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
    assert torch.equal(experts.draw(x), still), "not even by the rounding of a grid"


def test_each_number_moves_as_far_as_the_deformation_says(pictures):
    """θ = tanh(enc), so that the largest number is the deformation's own largest."""
    deformation = Deformation(shift=0.1)
    experts = PrototypeExperts(pictures, deformation=deformation)
    torch.nn.init.constant_(experts.encoder[-1].bias[..., 3], 50.0)
    s = torch.zeros(2, deformation.strengths)
    s[:, 3] = 1.0
    moved = deformation.move(experts.prototypes.sigmoid(), s)
    torch.testing.assert_close(experts.draw(torch.rand(1, 784))[0], moved)


def test_a_shift_is_learnt(pictures):
    torch.manual_seed(0)
    deformation = Deformation(shift=0.2)
    s = torch.zeros(64, deformation.strengths)
    s[:, 3] = 2 * torch.rand(64) - 1
    images = deformation.move(pictures[:1].expand(64, 784).contiguous(), s).clamp(0, 1)
    experts = PrototypeExperts(pictures[:1], hidden=32, deformation=deformation)
    before = experts.losses(images, images).mean()
    fit(experts, images, images, epochs=60, batch_size=32, lr=3e-3, seed=0, device="cpu", progress=False)
    assert experts.losses(images, images).mean() < 0.2 * before


def test_it_is_an_expert_of_the_one_mixture(pictures):
    model = MixtureOfExperts(Manager(784, 2, hidden=(4,)), PrototypeExperts(pictures))
    x = torch.rand(4, 784)
    objective = model.objective(x, x)
    torch.testing.assert_close(objective.expected, (model.gate(x) * model.expert_losses(x, x)).sum(dim=1).mean())


def test_examples_of_their_own_cost_what_they_do_among_all(pictures):
    torch.manual_seed(0)
    experts = PrototypeExperts(pictures)
    experts.encoder[-1].weight.data.normal_(std=0.1)
    x = torch.rand(5, 2, 784)
    for free in (0, 5, experts.deformation.strengths):
        experts.free = free
        own = experts.losses(x, x)  # (5, 2)
        for i in range(2):
            torch.testing.assert_close(own[:, i], experts.losses(x[:, i], x[:, i])[:, i])


def at_rest(seed):
    torch.manual_seed(seed)
    return MixtureOfExperts(Manager(784, 2, hidden=()), PrototypeExperts(DIGITS[:2], hidden=4, free=0))


def frozen(seed):
    model = at_rest(seed)
    model.experts.free = 5
    for part in (model.manager, model.experts.encoder):
        part.requires_grad_(False)
    return model


@pytest.mark.parametrize("build", [at_rest, frozen])
def test_a_run_in_which_some_weights_rest_resumes_bit_for_bit(build, tmp_path):
    """Adam keeps nothing for weights without gradients, and a checkpoint has to know that."""
    whole, halves, resumed = build(0), build(0), build(1)
    before = weights(whole)
    uninterrupted = train(whole, DIGITS, batch_size=8)
    train(halves, DIGITS, batch_size=8, epochs=1, checkpoint=tmp_path / "run.safetensors")
    found = train(resumed, DIGITS, batch_size=8, checkpoint=tmp_path / "run.safetensors")
    assert found.total == uninterrupted.total
    assert_same_bits(weights(resumed), weights(whole))
    rested = "experts.encoder.0.weight"
    assert torch.equal(before[rested], weights(whole)[rested])
    assert not torch.equal(before["experts.prototypes"], weights(whole)["experts.prototypes"])


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


def test_drawn_numbers_are_even_from_minus_a_half_to_a_half(pictures):
    """Of shifts by up to a fifth of the side, seen in the middle of the ink."""
    experts = PrototypeExperts(pictures, deformation=Deformation(0, 0, 0, shift=0.2, bend=0))
    drawn = experts.generate(0, 400, seed=0).view(400, 28, 28)
    ink = (drawn > 0.5).float()
    across = (ink.sum(dim=1) @ torch.arange(28.0)) / ink.sum(dim=(1, 2)) - 13.5
    assert across.abs().max() <= 0.5 * 0.2 * 28 + 0.3
    assert across.std().item() == pytest.approx(0.2 * 28 / 12**0.5, rel=0.1)
    assert across.mean().abs() < 0.3


def test_what_is_no_picture_is_refused(pictures):
    with pytest.raises(ValueError, match="784"):
        PrototypeExperts(torch.rand(2, 100))
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        PrototypeExperts(255 * pictures)
    for free in (-1, 38):
        with pytest.raises(ValueError, match=f"free is {free}; the deformation has 37 numbers"):
            PrototypeExperts(pictures, free=free)
    for std in (0.0, -1.0):
        with pytest.raises(ValueError, match="std is"):
            PrototypeExperts(pictures, std=std)
