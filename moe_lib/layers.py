"""Linear layers for many experts at once, and the checks that all parts share."""

import inspect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

Activation = Literal["sigmoid", "tanh", "relu"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


class Configured:
    """What prints its settings and can be built again: each constructor argument is an attribute of the same name."""

    def settings(self) -> dict[str, Any]:
        """The arguments that build this again, by name: those that are kept as attributes of the same names."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def extra_repr(self) -> str:
        """The settings that are no modules and no weights; PyTorch prints modules itself."""
        plain = {name: value for name, value in self.settings().items() if not isinstance(value, nn.Module | Tensor)}
        return ", ".join(f"{name}={value!r}" for name, value in plain.items())

    def __repr__(self) -> str:
        module = isinstance(self, nn.Module)
        return nn.Module.__repr__(self) if module else f"{type(self).__name__}({self.extra_repr()})"


class ExpertLinear(Configured, nn.Module):
    r"""E linear layers as one batched product:  out[e] = x[e] W_e + b_e.

    The same numbers as a loop over E separate ``nn.Linear`` layers, in one call instead of E. Weights start
    Glorot-uniform (Glorot and Bengio 2010, eq. 16), layer by layer, and biases at zero. Explained in chapter 5.

    Shape:
        in: (B, in_features), the same input for every expert, or (E, B, in_features), one each
        out: (E, B, out_features)
    """

    def __init__(self, num_experts: int, in_features: int, out_features: int) -> None:
        super().__init__()
        for name, size in (("num_experts", num_experts), ("in_features", in_features), ("out_features", out_features)):
            require_positive(name, size)
        self.num_experts, self.in_features, self.out_features = num_experts, in_features, out_features
        self.weight = nn.Parameter(torch.empty(num_experts, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(num_experts, 1, out_features))
        for weight in self.weight:
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 2:
            x = x.expand(self.num_experts, *x.shape)  # (E, B, in), a view: no copies
        return torch.baddbmm(self.bias, x, self.weight)  # (E, B, out)


def expert_mlp(
    num_experts: int, in_features: int, hidden: Sequence[int], out_features: int, activation: Activation
) -> nn.Sequential:
    """E multilayer perceptrons side by side; the activation stands between layers, not after the last."""
    if not isinstance(hidden, Sequence) or isinstance(hidden, str):
        raise TypeError(f"hidden is {hidden!r}; give the sizes of the hidden layers in a tuple, for instance (128,)")
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise([in_features, *hidden, out_features]):
        layers += [ExpertLinear(num_experts, n_in, n_out), make_activation(activation)]
    return nn.Sequential(*layers[:-1])


def make_activation(name: Activation) -> nn.Module:
    """The activation of that name; ValueError if there is none."""
    if name not in _ACTIVATIONS:
        raise ValueError(f"activation is {name!r}; choose one of {', '.join(get_args(Activation))}")
    return _ACTIVATIONS[name]()


def require_positive(name: str, value: float) -> None:
    """ValueError unless `value` is above zero."""
    if not value > 0:
        raise ValueError(f"{name} is {value}; it must be positive")


def require_index(name: str, value: int, count: int) -> None:
    """Raises IndexError unless `value` is one of 0, …, count - 1; counting from the end is no choice of an expert."""
    if not 0 <= value < count:
        raise IndexError(f"{name} {value} of {count}: choose 0 to {count - 1}")


def require_matrix(name: str, value: Tensor, columns: int) -> None:
    """Raises TypeError unless `value` is a float32 tensor, ValueError unless its shape is (B, columns)."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}; give a float32 tensor: torch.as_tensor({name}).float()")
    if value.dtype != torch.float32:
        hint = f"{name}.float() / 255, if it holds 8-bit images" if value.dtype == torch.uint8 else f"{name}.float()"
        raise TypeError(f"{name} is a tensor of {value.dtype}; give a float32 tensor: {hint}")
    if value.dim() != 2 or value.shape[1] != columns:
        flat = value.dim() > 2 and value.shape[1:].numel() == columns
        hint = f"try {name}.flatten(1)" if flat else "resize the examples, or build the model for their size"
        raise ValueError(f"{name} has shape {tuple(value.shape)}; expected (B, {columns}), one example a row: {hint}")


def require_float32(model: nn.Module) -> None:
    """Raises TypeError unless all weights are float32, as the data must be."""
    if odd := {p.dtype for p in model.parameters()} - {torch.float32}:
        raise TypeError(f"the model's weights are {odd.pop()}, and the data float32; call model.float() first")


def require_finite(name: str, values: Tensor, low: float = float("-inf"), high: float = float("inf")) -> None:
    """Raises ValueError if a value is NaN or infinite, or a pixel lies outside of [low, high]."""
    least, most = values.aminmax()  # a NaN is both; no copy of the data is made
    if not (least.isfinite() and most.isfinite()):
        bad = (~values.isfinite()).flatten(1).any(dim=1).nonzero().flatten()
        raise ValueError(f"{name} has NaN or infinite values in {len(bad)} rows, the first is row {bad[0]}")
    if least < low or most > high:
        raise ValueError(
            f"pixels of {name} run from {least:.4g} to {most:.4g}; expected [{low:g}, {high:g}], where 0 is paper and "
            f"1 is ink. Divide 8-bit images by 255, undo a normalisation, and turn black on white into 1 - {name}"
        )
