"""A manager that decides alike on an image and on a changed copy of it."""

import operator
from typing import NamedTuple

import torch
from torch import Tensor

from moe_lib.balance import entropy
from moe_lib.experts import Objective
from moe_lib.ladder.augmentation import Augmentation
from moe_lib.mixture import AnyExperts, AnyManager, MixtureOfExperts, looking


def joint_use(p: Tensor, q: Tensor) -> Tensor:
    """P = ½ (J + Jᵀ) with J = mean_b p(x_b) p(x'_b)ᵀ: how often a pair meets experts i and j; (B, E) each → (E, E)."""
    joint = (p.unsqueeze(2) * q.unsqueeze(1)).mean(dim=0)  # in float32: a matrix product would be bfloat16 in autocast
    return (joint + joint.T) / 2


def pair_information(p: Tensor, q: Tensor, spread: float = 1.0) -> Tensor:
    r"""What the experts of an image and of its copy tell of one another:  Σ_ij P_ij ln P_ij - 2 λ Σ_i π_i ln π_i.

    P is that of `joint_use`, how often the pair meets experts i and j, and π_i = Σ_j P_ij.
    At λ = 1 it is their mutual information, at most ln E nats: the copy's expert tells the image's, and all experts are
    used alike. A larger λ weighs the second more, and the maximum is (2 λ - 1) ln E. Ji, Henriques and Vedaldi 2019
    (IIC, arXiv:1807.06653), who also weigh the entropies so. Explained in chapter 8.

    Args:
        p: gate probabilities of the images (B, E).
        q: those of their copies (B, E).
        spread: λ, how much balance counts.
    """
    return joint_information(joint_use(p, q), spread)


def joint_information(joint: Tensor, spread: float = 1.0) -> Tensor:
    """The same from P itself, symmetric (E, E) → a scalar."""
    return 2 * spread * entropy(joint.sum(dim=0)) - entropy(joint.flatten())


class PairNoise(NamedTuple):
    """All that an `InvariantMixture` draws at random for n images."""

    experts: Tensor
    """What the experts draw, (n, E, Z)."""
    augmentation: Tensor
    """The numbers in [0, 1) that say how each partner is changed, (n, size)."""


class InvariantMixture(MixtureOfExperts):
    r"""A mixture whose manager must send an image and a changed copy of its partner to the same expert:

    total = mean_b Σ_i p_i(x_b) loss_i(x_b, x_b)  -  w · I_λ( p(x), p(T partner) )

    with T an `Augmentation` drawn anew for every image in every step, and I_λ of `pair_information`, which balances the
    experts, too. `fit` hands the partners over where other mixtures have y: an image's partner is itself,
    ``fit(model, x, x)``, or another image that looks like it, ``fit(model, x, relatives(x, neighbours(x), seed=0))``.
    The experts learn x alone, and never see a copy. Explained in chapter 8.

    Args:
        manager: from x (B, D) to logits (B, E).
        experts: E models with a loss per example and expert.
        weight: w, dimensionless: both terms are in nats.
        spread: λ of `pair_information`.
        augmentation: T.

    Raises:
        ValueError: if the experts are not of the size of images that the augmentation changes.
    """

    def __init__(
        self,
        manager: AnyManager,
        experts: AnyExperts,
        weight: float = 200.0,
        spread: float = 1.5,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__(manager, experts)
        self.weight, self.spread, self.augmentation = weight, spread, augmentation or Augmentation()
        if experts.in_features != self.augmentation.features:
            raise ValueError(
                f"the experts are for {experts.in_features} pixels, but the augmentation changes images of "
                f"{self.augmentation.features}, 28 × 28; resize the images"
            )

    def noise(self, n: int, generator: torch.Generator | None = None) -> PairNoise:
        """What the experts draw, and how each partner is changed."""
        drawn = self.experts.noise(n, generator)
        return PairNoise(drawn, torch.rand(n, self.augmentation.size, generator=generator, device=drawn.device))

    def objective(self, x: Tensor, partner: Tensor, noise: PairNoise | None = None) -> Objective:
        """The two parts of the loss of a batch of images (B, D) and their partners (B, D)."""
        noise = self.noise(len(x)) if noise is None else noise
        p, q = self.gate(torch.cat([x, self.augmentation(partner, noise.augmentation)])).chunk(2)  # (B, E) each
        information = pair_information(self.pooled(p), self.pooled(q), self.spread)
        return Objective(self.expected_loss(p, x, x, noise.experts), -self.weight * information)

    def expert_losses(self, x: Tensor, y: Tensor, noise: PairNoise | None = None) -> Tensor:
        """Loss of each expert on x alone, as in the objective: x (B, D), y not looked at → (B, E)."""
        return super().expert_losses(x, x, None if noise is None else noise.experts)

    def consistency(self, x: Tensor, partner: Tensor, seed: int = 0, batch_size: int = 1000) -> float:
        """I_λ( p(x), p(T partner) ) over a whole data set, without gradients: it tells good starts from bad."""
        self.check(x, partner)
        pairs = []
        with looking(self) as device:
            generator = torch.Generator(device).manual_seed(operator.index(seed))
            for xs, ys in zip(x.split(batch_size), partner.split(batch_size), strict=True):
                xs, ys = xs.to(device), ys.to(device)
                numbers = torch.rand(len(xs), self.augmentation.size, generator=generator, device=device)
                pairs.append((self.gate(xs), self.gate(self.augmentation(ys, numbers))))
            p, q = (torch.cat(gates) for gates in zip(*pairs, strict=True))
            return pair_information(p, q, self.spread).item()
