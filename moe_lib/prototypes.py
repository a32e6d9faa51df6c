"""Experts that own one picture each, and may only move it."""

import torch
from torch import Tensor, nn

from moe_lib.augmentation import SIDE, Deformation
from moe_lib.experts import Experts
from moe_lib.layers import expert_mlp, require_matrix, require_positive


class PrototypeExperts(Experts):
    r"""E pictures, moved to fit:  loss_i(x) = ‖ x - T(c_i; θ_i(x)) ‖² / 2σ²,  θ_i(x) = tanh( enc_i(x) ).

    c_i is the expert's picture, its prototype, and T a `Deformation`. Such an expert cannot draw a second digit, no
    matter how long it trains: what it lacks in freedom it gains in character. With every number θ held at 0 the loss
    is that of K-means. Reduction: sum over pixels, none over images; in nats, up to a constant. The idea is that of
    Monnier, Groueix and Aubry 2020 (Deep Transformation-Invariant Clustering, arXiv:2006.11132). Explained in chapter
    8.

    Args:
        prototypes: the pictures to start from (E, 784) in [0, 1], say random training images.
        hidden: units of each expert's encoder.
        deformation: T.
        std: σ.

    Attributes:
        free: how many of the numbers θ may differ from 0, the first ones first: 0 none, 5 all but the warp. One family
            of changes after the other, so that a prototype is a digit before it is bent.
    """

    def __init__(
        self, prototypes: Tensor, hidden: int = 128, deformation: Deformation | None = None, std: float = 0.5
    ) -> None:
        super().__init__()
        require_matrix("prototypes", prototypes, SIDE * SIDE)
        require_positive("std", std)
        self.num_experts, self.in_features, self.out_features = len(prototypes), SIDE * SIDE, SIDE * SIDE
        self.deformation = deformation or Deformation(rotation=0.6, scale=0.4, shear=0.6, shift=0.2, bend=0.25)
        self.std, self.free = std, self.deformation.strengths
        self.prototypes = nn.Parameter(prototypes.clamp(0.02, 0.98).logit())  # (E, 784)
        self.encoder = expert_mlp(self.num_experts, [SIDE * SIDE, hidden, self.deformation.strengths], "relu")
        nn.init.zeros_(self.encoder[-1].weight)  # nothing is moved at first

    def extra_repr(self) -> str:
        return f"deformation={self.deformation}, std={self.std}"

    def draw(self, x: Tensor) -> Tensor:
        """Each expert's picture moved to fit each image: x (B, 784) → (B, E, 784)."""
        numbers = self.encoder(x).float().tanh()  # (E, B, strengths)
        held = torch.arange(numbers.shape[2], device=x.device) >= self.free
        numbers = numbers.masked_fill(held, 0.0)
        pictures = self.prototypes.sigmoid().repeat_interleave(len(x), dim=0)  # (E B, 784)
        return self.deformation.move(pictures, numbers.flatten(0, 1)).unflatten(0, (-1, len(x))).transpose(0, 1)

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None, counts: None = None) -> Tensor:
        return (y.unsqueeze(1) - self.draw(x)).square().sum(dim=2) / (2 * self.std**2)  # (B, E)
