"""Balancing terms: what keeps the manager from giving everything to one expert.

Each takes the gate probabilities of a batch, p (B, E), and returns a scalar to be added to the expected loss, in its
units (nats per image for VAEs). Chapter 4 explains them side by side.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from moe_lib.layers import Configured

Balance = Callable[[Tensor], Tensor]  # a balancing term: gate probabilities p (B, E) → a scalar


class WeightedTerm(Configured):
    """What the terms share: a weight w, finite and not negative."""

    def __init__(self, weight: float) -> None:
        if not 0 <= weight < float("inf"):
            raise ValueError(f"weight is {weight}; a balancing term needs a finite weight of 0 or more")
        self.weight = weight


class ImportanceVariance(WeightedTerm):
    r"""Variance over experts of the batch's importance:  w · Var_i( Σ_b p_i(x_b) ).

    The term of Zeldes' post. Zero when every expert gets the same total probability, whether each image is decided or
    every image is split evenly. It grows with the square of the batch size, so a weight is tied to one: at B = 100 and
    E = 10 a full collapse costs 900 w. Reduction: sum over the batch, population variance over experts. The weight w is
    in nats per unit of variance.
    """

    def __call__(self, p: Tensor) -> Tensor:  # p (B, E)
        importance = p.sum(dim=0)  # (E,)
        return self.weight * importance.var(correction=0)


class ImportanceCV2(WeightedTerm):
    r"""Squared coefficient of variation of the importance:  w · Var_i(I_i) / Mean_i(I_i)²,  I_i = Σ_b p_i(x_b).

    The importance loss of Shazeer et al. 2017 (arXiv:1701.06538, eq. 7). Free of the batch size: a full collapse costs
    w (E - 1), with w in nats. At B = 100 and E = 10 a weight of 10 equals `ImportanceVariance` with 0.1.
    """

    def __call__(self, p: Tensor) -> Tensor:  # p (B, E)
        importance = p.sum(dim=0)  # (E,)
        return self.weight * importance.var(correction=0) / importance.mean().square()


class SwitchBalance(WeightedTerm):
    r"""Load times probability:  w · E · Σ_i f_i P_i.

    f_i is the share of the batch whose most probable expert is i (no gradient), P_i the mean of p_i. Equals w when both
    are uniform and w E under a full collapse; w is in nats. Fedus, Zoph and Shazeer 2022 (JMLR 23:120, eq. 4; α there).
    """

    def __call__(self, p: Tensor) -> Tensor:  # p (B, E)
        load = F.one_hot(p.argmax(dim=1), p.shape[1]).to(p.dtype).mean(dim=0)  # (E,)
        return self.weight * p.shape[1] * (load * p.mean(dim=0)).sum()


class Information(WeightedTerm):
    r"""Minus the mutual information between image and expert:  -w · ( H(mean_b p) - mean_b H(p) ).

    The first entropy asks for balance over the batch, the second for a decision on each image: unlike the variance of
    the importance, it does not call an undecided gate perfect. At best -w ln E, with w dimensionless. Krause, Perona
    and Gomes 2010 (NeurIPS).
    """

    def __call__(self, p: Tensor) -> Tensor:  # p (B, E)
        return -self.weight * (entropy(p.mean(dim=0)) - entropy(p).mean())


def entropy(p: Tensor) -> Tensor:
    """Shannon entropy of the last dimension in nats:  H(p) = -Σ_i p_i ln p_i, with 0 ln 0 = 0.  (..., E) → (...)."""
    log_p = p.clamp_min(torch.finfo(p.dtype).tiny).log()  # finite at p = 0, and so is its gradient
    return -(p * log_p).sum(dim=-1)
