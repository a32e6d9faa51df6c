"""Managers around a manager: what they do in training, and that each image stands for itself in evaluation."""

import pytest
import torch

from moe_lib import AnnealedManager, BiasedManager, LikelihoodMixture, Manager, SinkhornManager, VAEExperts


@pytest.fixture
def manager():
    torch.manual_seed(0)
    return Manager(6, 4, hidden=(5,))


x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("wrap", [BiasedManager, SinkhornManager, lambda m: AnnealedManager(m, start=5.0, steps=10)])
def test_in_evaluation_an_image_stands_for_itself_and_nothing_is_counted(manager, wrap):
    wrapped = wrap(manager)
    wrapped(x)
    wrapped.eval()
    before = {name: value.clone() for name, value in wrapped.state_dict().items()}
    torch.testing.assert_close(wrapped(x)[:3], wrapped(x[:3]))
    for name, value in wrapped.state_dict().items():
        assert torch.equal(value, before[name])


def test_annealing_falls_in_a_straight_line_to_the_manager_itself(manager):
    annealed = AnnealedManager(manager, start=5.0, steps=4)
    temperatures = [(manager(x) / annealed(x)).median().item() for _ in range(6)]
    assert temperatures == pytest.approx([5, 4, 3, 2, 1, 1], rel=1e-5)


def test_a_bias_brings_idle_experts_back(manager):
    manager.layers[-1].bias.data[..., 0] = 5.0  # the first expert gets everything
    biased = BiasedManager(manager, rate=0.05)
    assert biased(x).argmax(dim=1).bincount(minlength=4).max() == 40
    for _ in range(400):
        biased(x)
    load = biased.eval()(x).argmax(dim=1).bincount(minlength=4)
    assert load.max() <= 20
    assert load.min() >= 1


def test_the_bias_moves_by_the_sign_of_the_missing_load(manager):
    manager.layers[-1].bias.data[..., 2] = 50.0
    biased = BiasedManager(manager, rate=0.1)
    biased(x)
    torch.testing.assert_close(biased.bias, torch.tensor([0.1, 0.1, -0.1, 0.1]))


def test_sinkhorn_shares_a_batch_out_evenly(manager):
    manager.layers[-1].bias.data[..., 0] = 5.0
    p = SinkhornManager(manager, rounds=50)(x).softmax(dim=1)
    torch.testing.assert_close(p.sum(dim=1), torch.ones(40))
    torch.testing.assert_close(p.sum(dim=0), torch.full((4,), 10.0), atol=1e-2, rtol=0)


def test_the_likelihood_weighs_experts_by_responsibility():
    torch.manual_seed(0)
    model = LikelihoodMixture(Manager(4, 3, hidden=(5,)), VAEExperts(3, in_features=4, hidden=(5,), latent=2))
    images = torch.rand(7, 4)
    noise = model.noise(7)
    p, losses = model.gate(images), model.experts.losses(images, images, noise)
    losses.retain_grad()
    loss = -(p * (-losses).exp()).sum(dim=1).log().mean()
    torch.testing.assert_close(model.objective(images, images, noise).expected, loss)
    loss.backward()
    responsibilities = (p.log() - losses).softmax(dim=1)
    torch.testing.assert_close(losses.grad, responsibilities / 7)


def test_a_confidently_wrong_manager_still_learns_from_the_likelihood():
    class Stubborn(Manager):
        def forward(self, x):
            return super().forward(x) + torch.tensor([120.0, 0.0])

    class Known(VAEExperts):
        def losses(self, x, y, noise=None, counts=None):
            return torch.tensor([[1000.0, 1.0]]).expand(len(x), 2)

    torch.manual_seed(0)
    model = LikelihoodMixture(Stubborn(4, 2, hidden=()), Known(2, in_features=4, hidden=(5,), latent=2))
    for parameter in model.manager.parameters():
        parameter.data.zero_()
    loss = model.objective(torch.ones(1, 4), torch.ones(1, 4)).expected
    assert loss.item() == pytest.approx(121, abs=1e-3)
    loss.backward()
    torch.testing.assert_close(model.manager.layers[0].bias.grad.flatten(), torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda m: AnnealedManager(m, start=0.0, steps=5), "start is 0"),
        (lambda m: AnnealedManager(m, start=5.0, steps=0), "steps is 0"),
        (lambda m: BiasedManager(m, rate=0.0), "rate is 0"),
        (lambda m: SinkhornManager(m, rounds=0), "rounds is 0"),
    ],
)
def test_senseless_settings_are_refused(manager, build, message):
    with pytest.raises(ValueError, match=message):
        build(manager)
