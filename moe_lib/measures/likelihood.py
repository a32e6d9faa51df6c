"""How likely does a mixture of VAEs find an image? Two bounds on -ln p(x), in nats per image, lower is better.

The mixture as a generative model draws an expert i with probability 1/E, then z ~ N(0, I), then an image from expert i.
Only models of the same σ compare. Explained in chapter 7.
"""

import math
import operator
from typing import NamedTuple

import torch
from torch import Tensor

from moe_lib.balance import entropy
from moe_lib.mixture import MixtureOfExperts, looking


class NegativeELBO(NamedTuple):
    """The parts of the mixture's negative ELBO, means over images in nats."""

    reconstruction: float
    """mean_b Σ_i p_i · (-ln p_i(x | z)), the Gaussian's constant included."""
    kl: float
    """mean_b Σ_i p_i · KL( q_i(z | x) ‖ N(0, I) )."""
    gate: float
    """mean_b KL( p ‖ 1/E ) = ln E - mean_b H(p), which the post's loss leaves out; at most ln E."""

    @property
    def total(self) -> float:
        return self.reconstruction + self.kl + self.gate


def negative_elbo(model: MixtureOfExperts, x: Tensor, seed: int = 0, batch_size: int = 1000) -> NegativeELBO:
    r"""-ELBO(x) = Σ_i p_i(x) [ -ln p_i(x | z_i) + KL( q_i(z | x) ‖ N(0, I) ) + ln( E p_i(x) ) ],  one z_i ~ q_i drawn.

    An upper bound on -ln p(x), with the manager's p as the guess of who drew the image.

    Args:
        model: a mixture of `VAEExperts`.
        x: images (B, D).
        seed: of the drawn z.
        batch_size: images computed at once.

    Raises:
        TypeError: if the experts are no VAEs.
        TypeError, ValueError: if the images do not fit the model; see `Experts.check`.
    """
    _require_vaes(model)
    model.check(x)
    sums = torch.zeros(3, dtype=torch.float64)
    with looking(model) as device:
        generator = torch.Generator(device).manual_seed(operator.index(seed))
        for images in x.split(batch_size):
            images = images.to(device)
            p = model.gate(images)  # (B, E)
            noise = model.experts.noise(len(images), generator)  # (B, E, Z)
            reconstruction, kl = model.experts.elbo(images, noise=noise)  # (B, E) each
            gate = math.log(model.num_experts) - entropy(p)  # (B,)
            parts = [(p * reconstruction).sum(), (p * kl).sum(), gate.sum()]
            sums += torch.stack(parts).cpu().double()
    return NegativeELBO(*(sums / len(x)).tolist())


def iwae(model: MixtureOfExperts, x: Tensor, samples: int = 1000, seed: int = 0, batch_size: int = 10) -> float:
    r"""mean_b -ln ( 1/E Σ_i 1/K Σ_k  p_i(x | z_ik) N(z_ik; 0, I) / q_i(z_ik | x) ),  z_ik ~ q_i(z | x).

    Expert and z are both summed over, so that the manager has no part in it. The more samples, the closer to -ln p(x),
    from above on average. Burda, Grosse and Salakhutdinov 2016 (arXiv:1509.00519, eq. 8).

    Args:
        model: a mixture of `VAEExperts`.
        x: images (B, D).
        samples: K, for each image and expert.
        seed: of the drawn z.
        batch_size: images computed at once; K E of them are drawn for each.

    Raises:
        TypeError: if the experts are no VAEs.
        TypeError, ValueError: if the images do not fit the model, or samples is not positive.
    """
    _require_vaes(model)
    model.check(x)
    if not (hasattr(samples, "__index__") and samples >= 1):
        raise ValueError(f"samples is {samples}; draw at least one z for each image and expert")
    experts, total = model.experts, 0.0
    with looking(model) as device:
        generator = torch.Generator(device).manual_seed(operator.index(seed))
        for images in x.split(batch_size):
            images = images.to(device)
            mean, variance = (part.repeat_interleave(samples, dim=1) for part in experts.encode(images))  # (E, BK, Z)
            noise = torch.randn(mean.shape, generator=generator, device=device)  # (E, BK, Z)
            z = mean + variance.sqrt() * noise
            squared_error = (experts.decode(z) - images.repeat_interleave(samples, dim=0)).square().sum(dim=2)
            log_weight = (
                -squared_error / (2 * experts.decoder_std**2)
                - experts.constant
                + 0.5 * (noise.square() - z.square() + variance.log()).sum(dim=2)
            ).view(len(mean), len(images), samples)  # (E, B, K)
            log_p = log_weight.logsumexp(dim=2).logsumexp(dim=0) - math.log(samples * len(mean))  # (B,)
            total -= log_p.cpu().double().sum().item()
    return total / len(x)


def _require_vaes(model: MixtureOfExperts) -> None:
    if not hasattr(model.experts, "elbo"):
        raise TypeError(
            f"the experts are {type(model.experts).__name__}, which have no ELBO; give a mixture of VAEs (of a tree, "
            f"`flattened(model)`)"
        )
