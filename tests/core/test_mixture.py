"""The mixture's algebra: gates, gradients, symmetries, the parts of its objective; and that looking changes nothing."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from core.tiny import (
    IMAGES,
    Counting,
    Normed,
    NormedExperts,
    assert_same_bits,
    bad_images,
    small_moe_vae,
    small_regression,
    train,
    weights,
)
from moe_lib import (
    CooperatingExperts,
    FixedManager,
    ImportanceVariance,
    Manager,
    MixtureOfExperts,
    RegressionExperts,
    SwitchBalance,
    VAEExperts,
    borders,
    evaluate,
    moe_vae,
)
from moe_lib.mixture import looking


@pytest.fixture
def model():
    return small_regression()


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
    torch.testing.assert_close(p.log().diff(dim=1), model.manager(points[0]).diff(dim=1))


def test_the_objective_is_the_sum_of_its_parts(model, points):
    x, y = points
    p, losses = model.gate(x), model.expert_losses(x, y)
    objective = model(x, y)
    torch.testing.assert_close(objective.expected, sum(p[:, i] @ losses[:, i] for i in range(3)) / 12)
    torch.testing.assert_close(objective.balancing, 0.2 * p.sum(0).var(correction=0))
    torch.testing.assert_close(objective.total, objective.expected + objective.balancing)
    without = MixtureOfExperts(model.manager, model.experts)(x, y)
    assert torch.equal(without.expected, objective.expected)
    assert without.balancing.item() == 0


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
    """dL/dy_i = -2 p_i (y - y_i) and dL/da_i = p_i (loss_i - L), chapter 2; each through the objective itself."""
    x, y = points
    model.balance = None
    seen = {}
    model.manager.register_forward_hook(lambda part, given, logits: seen.update(logits=logits))
    model.experts.layers.register_forward_hook(lambda part, given, outputs: seen.update(outputs=outputs))
    total = model(x, y).total * len(x)
    logits, outputs = seen["logits"], seen["outputs"]  # (B, E), (E, B, 1)
    p, losses = logits.softmax(1), (y - outputs).square().squeeze(2).T
    got = torch.autograd.grad(total, [logits, outputs])
    expected = (p * losses).sum(1, keepdim=True)
    torch.testing.assert_close(got[0], p * (losses - expected))
    torch.testing.assert_close(got[1].squeeze(2), (-2 * p.T * (y - outputs).squeeze(2)))


def test_cooperating_experts_score_the_average_of_outputs(points):
    x, y = points
    torch.manual_seed(1)
    model = CooperatingExperts(Manager(1, 2), RegressionExperts(2), ImportanceVariance(0.3))
    p, outputs = model.gate(x), model.experts.predict(x).squeeze(2)
    average = (p * outputs).sum(dim=1, keepdim=True)
    torch.testing.assert_close(model.objective(x, y).expected, (y - average).square().mean())
    torch.testing.assert_close(model.objective(x, y).balancing, 0.3 * p.sum(0).var(correction=0))
    specialising = MixtureOfExperts(model.manager, model.experts)
    assert specialising.objective(x, y).expected > model.objective(x, y).expected, "Jensen: the average errs less"


def test_cooperating_experts_sum_over_outputs_and_average_over_examples():
    torch.manual_seed(1)
    model = CooperatingExperts(
        FixedManager(lambda x: torch.zeros(len(x), dtype=torch.long), 2), RegressionExperts(2, out_features=3)
    )
    x, y = torch.randn(7, 1), torch.randn(7, 3)
    first = model.experts.predict(x)[:, 0]
    torch.testing.assert_close(model(x, y).expected, ((y - first) ** 2).sum() / 7)


def test_the_whole_moe_vae_is_the_same_sentence():
    torch.manual_seed(0)
    model = moe_vae()
    x = torch.rand(6, 784)
    noise = model.noise(6, torch.Generator().manual_seed(1))
    objective = model.objective(x, x, noise)
    losses = model.expert_losses(x, x, noise)
    torch.testing.assert_close(objective.expected, (model.gate(x) * losses).sum(1).mean())
    torch.testing.assert_close(objective.balancing, 0.1 * model.gate(x).sum(0).var(correction=0))
    assert not losses.requires_grad
    assert not torch.equal(model(x, x).expected, model(x, x).expected), "the noise is drawn unless given"
    assert model.assign(x).dtype == torch.int64
    assert torch.equal(model.assign(x), model.gate(x).argmax(1))
    assert torch.equal(model.generate(3, 2, seed=5), model.experts.generate(3, 2, seed=5))
    assert torch.equal(model.generate(np.int64(3), np.int64(2), seed=np.int64(5)), model.generate(3, 2, seed=5))


def test_assigning_goes_through_many_examples_in_parts(model):
    x = torch.linspace(-2, 2, 2345).unsqueeze(1)
    seen = []
    model.manager.register_forward_hook(lambda module, given, result: seen.append(len(result)))
    found = model.assign(x)
    assert seen == [1000, 1000, 345]
    assert torch.equal(found, model.gate(x).argmax(dim=1))
    assert len(found.unique()) > 1


def test_moe_vae_is_the_post_s_model_unless_told_otherwise():
    expected = (784 * 128 + 128 + 128 * 10 + 10) + 10 * (
        784 * 128 + 128 + 128 * 20 + 20 + 10 * 128 + 128 + 128 * 784 + 784
    )
    assert sum(p.numel() for p in moe_vae().parameters()) == expected
    assert repr(moe_vae().balance) == "ImportanceVariance(weight=0.1)"
    assert moe_vae().experts.decoder_std == 0.5
    other = moe_vae(num_experts=3, balance=SwitchBalance(2.0), latent=4, decoder_std=0.2)
    assert (other.num_experts, other.manager.num_experts, other.experts.latent) == (3, 3, 4)
    assert repr(other.balance) == "SwitchBalance(weight=2.0)"
    assert other.experts.decoder_std == 0.2
    assert [tuple(layer.weight.shape) for layer in other.manager.layers[::2]] == [(1, 784, 128), (1, 128, 3)]


@pytest.mark.parametrize("side", [8, 28, 32])
def test_images_of_any_size_make_a_model(side):
    size = side * side
    model = MixtureOfExperts(Manager(size, 2, hidden=(4,)), VAEExperts(2, in_features=size, hidden=(4,), latent=2))
    x = torch.rand(3, size)
    assert model(x, x).total.isfinite()
    assert model.assign(x).shape == (3,)
    assert model.generate(0, 2, seed=0).shape == (2, size)


class NoLosses(nn.Module):
    num_experts = in_features = 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: MixtureOfExperts(Manager(1, 4), RegressionExperts(3)),
            ValueError,
            "the manager chooses among 4 experts, of 3",
        ),
        (
            lambda: MixtureOfExperts(Manager(64, 3), VAEExperts(3)),
            ValueError,
            "the manager takes 64 features, the experts 784",
        ),
        (
            lambda: MixtureOfExperts(RegressionExperts(3), Manager(1, 3)),
            TypeError,
            r"(?s)experts is Manager.*it lacks out_features, losses, noise, check of an nn.Module that is AnyExperts",
        ),
        (
            lambda: MixtureOfExperts(len, RegressionExperts(3)),
            TypeError,
            "lacks num_experts, in_features, named_parameters",
        ),
        (
            lambda: MixtureOfExperts(nn.Linear(1, 3), RegressionExperts(3)),
            TypeError,
            "it lacks num_experts of an nn.Module that is AnyManager",
        ),
        (
            lambda: MixtureOfExperts(Manager(1, 1), NoLosses()),
            TypeError,
            "it lacks out_features, losses, noise, check of",
        ),
        (lambda: MixtureOfExperts(Manager, RegressionExperts(3)), TypeError, "manager is <class"),
        (lambda: moe_vae(balance=0.1), TypeError, r"balance is 0\.1; give a term, for instance ImportanceVariance"),
        (lambda: moe_vae(balance=ImportanceVariance), TypeError, "balance is <class .* give a term"),
        (lambda: CooperatingExperts(Manager(784, 2), VAEExperts(2)), TypeError, "VAEExperts have no predict"),
        (lambda: small_regression().generate(0, 2, seed=0), TypeError, "RegressionExperts predict y from x and draw"),
        (lambda: small_moe_vae().generate(3, 2, seed=0), IndexError, "expert 3 of 3"),
    ],
)
def test_parts_that_do_not_fit_are_told_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_any_module_with_the_parts_of_the_protocols_will_do(points):
    class Line(nn.Module):
        num_experts, in_features = 3, 1

        def forward(self, x):
            return torch.cat([x, -x, 0 * x], dim=1)

    class Levels(nn.Module):
        num_experts, in_features, out_features = 3, 1, 1

        def losses(self, x, y, noise=None):
            return (y - torch.tensor([0.0, 1.0, 2.0])) ** 2

        def noise(self, n, generator=None):
            return None

        def check(self, x, y=None):
            pass

    model = MixtureOfExperts(Line(), Levels(), balance=lambda p: p.square().sum())
    x, y = points
    p = torch.cat([x, -x, 0 * x], dim=1).softmax(1)
    total = (p * (y - torch.arange(3)) ** 2).sum(1).mean() + p.square().sum()
    torch.testing.assert_close(model(x, y).total, total)
    assert torch.equal(model.assign(x), p.argmax(1))


LOOKERS = {
    "assign": lambda model, x, y: model.assign(x),
    "evaluate": lambda model, x, y: torch.cat(evaluate(model, x, y)),
    "expert_losses": lambda model, x, y: model.expert_losses(x, y, model.noise(len(x), torch.Generator())),
}
ENTRIES = LOOKERS | {"fit": lambda model, x, y: train(model, images=x)}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(("images", "error", "message"), bad_images(IMAGES))
def test_every_entry_refuses_images_that_are_not_as_they_should_be(entry, images, error, message):
    model = small_moe_vae()
    before = weights(model)
    with pytest.raises(error, match=message):
        ENTRIES[entry](model, images, images)
    assert_same_bits(weights(model), before)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("part", [lambda m: m, lambda m: m.manager, lambda m: m.experts])
def test_every_entry_refuses_a_model_of_another_precision(entry, part):
    model = small_moe_vae()
    part(model).double()
    with pytest.raises(TypeError, match=r"model's weights are torch\.float64.*model\.float\(\)"):
        ENTRIES[entry](model, IMAGES, IMAGES)


MANAGERS = {
    "plain": lambda: Manager(1, 3, hidden=(4,)),
    "counting": lambda: Counting(Manager(1, 3, hidden=(4,))),
    "normed": lambda: Normed(Manager(1, 3, hidden=(4,))),
    "fixed": lambda: FixedManager(lambda x: (x[:, 0] > 0).long(), 3),
}


def looked_at(manager, normed):
    """A model that has learnt a little, so that what its parts remember is not what they began with."""
    torch.manual_seed(0)
    model = MixtureOfExperts(MANAGERS[manager](), NormedExperts(3) if normed else RegressionExperts(3))
    for _ in range(3):
        model(torch.randn(20, 1) + 1, torch.randn(20, 1))
    return model


@pytest.mark.parametrize("looker", [*LOOKERS, "borders"])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("manager", MANAGERS)
def test_looking_changes_nothing_and_each_example_stands_for_itself(manager, normed, looker, points):
    model = looked_at(manager, normed)
    look = (LOOKERS | {"borders": lambda model, x, y: torch.tensor(borders(model))})[looker]
    x, y = points
    model.manager.eval()  # a part that somebody has set by hand
    before, modes = weights(model), [part.training for part in model.modules()]
    seen = look(model, x, y)
    assert_same_bits(weights(model), before)
    assert [part.training for part in model.modules()] == modes
    assert not seen.requires_grad
    model.train()
    assert torch.equal(look(model, x, y), seen), "in training as in evaluation"
    if looker in ("assign", "expert_losses"):
        parts = [look(model, *part) for part in zip(x.split(5), y.split(5), strict=True)]
        torch.testing.assert_close(torch.cat(parts), seen)


def test_drawing_is_looking_too():
    model = small_moe_vae()
    model.experts.decoder.append(nn.BatchNorm1d(5))
    before = weights(model)
    assert model.generate(1, 5, seed=0).shape == (5, 16)
    assert_same_bits(weights(model), before)
    assert all(part.training for part in model.modules())


def test_the_gate_in_training_is_the_one_that_training_sees(points):
    model = looked_at("normed", normed=False)
    learning = model.gate(points[0])
    assert not torch.equal(learning, model.eval().gate(points[0]))


def test_looking_ends_when_something_goes_wrong():
    model = small_moe_vae()
    model.manager.eval()
    with pytest.raises(ZeroDivisionError), looking(model) as device:
        assert device == torch.device("cpu")
        assert not model.training
        assert not torch.is_grad_enabled()
        raise ZeroDivisionError
    assert model.training
    assert model.experts.training
    assert not model.manager.training
    assert torch.is_grad_enabled()


def test_images_that_want_gradients_can_be_looked_at():
    wanting = IMAGES.clone().requires_grad_()
    model = small_moe_vae()
    assert torch.equal(model.assign(wanting), model.assign(IMAGES))
    evaluate(model, wanting, wanting)
    assert wanting.grad is None
