"""Managers around a manager: what they do in training, and that each image stands for itself in evaluation."""

import pytest
import torch

from moe_lib import Manager
from moe_lib.ladder import AnnealedManager, BiasedManager, SinkhornManager


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
    first = biased(x)
    torch.testing.assert_close(biased.bias, torch.tensor([0.1, 0.1, -0.1, 0.1]))
    torch.testing.assert_close(biased(x), first + torch.tensor([0.1, 0.1, -0.1, 0.1]))
    assert not biased.bias.requires_grad


def test_an_expert_with_its_fair_share_keeps_its_bias():
    class Known(Manager):
        def forward(self, x):
            return torch.eye(4)[torch.tensor([0, 0, 1, 2])]  # loads of a half, a quarter, a quarter and nothing

    biased = BiasedManager(Known(6, 4), rate=0.1)
    biased(x[:4])
    torch.testing.assert_close(biased.bias, torch.tensor([-0.1, 0.0, 0.0, 0.1]))


def test_sinkhorn_shares_a_batch_out_evenly(manager):
    manager.layers[-1].bias.data[..., 0] = 5.0
    p = SinkhornManager(manager, rounds=50)(x).softmax(dim=1)
    torch.testing.assert_close(p.sum(dim=1), torch.ones(40))
    torch.testing.assert_close(p.sum(dim=0), torch.full((4,), 10.0), atol=1e-2, rtol=0)


def test_each_round_divides_columns_and_then_rows(manager):
    manager.layers[-1].weight.data *= 10  # far from even: the order of the two is seen
    expected = manager(x).exp()
    for _ in range(3):
        expected = expected / expected.sum(dim=0, keepdim=True)
        expected = expected / expected.sum(dim=1, keepdim=True)
    torch.testing.assert_close(SinkhornManager(manager, rounds=3)(x).softmax(dim=1), expected)


def test_a_wrapper_is_a_manager_of_the_same_sizes(manager):
    for wrapped in (AnnealedManager(manager, 2.0, 3), BiasedManager(manager), SinkhornManager(manager)):
        assert (wrapped.in_features, wrapped.num_experts) == (6, 4)


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
