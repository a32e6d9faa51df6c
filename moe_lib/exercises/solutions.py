"""What is right in the exercises, computed in other ways than the chapters' solutions do it, and random inputs to try.

By `torch.distributions` and autograd, by counting all cases, by a limit: so that either way can show the other wrong.
"""

import math
from itertools import product

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence


def gate(generator: torch.Generator, *shape: int) -> Tensor:
    """Random gate probabilities, none of them close to 0."""
    return torch.randn(*shape, generator=generator).softmax(dim=-1)


def codes(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Means and variances of latent codes, (B, Z) each."""
    return torch.randn(5, 10, generator=generator), torch.randn(5, 10, generator=generator).exp()


def kl(m: Tensor, v: Tensor) -> Tensor:
    """KL( N(m, v) ‖ N(0, I) ) of each image in nats, by `torch.distributions`: (B, Z) each → (B,)."""
    return kl_divergence(Normal(m, v.sqrt()), Normal(0.0, 1.0)).sum(dim=1)  # (B,)


def average(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """p (E,), outputs of the experts (E,), and y, a scalar."""
    return gate(generator, 4), torch.randn(4, generator=generator), torch.randn((), generator=generator)


def average_gradient(p: Tensor, outputs: Tensor, y: Tensor) -> Tensor:
    """∂/∂logits of (y - Σ p_i y_i)², by autograd: (E,)."""
    with torch.enable_grad():
        logits = p.log().requires_grad_()
        loss = (y - (logits.softmax(dim=0) * outputs).sum()).square()
        return torch.autograd.grad(loss, logits)[0]  # (E,)


def kmeans_border(*clouds: tuple[float, float]) -> float:
    """The border of K-means between clouds with infinitely many points, each uniform, all of equal weight."""
    border = 0.0
    for _ in range(200):
        centres = []
        for low, high in ((-math.inf, border), (border, math.inf)):
            weight = moment = 0.0
            for start, end in clouds:
                left, right = max(start, low), min(end, high)
                share = max(0.0, right - left) / (end - start)
                weight, moment = weight + share, moment + share * (left + right) / 2
            centres.append(moment / weight)
        border = sum(centres) / 2
    return border


def batch(generator: torch.Generator) -> tuple[int, int]:
    """B images and E experts."""
    return tuple(torch.randint(low, high, (), generator=generator).item() for low, high in ((20, 300), (2, 20)))


def luck(images: int, experts: int) -> float:
    """Var_i of the counts, in the mean over all batches: a sum over all counts that an expert may get."""
    p, fair = 1 / experts, images / experts
    chance = (math.comb(images, k) * p**k * (1 - p) ** (images - k) for k in range(images + 1))
    return sum(c * (k - fair) ** 2 for k, c in enumerate(chance))


def sorting(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Assignments to four experts that follow four labels a little, under other names, and the labels; (B,) each."""
    labels = torch.arange(48) % 4
    names = torch.randperm(4, generator=generator)
    lost = torch.rand(48, generator=generator) < 0.7
    return torch.where(lost, torch.randint(4, (48,), generator=generator), names[labels]), labels


def routed(generator: torch.Generator) -> tuple[Tensor, int]:
    """p (B, E), and how many experts compute an image."""
    return gate(generator, 6, 5), torch.randint(2, 5, (), generator=generator).item()


def top_k(p: Tensor, k: int) -> Tensor:
    """p of the k largest of each row, scaled to sum to one, the others zero: row by row, by sorting."""
    rows = []
    for row in p.tolist():
        chosen = sorted(range(len(row)), key=row.__getitem__)[-k:]
        total = sum(row[i] for i in chosen)
        rows.append([row[i] / total if i in chosen else 0.0 for i in range(len(row))])
    return torch.tensor(rows)  # (B, E)


def opinions(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """p (B, E), and losses (B, E) as large as those of images."""
    return gate(generator, 6, 5), 220 + 2 * torch.randn(6, 5, generator=generator)


def posterior(p: Tensor, losses: Tensor) -> Tensor:
    """r_i = p_i exp(-loss_i) / Σ_j p_j exp(-loss_j), in 64 bits, which reach down to e^-700: (B, E)."""
    joint = p.double() * (-losses.double()).exp()
    return joint / joint.sum(dim=1, keepdim=True)  # (B, E)


def naive_posterior(p: Tensor, losses: Tensor) -> Tensor:
    """The same as it is first written down: 0/0 in float32 for losses as large as those of images."""
    joint = p * (-losses).exp()
    return joint / joint.sum(dim=1, keepdim=True)


def majority(error: float) -> float:
    """Over all eight ways in which three sorters may be right (True) or wrong."""
    ways = product((True, False), repeat=3)
    return sum(math.prod(1 - error if right else error for right in way) for way in ways if sum(way) >= 2)


def classes(generator: torch.Generator) -> tuple[Tensor, float]:
    """Shares of ten classes, and λ."""
    return gate(generator, 10), 1 + torch.rand((), generator=generator).item()


def missing(share: Tensor, spread: float) -> float:
    """Information at its best minus that of a perfect sorting, both by the sum over a matrix P."""

    def information(joint: Tensor) -> float:
        pi = joint.sum(dim=0)
        return (torch.special.xlogy(joint, joint).sum() - 2 * spread * torch.special.xlogy(pi, pi).sum()).item()

    return information(torch.eye(len(share)) / len(share)) - information(share.diag())


def papers(generator: torch.Generator) -> tuple[Tensor]:
    """Images with ink all over the place (B, 784)."""
    return (torch.rand(4, 784, generator=generator).pow(8),)


def slant(images: Tensor) -> Tensor:
    """cov(right, up) / var(up) of the ink of each image, pixel by pixel with `torch.cov`: (B, 784) → (B,)."""
    pixels = torch.cartesian_prod(torch.arange(28), torch.arange(28)).double().T  # (2, 784): row, column
    moments = torch.stack([torch.cov(pixels, aweights=image.double(), correction=0) for image in images])  # (B, 2, 2)
    return -moments[:, 0, 1] / moments[:, 0, 0]  # rows are counted downwards


def branches(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """p of four branches (B, G), and of the three leaves on each (B, G, K)."""
    below = torch.stack([gate(generator, 5, 3) for _ in range(4)], dim=1)
    return gate(generator, 5, 4), below


def joint(p: Tensor, below: Tensor) -> Tensor:
    """One leaf after the other: (B, G), (B, G, K) → (B, G K)."""
    leaves = [p[:, i] * below[:, i, k] for i in range(below.shape[1]) for k in range(below.shape[2])]
    return torch.stack(leaves, dim=1)
