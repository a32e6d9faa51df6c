"""Managers turn examples into logits, and see nothing but the examples."""

import pytest
import torch

from core.tiny import as_loop
from moe_lib import FixedManager, Manager


@pytest.fixture
def x():
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


def test_a_manager_is_an_mlp_of_plain_layers(x):
    torch.manual_seed(0)
    manager = Manager(in_features=6, num_experts=3, hidden=(8,), activation="tanh")
    (first,), (second,) = as_loop(manager.layers[0]), as_loop(manager.layers[2])
    torch.testing.assert_close(manager(x), second(first(x).tanh()))
    assert manager(x[:1]).shape == (1, 3)


def test_without_hidden_layers_it_is_linear(x):
    manager = Manager(6, 3, hidden=())
    torch.testing.assert_close(manager(2 * x) - manager(x), manager(x) - manager(0 * x))


def test_its_defaults_are_those_of_the_post(x):
    torch.manual_seed(0)
    manager = Manager(6, 3)
    (first,), (second,) = as_loop(manager.layers[0]), as_loop(manager.layers[2])
    assert first.weight.shape == (128, 6)
    torch.testing.assert_close(manager(x), second(first(x).sigmoid()))


def test_a_fixed_manager_puts_all_probability_on_its_rule():
    manager = FixedManager(lambda x: (x[:, 0] > 0).long(), num_experts=3)
    p = manager(torch.tensor([[-1.0, 5.0], [2.0, -3.0]])).softmax(dim=1)
    assert p.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert manager.in_features is None
    assert not list(manager.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Manager(3, 0), "num_experts is 0"),
        (lambda: Manager(0, 2), "in_features is 0"),
        (lambda: FixedManager(len, 0), "num_experts is 0"),
        (lambda: Manager(3, 2, hidden=(-1,)), "must be positive"),
        (lambda: Manager(3, 2, activation="swish"), "choose one of sigmoid, tanh, relu"),
        (lambda: Manager(3, 2)(torch.zeros(5, 4)), r"shape \(5, 4\); expected \(B, 3\).*resize"),
        (lambda: Manager(3, 2)(torch.zeros(5, 1, 3)), r"try x\.flatten\(1\)"),
    ],
)
def test_bad_input_says_what_was_given(make, message):
    with pytest.raises(ValueError, match=message):
        make()
