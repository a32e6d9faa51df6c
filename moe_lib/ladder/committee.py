"""A manager without experts, and managers that teach another: what several agree on is worth learning. Chapter 8."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moe_lib.experts import Experts, Objective
from moe_lib.ladder.augmentation import Augmentation
from moe_lib.layers import Configured, require_finite, require_float32, require_matrix, require_positive
from moe_lib.metrics import match_experts
from moe_lib.mixture import AnyManager, MixtureOfExperts, looking


class NoExperts(Experts):
    """Experts that have no weights and whose losses are 0: with them a mixture trains its manager alone.

    `InvariantMixture` with these is the clustering network of Ji, Henriques and Vedaldi 2019 (IIC, arXiv:1807.06653).

    Args:
        num_experts: E.
        in_features: D.
    """

    value_range = (0.0, 1.0)

    def __init__(self, num_experts: int, in_features: int = 784) -> None:
        super().__init__()
        require_positive("num_experts", num_experts)
        self.num_experts, self.in_features, self.out_features = num_experts, in_features, in_features

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        return torch.zeros(len(x), self.num_experts, device=x.device)

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.empty(n, self.num_experts, 0, device=generator.device if generator else None)


class TaughtManager(Configured, nn.Module):
    r"""A manager that learns what its teachers chose:  total = - mean_b Σ_i y_bi ln p_i(T x_b).

    Args:
        manager: from x (B, D) to logits (B, E).
        augmentation: T, drawn anew for every image in every step; `Augmentation` as it comes unless another is given.

    Shape:
        x: images (B, D); y: what the teachers say, probabilities (B, E), each row with sum 1.
    """

    def __init__(self, manager: AnyManager, augmentation: Augmentation | None = None) -> None:
        super().__init__()
        self.manager, self.augmentation = manager, augmentation or Augmentation()

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """How each image is changed, (n, size)."""
        device = generator.device if generator else None
        return torch.rand(n, self.augmentation.size, generator=generator, device=device)

    def forward(self, x: Tensor, y: Tensor, noise: Tensor) -> Objective:
        loss = F.cross_entropy(self.manager(self.augmentation(x, noise)).float(), y)
        return Objective(loss, torch.zeros_like(loss))

    def check(self, x: Tensor, y: Tensor | None = None) -> None:
        """TypeError or ValueError unless x and y are float32, of the right shape, and finite numbers in [0, 1]."""
        require_float32(self)
        for name, values, columns in (("x", x, self.augmentation.features), ("y", y, self.manager.num_experts)):
            if values is not None:
                require_matrix(name, values, columns)
                require_finite(name, values, 0.0, 1.0)
        if y is not None and len(y) != len(x):
            raise ValueError(f"x has {len(x)} images and y {len(y)} rows; they must be pairs")


def averaged(models: Sequence[MixtureOfExperts], x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of several gates, and on which images all agree: x (B, D) → probabilities (B, E), booleans (B,).

    Managers of different runs number their experts differently. Each is renumbered so that it agrees with the first one
    on as many of these images as possible, which needs no label.
    """
    gates = []
    for model in models:
        with looking(model) as device:
            gates.append(torch.cat([model.gate(part.to(device)).to(x.device) for part in x.split(1000)]))
    orders = [match_experts(p.argmax(dim=1), gates[0].argmax(dim=1), p.shape[1]).argsort() for p in gates]
    gates = [p[:, order] for p, order in zip(gates, orders, strict=True)]
    chosen = torch.stack([p.argmax(dim=1) for p in gates])  # (M, B)
    return torch.stack(gates).mean(dim=0), (chosen == chosen[0]).all(dim=0)
