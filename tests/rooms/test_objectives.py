"""The likelihood of the mixture: its value and gradient by hand, and a rate that rises and falls."""

import pytest
import torch

from moe_lib import ImportanceVariance, Manager, VAEExperts
from moe_lib.ladder import LikelihoodMixture, one_cycle


def test_the_likelihood_weighs_experts_by_responsibility():
    torch.manual_seed(0)
    model = LikelihoodMixture(Manager(4, 3, hidden=(5,)), VAEExperts(3, 4, (5,), 2), ImportanceVariance(0.3))
    images = torch.rand(7, 4)
    noise = model.noise(7)
    p, losses = model.gate(images), model.experts.losses(images, images, noise)
    losses.retain_grad()
    loss = -(p * (-losses).exp()).sum(dim=1).log().mean()
    found = model.objective(images, images, noise)
    torch.testing.assert_close(found.expected, loss)
    torch.testing.assert_close(found.balancing, ImportanceVariance(0.3)(p))
    loss.backward()
    responsibilities = (p.log() - losses).softmax(dim=1)
    torch.testing.assert_close(losses.grad, responsibilities / 7)


def test_a_confidently_wrong_manager_still_learns_from_the_likelihood():
    class Stubborn(Manager):
        def forward(self, x):
            return super().forward(x) + torch.tensor([120.0, 0.0])

    class Known(VAEExperts):
        def losses(self, x, y, noise=None):
            return torch.tensor([[1000.0, 1.0]]).expand(len(x), 2)

    torch.manual_seed(0)
    model = LikelihoodMixture(Stubborn(4, 2, hidden=()), Known(2, in_features=4, hidden=(5,), latent=2))
    for parameter in model.manager.parameters():
        parameter.data.zero_()
    loss = model.objective(torch.ones(1, 4), torch.ones(1, 4)).expected
    assert loss.item() == pytest.approx(121, abs=1e-3)
    loss.backward()
    torch.testing.assert_close(model.manager.layers[0].bias.grad.flatten(), torch.tensor([1.0, -1.0]))


def test_one_cycle_is_that_of_pytorch():
    weight = torch.nn.Parameter(torch.zeros(()))
    adam = torch.optim.Adam([weight], lr=1.0)
    steps = 1000
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        adam, max_lr=1.0, total_steps=steps, pct_start=0.3, final_div_factor=1e5 / 25, cycle_momentum=False
    )
    for step in range(steps):
        # PyTorch puts the peak at step 299 of 0 … 999, and the end at the last step
        assert one_cycle(step / steps) == pytest.approx(cycle.get_last_lr()[0], abs=0.006)
        adam.step()
        cycle.step() if step < steps - 1 else None


def test_one_cycle_rises_for_three_tenths_and_falls_to_nothing():
    rates = [one_cycle(done / 1000) for done in range(1001)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == pytest.approx(1)
    assert rates.index(max(rates)) == 300
    assert rates[1000] == pytest.approx(1e-5)
    assert rates[:301] == sorted(rates[:301])
    assert rates[300:] == sorted(rates[300:], reverse=True)
