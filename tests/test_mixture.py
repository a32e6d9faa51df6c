"""The mixture's algebra: gates, gradients, symmetries, and the parts of its objective."""

import copy

import pytest
import torch

from moe_lib import (
    CooperatingExperts,
    ImportanceVariance,
    Manager,
    MixtureOfExperts,
    RegressionExperts,
    VAEExperts,
    moe_vae,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MixtureOfExperts(Manager(1, 3, hidden=(4,)), RegressionExperts(3), ImportanceVariance(0.2))


@pytest.fixture
def points():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 1, generator=generator), torch.randn(12, 1, generator=generator)


def permute_experts(model, order):
    permuted = copy.deepcopy(model)
    permuted.manager.layers[-1].weight.data = model.manager.layers[-1].weight.data[:, :, order]
    permuted.manager.layers[-1].bias.data = model.manager.layers[-1].bias.data[:, :, order]
    for layer in permuted.experts.layers:
        layer.weight.data, layer.bias.data = layer.weight.data[order], layer.bias.data[order]
    return permuted


def test_gates_sum_to_one(model, points):
    p = model.gate(points[0])
    assert p.shape == (12, 3)
    assert (p > 0).all()
    torch.testing.assert_close(p.sum(dim=1), torch.ones(12))


def test_the_objective_is_the_sum_of_its_parts(model, points):
    x, y = points
    p, losses = model.gate(x), model.expert_losses(x, y)
    objective = model.objective(x, y)
    torch.testing.assert_close(objective.expected, sum(p[:, i] @ losses[:, i] for i in range(3)) / 12)
    torch.testing.assert_close(objective.balancing, ImportanceVariance(0.2)(p))
    torch.testing.assert_close(objective.total, objective.expected + objective.balancing)


def test_permuting_the_experts_permutes_the_gate_and_changes_nothing_else(model, points):
    order = torch.tensor([2, 0, 1])
    permuted = permute_experts(model, order)
    torch.testing.assert_close(permuted.gate(points[0]), model.gate(points[0])[:, order])
    torch.testing.assert_close(permuted.objective(*points).total, model.objective(*points).total)


def test_identical_experts_equal_one_expert(model, points):
    for layer in model.experts.layers:
        layer.weight.data[:], layer.bias.data[:] = layer.weight.data[:1].clone(), layer.bias.data[:1].clone()
    alone = RegressionExperts(1)
    alone.layers[0].weight.data, alone.layers[0].bias.data = (v.data[:1] for v in model.experts.layers[0].parameters())
    torch.testing.assert_close(model.objective(*points).expected, alone.objective(*points).expected)


def test_gradients_equal_the_hand_derived_ones(model, points):
    """dL/dy_i = -2 p_i (y - y_i) and dL/da_i = p_i (loss_i - L), chapter 2."""
    x, y = points
    logits, outputs = model.manager(x), model.experts.predict(x)  # (B, E), (B, E, 1)
    p, losses = logits.softmax(1), (y.unsqueeze(1) - outputs).square().squeeze(2)
    expected = (p * losses).sum(1)
    got = torch.autograd.grad(expected.sum(), [logits, outputs])
    torch.testing.assert_close(got[0], p * (losses - expected.unsqueeze(1)))
    torch.testing.assert_close(got[1].squeeze(2), -2 * p * (y - outputs.squeeze(2)))


def test_cooperating_experts_score_the_blend(points):
    x, y = points
    torch.manual_seed(1)
    model = CooperatingExperts(Manager(1, 2), RegressionExperts(2))
    p, outputs = model.gate(x), model.experts.predict(x).squeeze(2)
    blend = (p * outputs).sum(dim=1, keepdim=True)
    torch.testing.assert_close(model.objective(x, y).expected, (y - blend).square().mean())
    specialising = MixtureOfExperts(model.manager, model.experts)
    assert specialising.objective(x, y).expected > model.objective(x, y).expected, "Jensen: the blend errs less"


def test_the_whole_moe_vae_is_the_same_sentence():
    torch.manual_seed(0)
    model = moe_vae()
    x = torch.rand(6, 784)
    noise = model.noise(6, torch.Generator().manual_seed(1))
    objective = model.objective(x, x, noise)
    losses = model.expert_losses(x, x, noise)
    torch.testing.assert_close(objective.expected, (model.gate(x) * losses).sum(1).mean())
    assert model.assign(x).dtype == torch.int64
    assert torch.equal(model.assign(x), model.gate(x).argmax(1))
    assert torch.equal(model.generate(3, 2, seed=5), model.experts.generate(3, 2, seed=5))


def test_assigning_goes_through_many_examples_in_parts(model):
    x = torch.linspace(-2, 2, 2345).unsqueeze(1)
    seen = []
    model.manager.register_forward_hook(lambda module, given, result: seen.append(len(result)))
    found = model.assign(x)
    assert max(seen) == 1000
    assert torch.equal(found, model.gate(x).argmax(dim=1))
    assert len(found.unique()) > 1


def test_moe_vae_has_the_post_s_parameters():
    expected = (784 * 128 + 128 + 128 * 10 + 10) + 10 * (
        784 * 128 + 128 + 128 * 20 + 20 + 10 * 128 + 128 + 128 * 784 + 784
    )
    assert sum(p.numel() for p in moe_vae().parameters()) == expected


def test_manager_and_experts_must_agree_on_their_number():
    with pytest.raises(ValueError, match="chooses among 4 experts; there are 3"):
        MixtureOfExperts(Manager(1, 4), RegressionExperts(3))


def test_manager_and_experts_must_see_the_same_x():
    with pytest.raises(ValueError, match="the manager takes 2 features, the experts 1"):
        MixtureOfExperts(Manager(2, 3), RegressionExperts(3))


def test_pixels_outside_the_unit_interval_are_refused():
    model = MixtureOfExperts(Manager(4, 2), VAEExperts(2, in_features=4))
    with pytest.raises(ValueError, match="Divide 8-bit images by 255"):
        model.check(torch.full((3, 4), 7.0), torch.full((3, 4), 7.0))
