"""E layers in one product equal a loop over E layers; and what is given wrongly is told at once."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from core.tiny import IMAGES, as_loop, bad_images
from moe_lib import (
    ExpertLinear,
    ImportanceCV2,
    ImportanceVariance,
    Information,
    Manager,
    MixtureOfExperts,
    RegressionExperts,
    SwitchBalance,
    VAEExperts,
)
from moe_lib.layers import (
    expert_mlp,
    make_activation,
    require_finite,
    require_float32,
    require_index,
    require_matrix,
    require_positive,
)


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
    for one, other in pairwise(layer.weight):
        assert not torch.equal(one, other)
    assert not layer.bias.any()


def test_the_activation_stands_between_layers_only():
    layers = expert_mlp(2, 3, (4, 6), 5, "relu")
    assert [type(m) for m in layers] == [ExpertLinear, nn.ReLU, ExpertLinear, nn.ReLU, ExpertLinear]
    sizes = [tuple(layer.weight.shape) for layer in layers[::2]]
    assert sizes == [(2, 3, 4), (2, 4, 6), (2, 6, 5)]


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
def test_an_activation_is_the_function_of_its_name(name):
    x = torch.linspace(-2, 2, 9)
    assert torch.equal(make_activation(name)(x), getattr(torch, name)(x))


@pytest.mark.parametrize(
    "build",
    [
        lambda: ExpertLinear(2, 3, 4),
        lambda: Manager(3, 2, hidden=(5, 4), activation="relu"),
        lambda: RegressionExperts(2, in_features=3, out_features=2, degree=4, hidden=(6,), activation="relu"),
        lambda: VAEExperts(2, in_features=9, hidden=(6, 5), latent=3, decoder_std=0.25, activation="tanh"),
        lambda: MixtureOfExperts(Manager(1, 2), RegressionExperts(2), Information(0.5)),
        lambda: ImportanceVariance(0.1),
        lambda: ImportanceCV2(0.2),
        lambda: SwitchBalance(0.3),
        lambda: Information(0.4),
    ],
)
def test_what_a_thing_prints_and_what_builds_it_again_are_its_settings(build):
    made = build()
    again = type(made)(**made.settings())
    assert repr(again) == repr(made)
    assert type(made).__name__ in repr(made)
    for name, value in made.settings().items():
        assert isinstance(value, nn.Module) or f"{name}={value!r}" in repr(made)


def test_a_term_prints_as_it_is_written():
    assert repr(ImportanceVariance(0.1)) == "ImportanceVariance(weight=0.1)"
    assert repr(Manager(3, 2)).startswith(
        "Manager(\n  in_features=3, num_experts=2, hidden=(128,), activation='sigmoid'"
    )


@pytest.mark.parametrize("sizes", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (-1, 3, 4)])
def test_sizes_are_positive(sizes):
    with pytest.raises(ValueError, match="must be positive"):
        ExpertLinear(*sizes)


@pytest.mark.parametrize("value", [0, -1, -0.5, float("nan")])
def test_positive_is_more_than_nothing(value):
    require_positive("size", 1e-9)
    with pytest.raises(ValueError, match=f"size is {value}; it must be positive"):
        require_positive("size", value)


def test_an_index_counts_from_zero_and_never_from_the_end():
    require_index("expert", 0, 3)
    require_index("expert", 2, 3)
    for outside in (-1, 3):
        with pytest.raises(IndexError, match=f"expert {outside} of 3: choose 0 to 2"):
            require_index("expert", outside, 3)


@pytest.mark.parametrize("hidden", [128, "128"])
def test_one_number_of_hidden_units_is_refused_with_the_way_out(hidden):
    with pytest.raises(TypeError, match=r"hidden is '?128'?; .* for instance \(128,\)"):
        expert_mlp(1, 2, hidden, 3, "tanh")


def test_an_activation_that_is_not_there():
    with pytest.raises(ValueError, match="activation is 'swish'; choose one of sigmoid, tanh, relu"):
        make_activation("swish")


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [case for case in bad_images(IMAGES) if case[2] != "at least one"],  # experts ask for examples; a matrix has none
)
def test_images_are_checked_in_type_shape_and_range(images, error, message):
    with pytest.raises(error, match=message):
        require_matrix("x", images, 16)
        require_finite("x", images, 0, 1)


def test_whole_numbers_are_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"torch\.int64; give a float32 tensor: x\.float\(\)$"):
        require_matrix("x", torch.zeros(5, 3, dtype=torch.int64), 3)


def test_a_good_matrix_passes_to_its_very_edges():
    edges = torch.tensor([[0.0, 1.0]])
    require_matrix("x", edges, 2)
    require_finite("x", edges, 0, 1)
    require_finite("x", torch.tensor([[-1e30, 1e30]]))
    for outside in (torch.tensor([[-1e-6, 0.5]]), torch.tensor([[0.5, 1 + 1e-6]])):
        with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
            require_finite("x", outside, 0, 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_rows_that_are_not_finite_are_counted(bad):
    x = torch.zeros(6, 2, 2)  # examples of their own for two experts
    x[2, 1, 0] = x[2, 0, 0] = x[4, 0, 1] = bad
    with pytest.raises(ValueError, match="x has NaN or infinite values in 2 rows, the first is row 2"):
        require_finite("x", x)


@pytest.mark.parametrize("convert", [nn.Module.double, nn.Module.half, nn.Module.bfloat16])
def test_a_model_of_another_precision_is_refused_with_the_way_out(convert):
    require_float32(Manager(2, 2))
    with pytest.raises(TypeError, match=r"weights are torch\.\w+, and the data float32; call model\.float\(\)"):
        require_float32(convert(Manager(2, 2)))


def test_what_keeps_no_attribute_of_an_argument_still_prints():
    class Own(ExpertLinear):
        def __init__(self, k):
            super().__init__(k, 2, 3)

    assert repr(Own(4)) == "Own()" and Own(4).settings() == {}
