"""A manager that decides alike on an image and on a changed copy of it."""

import torch
from torch import Tensor, nn

from moe_lib.augmentation import Augmentation
from moe_lib.balance import entropy
from moe_lib.experts import Experts, Objective
from moe_lib.mixture import MixtureOfExperts
from moe_lib.processes import gather


def joint_use(p: Tensor, q: Tensor) -> Tensor:
    """P = ½ (J + Jᵀ) with J = mean_b p(x_b) p(x'_b)ᵀ: how often a pair meets experts i and j, (B, E) each → (E, E)."""
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


class InvariantMixture(MixtureOfExperts):
    r"""A mixture whose manager must send an image and a changed copy of its relative to the same expert:

    total = mean_b Σ_i p_i(x_b) loss_i(x_b, x_b)  -  w · I_λ( p(x), p(T y) )

    with T an `Augmentation` drawn anew for every image in every step, and I_λ of `pair_information`, which balances the
    experts, too. The relative y of x is x itself, ``fit(model, x, x)``, or another image that looks like it,
    ``fit(model, x, relatives(x, neighbours(x), seed=0))``. The experts learn x alone, and never see a copy.
    Explained in chapter 8.

    Args:
        manager: from x (B, D) to logits (B, E).
        experts: E models with a loss per example and expert.
        weight: w, dimensionless: both terms are in nats.
        spread: λ of `pair_information`.
        augmentation: T.
    """

    def __init__(
        self,
        manager: nn.Module,
        experts: Experts,
        weight: float = 200.0,
        spread: float = 1.5,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__(manager, experts)
        self.weight, self.spread, self.augmentation = weight, spread, augmentation or Augmentation()

    def extra_repr(self) -> str:
        return f"weight={self.weight}, spread={self.spread}, augmentation={self.augmentation}"

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """What the experts draw, and the numbers in [0, 1) that say how each image is changed: (n, E Z + size)."""
        drawn = self.experts.noise(n, generator).flatten(1)  # (n, E Z)
        numbers = torch.rand(n, self.augmentation.size, generator=generator, device=drawn.device)
        return torch.cat([drawn, numbers], dim=1)

    def objective(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Objective:
        noise = self.noise(len(x)) if noise is None else noise
        drawn, numbers = self._apart(noise)
        p, q = self.gate(torch.cat([x, self.augmentation(y, numbers)])).chunk(2)  # (B, E) each
        return Objective(
            expected=self.expected_loss(p, x, x, drawn),
            balancing=self.balancing(x, p) - self.weight * pair_information(gather(p), gather(q), self.spread),
        )

    @torch.no_grad()
    def expert_losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        """Loss of each expert on x alone, as in the objective: x (B, D), y not looked at → (B, E)."""
        return super().expert_losses(x, x, None if noise is None else self._apart(noise)[0])

    def _apart(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The experts' noise (B, E, Z), and the numbers of the augmentation (B, size)."""
        size = self.augmentation.size
        return noise[:, :-size].unflatten(1, (self.num_experts, -1)), noise[:, -size:]

    @torch.no_grad()
    def consistency(self, x: Tensor, y: Tensor, seed: int = 0, batch_size: int = 1000) -> float:
        """I_λ( p(x), p(T y) ) over a whole data set, without gradients: it tells good starts from bad."""
        device = next(self.parameters()).device
        generator = torch.Generator(device).manual_seed(seed)
        pairs = []
        for xs, ys in zip(x.split(batch_size), y.split(batch_size), strict=True):
            xs, ys = xs.to(device), ys.to(device)
            numbers = torch.rand(len(xs), self.augmentation.size, generator=generator, device=device)
            pairs.append((self.gate(xs), self.gate(self.augmentation(ys, numbers))))
        p, q = (torch.cat(gates) for gates in zip(*pairs, strict=True))
        return pair_information(p, q, self.spread).item()
