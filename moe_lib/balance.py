"""Balancing terms: what keeps the manager from giving everything to one expert.

Each takes the gate probabilities of a batch, p (B, E), and returns a scalar to be added to the expected loss, in its
units (nats per image for VAEs). Chapter 4 explains them side by side.

With `reach` (B,), not negative, example b counts as reach_b of the batch's total: every mean over the batch is weighted
by it, and a sum is B times the mean. So a manager deep in a tree is asked for balance over the examples that reach it,
as if they were a whole batch (chapter 9).
"""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from moe_lib.layers import require_positive


class Balance(Protocol):
    """A balancing term: gate probabilities p (B, E) in, and perhaps how much of each example counts; a scalar out."""

    weight: float

    def __call__(self, p: Tensor, reach: Tensor | None = None) -> Tensor: ...


class _Weighted:
    """What the terms share: a weight that is not negative.

    Raises:
        ValueError: if the weight is negative or not finite.
    """

    def __init__(self, weight: float) -> None:
        if not 0 <= weight < float("inf"):
            raise ValueError(f"weight is {weight}; a balancing term needs a finite weight of 0 or more")
        self.weight = weight

    def __repr__(self) -> str:
        return f"{type(self).__name__}(weight={self.weight})"


class ImportanceVariance(_Weighted):
    r"""Variance over experts of the batch's importance:  w · Var_i( Σ_b p_i(x_b) ).

    The term of Zeldes' post. Zero when every expert gets the same total probability, whether each image is decided or
    every image is split evenly. It grows with the square of the batch size, so a weight is tied to one: at B = 100 and
    E = 10 a full collapse costs 900 w. Reduction: sum over the batch, population variance over experts.

    Args:
        weight: w, in nats per unit of variance.
    """

    def __call__(self, p: Tensor, reach: Tensor | None = None) -> Tensor:  # p (B, E), reach (B,)
        importance = len(p) * batch_mean(p, reach)  # (E,)
        return self.weight * importance.var(correction=0)


class ImportanceCV2(_Weighted):
    r"""Squared coefficient of variation of the importance:  w · Var_i(I_i) / Mean_i(I_i)²,  I_i = Σ_b p_i(x_b).

    The importance loss of Shazeer et al. 2017 (arXiv:1701.06538, eq. 7). Free of the batch size: a full collapse costs
    w (E - 1). At B = 100 and E = 10 a weight of 10 equals `ImportanceVariance` with 0.1.

    Args:
        weight: w, in nats.
    """

    def __call__(self, p: Tensor, reach: Tensor | None = None) -> Tensor:  # p (B, E), reach (B,)
        share = batch_mean(p, reach)  # (E,), I_i / B, whose mean is 1/E
        return self.weight * p.shape[1] ** 2 * share.var(correction=0)


class SwitchBalance(_Weighted):
    r"""Load times probability:  w · E · Σ_i f_i P_i.

    f_i is the share of the batch whose most probable expert is i (no gradient), P_i the mean of p_i. Equals w when both
    are uniform and w E under a full collapse. Fedus, Zoph and Shazeer 2022 (JMLR 23:120, eq. 4).

    Args:
        weight: w, in nats (α in the paper).
    """

    def __call__(self, p: Tensor, reach: Tensor | None = None) -> Tensor:  # p (B, E), reach (B,)
        won = F.one_hot(p.argmax(dim=1), p.shape[1]).to(p.dtype)  # (B, E)
        load = batch_mean(won, None if reach is None else reach.detach())  # (E,)
        return self.weight * p.shape[1] * (load * batch_mean(p, reach)).sum()


class Information(_Weighted):
    r"""Minus the mutual information between image and expert:  -w · ( H(mean_b p) - mean_b H(p) ).

    The first entropy asks for balance over the batch, the second for a decision on each image: unlike the variance of
    the importance, it does not call an undecided gate perfect. At best -w ln E. Krause, Perona, Gomes 2010 (NeurIPS).

    Args:
        weight: w, dimensionless: the term is in nats already.
    """

    def __call__(self, p: Tensor, reach: Tensor | None = None) -> Tensor:  # p (B, E), reach (B,)
        return -self.weight * (entropy(batch_mean(p, reach)) - batch_mean(entropy(p), reach))


class GateKL(_Weighted):
    r"""What the post's loss lacks to be a negative ELBO:  w · mean_b KL( p(x_b) ‖ 1/E ) = w · ( ln E - mean_b H(p) ).

    It asks for hesitation, not for balance: zero only when no image is decided, at most w ln E. Chapter 8.

    Args:
        weight: w, dimensionless; 1 gives the ELBO of the mixture whose experts are equally likely.
    """

    def __call__(self, p: Tensor, reach: Tensor | None = None) -> Tensor:  # p (B, E), reach (B,)
        return self.weight * (math.log(p.shape[1]) - batch_mean(entropy(p), reach))


class Floor(_Weighted):
    r"""A minimum share for each expert:  w · Σ_i max( 0, ε - mean_b p_i(x_b) ).

    Silent as long as every expert has its minimum; a full collapse costs w ε (E - 1). The idea is that of Baltacı,
    Loiseau and Aubry's frequency loss for sprites. Chapter 8.

    Args:
        weight: w, in nats.
        share: ε, at most 1/E; half a fair share of ten experts unless given.
    """

    def __init__(self, weight: float, share: float = 0.05) -> None:
        super().__init__(weight)
        require_positive("share", share)
        self.share = share

    def __repr__(self) -> str:
        return f"Floor(weight={self.weight}, share={self.share})"

    def __call__(self, p: Tensor, reach: Tensor | None = None) -> Tensor:  # p (B, E), reach (B,)
        if self.share * p.shape[1] > 1:
            raise ValueError(f"share is {self.share} for {p.shape[1]} experts; not all of them can have that much")
        return self.weight * (self.share - batch_mean(p, reach)).clamp_min(0).sum()


class Together:
    """The sum of several terms.

    Args:
        *terms: at least one; each brings its own weight.

    Raises:
        ValueError: if there is none.
    """

    weight = 1.0

    def __init__(self, *terms: Balance) -> None:
        if not terms:
            raise ValueError("no terms are given; name at least one")
        self.terms = terms

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.terms))

    def __call__(self, p: Tensor, reach: Tensor | None = None) -> Tensor:  # p (B, E), reach (B,)
        return sum(term(p, reach) for term in self.terms)


def batch_mean(values: Tensor, reach: Tensor | None = None) -> Tensor:
    """Mean over the batch, (B, ...) → (...), each example weighted by its reach (B,) unless all count alike."""
    if reach is None:
        return values.mean(dim=0)
    return (reach / reach.sum().clamp_min(torch.finfo(reach.dtype).tiny)) @ values


def entropy(p: Tensor) -> Tensor:
    """Shannon entropy of the last dimension in nats:  H(p) = -Σ_i p_i ln p_i, with 0 ln 0 = 0.  (..., E) → (...)."""
    log_p = p.clamp_min(torch.finfo(p.dtype).tiny).log()  # finite at p = 0, and so is its gradient
    return -(p * log_p).sum(dim=-1)
