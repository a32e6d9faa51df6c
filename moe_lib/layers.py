"""Linear layers for many experts at once."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Activation = Literal["sigmoid", "tanh", "relu"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


class ExpertLinear(nn.Module):
    r"""E linear layers as one batched product:  out[e] = x[e] W_e + b_e.

    The same numbers as a loop over E separate ``nn.Linear`` layers, in one call instead of E.
    Weights start Glorot-uniform (Glorot and Bengio 2010, eq. 16), layer by layer, and biases at zero.
    Explained in chapter 5.

    Args:
        num_experts: E, at least 1.
        in_features: size of the input of each expert.
        out_features: size of the output of each expert.

    Shape:
        in: (B, in_features), the same input for every expert, or (E, B, in_features), one each
        out: (E, B, out_features)

        With `counts`, how many rows belong to each expert, the input is (N, in_features), the rows of the first expert
        first, and the output (N, out_features): only these pairs of row and expert are computed (chapter 6).
    """

    def __init__(self, num_experts: int, in_features: int, out_features: int) -> None:
        super().__init__()
        for name, size in (("num_experts", num_experts), ("in_features", in_features), ("out_features", out_features)):
            require_positive(name, size)
        self.weight = nn.Parameter(torch.empty(num_experts, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(num_experts, 1, out_features))
        for weight in self.weight:
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        if counts is not None:
            parts = zip(x.split(counts), self.weight, self.bias, strict=True)
            return torch.cat([torch.addmm(bias, rows, weight) for rows, weight, bias in parts])  # (N, out)
        if x.dim() == 2:
            x = x.expand(len(self.weight), *x.shape)  # (E, B, in), a view: no copies
        return torch.baddbmm(self.bias, x, self.weight)  # (E, B, out)

    def extra_repr(self) -> str:
        experts, in_features, out_features = self.weight.shape
        return f"num_experts={experts}, in_features={in_features}, out_features={out_features}"


class ExpertSequential(nn.Sequential):
    """Layers one after the other; shapes are those of `ExpertLinear`."""

    def forward(self, x: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        for layer in self:
            x = layer(x, counts) if isinstance(layer, ExpertLinear) else layer(x)
        return x


def expert_mlp(num_experts: int, sizes: Sequence[int], activation: Activation) -> ExpertSequential:
    """E multilayer perceptrons with layer sizes `sizes`; the activation stands between layers, not after the last."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [ExpertLinear(num_experts, n_in, n_out), make_activation(activation)]
    return ExpertSequential(*layers[:-1])


def make_activation(name: Activation) -> nn.Module:
    """The activation of that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in _ACTIVATIONS:
        raise ValueError(f"activation is {name!r}; choose one of {', '.join(get_args(Activation))}")
    return _ACTIVATIONS[name]()


def require_positive(name: str, value: float) -> None:
    """Raises ValueError unless `value` is above zero."""
    if not value > 0:
        raise ValueError(f"{name} is {value}; it must be positive")


def require_index(name: str, value: int, count: int) -> None:
    """Raises IndexError unless `value` is one of 0, …, count - 1; counting from the end is no choice of an expert."""
    if not 0 <= value < count:
        raise IndexError(f"{name} {value} of {count}: choose 0 to {count - 1}")


def require_matrix(name: str, value: Tensor, columns: int) -> None:
    """Raises unless `value` is a float32 tensor of shape (B, columns).

    Raises:
        TypeError: if it is no float32 tensor.
        ValueError: if its shape is another.
    """
    if not isinstance(value, Tensor) or value.dtype != torch.float32:
        given = f"a tensor of {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise TypeError(f"{name} is {given}; give a float32 tensor, for instance torch.as_tensor({name}).float()")
    if value.dim() != 2 or value.shape[1] != columns:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; expected (B, {columns}), one example a row. "
            f"Flatten images with {name}.flatten(1)"
        )
