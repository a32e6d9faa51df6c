"""E layers in one product equal a loop over E layers; managers turn examples into logits."""

import pytest
import torch
from torch import nn

from moe_lib import ExpertLinear, FixedManager, Manager
from moe_lib.layers import expert_mlp


def as_loop(layer: ExpertLinear) -> list[nn.Linear]:
    """The same layers as plain nn.Linear modules."""
    experts, n_in, n_out = layer.weight.shape
    linears = [nn.Linear(n_in, n_out) for _ in range(experts)]
    for e, linear in enumerate(linears):
        linear.weight.data, linear.bias.data = layer.weight[e].T.detach().clone(), layer.bias[e, 0].detach().clone()
    return linears


@pytest.mark.parametrize("shared", [True, False])
def test_expert_linear_equals_a_loop(shared):
    torch.manual_seed(0)
    layer = ExpertLinear(3, 5, 4)
    nn.init.normal_(layer.bias)
    x = torch.randn(7, 5) if shared else torch.randn(3, 7, 5)
    loop = torch.stack([linear(x if shared else x[e]) for e, linear in enumerate(as_loop(layer))])
    torch.testing.assert_close(layer(x), loop)


def test_each_expert_starts_glorot_uniform():
    torch.manual_seed(0)
    layer = ExpertLinear(4, 300, 200)
    bound = (6 / 500) ** 0.5
    for weight in layer.weight.detach():
        assert weight.abs().max() <= bound
        assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not layer.bias.any()


def test_no_activation_after_the_last_layer():
    assert [type(m) for m in expert_mlp(2, [3, 4, 5], "relu")] == [ExpertLinear, nn.ReLU, ExpertLinear]


def test_manager_is_an_mlp_of_plain_layers():
    torch.manual_seed(0)
    manager = Manager(in_features=6, num_experts=3, hidden=(8,), activation="tanh")
    (first,), (second,) = as_loop(manager.layers[0]), as_loop(manager.layers[2])
    x = torch.randn(5, 6)
    torch.testing.assert_close(manager(x), second(first(x).tanh()))


def test_fixed_manager_puts_all_probability_on_its_rule():
    manager = FixedManager(lambda x: (x[:, 0] > 0).long(), num_experts=3)
    p = manager(torch.tensor([[-1.0], [2.0]])).softmax(dim=1)
    assert p.tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExpertLinear(0, 3, 4), "num_experts is 0"),
        (lambda: Manager(3, 0), "num_experts is 0"),
        (lambda: Manager(3, 2, hidden=(-1,)), "must be positive"),
        (lambda: Manager(3, 2, activation="swish"), "choose one of sigmoid, tanh, relu"),
        (lambda: Manager(3, 2)(torch.zeros(5, 4)), r"shape \(5, 4\); expected \(B, 3\)"),
        (lambda: Manager(3, 2)(torch.zeros(5, 1, 3)), r"Flatten images"),
    ],
)
def test_bad_input_says_what_was_given(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_whole_numbers_are_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"torch\.int64.*\.float\(\)"):
        Manager(3, 2)(torch.zeros(5, 3, dtype=torch.int64))
