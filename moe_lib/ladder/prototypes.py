"""Experts that own one picture each, and may only move it."""

import operator

import torch
from torch import Tensor, nn

from moe_lib.experts import Experts
from moe_lib.ladder.augmentation import SIDE, Deformation
from moe_lib.layers import expert_mlp, require_finite, require_index, require_matrix, require_positive


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
        free: how many of the numbers θ may differ from 0, the first ones first: 0 none, 5 all but the warp, all unless
            given. One family of changes after the other, so that a prototype is a digit before it is bent.
    """

    value_range = (0.0, 1.0)

    def __init__(
        self,
        prototypes: Tensor,
        hidden: int = 128,
        deformation: Deformation | None = None,
        std: float = 0.5,
        free: int | None = None,
    ) -> None:
        super().__init__()
        require_matrix("prototypes", prototypes, SIDE * SIDE)
        require_positive("std", std)
        require_finite("prototypes", prototypes, 0.0, 1.0)
        self.num_experts, self.in_features, self.out_features = len(prototypes), SIDE * SIDE, SIDE * SIDE
        self.deformation = deformation or Deformation(rotation=0.6, scale=0.4, shear=0.6, shift=0.2, bend=0.25)
        self.std, self.hidden = std, hidden
        self.free = self.deformation.strengths if free is None else free
        if not 0 <= self.free <= self.deformation.strengths:
            raise ValueError(f"free is {free}; the deformation has {self.deformation.strengths} numbers")
        self.prototypes = nn.Parameter(prototypes.clamp(0.02, 0.98).logit())  # (E, 784)
        self.encoder = expert_mlp(self.num_experts, SIDE * SIDE, (hidden,), self.deformation.strengths, "relu")
        nn.init.zeros_(self.encoder[-1].weight)  # nothing is moved at first

    def draw(self, x: Tensor) -> Tensor:
        """Each expert's picture moved to fit x: (B, 784) or (B, E, 784) → (B, E, 784)."""
        pictures = self.prototypes.sigmoid().repeat_interleave(len(x), dim=0)  # (E B, 784)
        if self.free:
            numbers = self.encoder(x.transpose(0, 1) if x.dim() == 3 else x).float().tanh().flatten(0, 1)  # (E B, s)
            held = torch.arange(numbers.shape[1], device=x.device) >= self.free
            pictures = self.deformation.move(pictures, numbers.masked_fill(held, 0.0))
        return pictures.unflatten(0, (-1, len(x))).transpose(0, 1)

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        target = y.unsqueeze(1) if y.dim() == 2 else y  # (B, 1, 784) or (B, E, 784)
        return (target - self.draw(x)).square().sum(dim=-1) / (2 * self.std**2)  # (B, E)

    @torch.no_grad()
    def generate(self, expert: int, n: int, seed: int) -> Tensor:
        """One expert's picture moved n times: (n, 784). The free numbers are drawn evenly from [-½, ½].

        Raises:
            IndexError: if there is no such expert.
        """
        require_index("expert", expert, self.num_experts)
        generator = torch.Generator().manual_seed(operator.index(seed))
        numbers = torch.rand(n, self.deformation.strengths, generator=generator) - 0.5
        numbers[:, self.free :] = 0
        picture = self.prototypes[expert].sigmoid().cpu().expand(n, -1)
        return self.deformation.move(picture.contiguous(), numbers)
