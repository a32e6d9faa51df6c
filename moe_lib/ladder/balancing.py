"""More balancing terms, which chapter 8 compares with those of chapter 4."""

import math

from torch import Tensor

from moe_lib.balance import Balance, WeightedTerm, entropy
from moe_lib.layers import Configured, require_positive


class GateKL(WeightedTerm):
    r"""What the post's loss lacks to be a negative ELBO:  w · mean_b KL( p(x_b) ‖ 1/E ) = w · ( ln E - mean_b H(p) ).

    It asks for indecision, not for balance: zero only when no image is decided, at most w ln E. Chapter 8.

    Args:
        weight: w, dimensionless; 1 gives the ELBO of the mixture whose experts are equally likely.
    """

    def __call__(self, p: Tensor) -> Tensor:  # p (B, E)
        return self.weight * (math.log(p.shape[1]) - entropy(p).mean())


class Floor(WeightedTerm):
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

    def __call__(self, p: Tensor) -> Tensor:  # p (B, E)
        if self.share * p.shape[1] > 1:
            raise ValueError(f"share is {self.share} for {p.shape[1]} experts; not all of them can have that much")
        return self.weight * (self.share - p.mean(dim=0)).clamp_min(0).sum()


class SumOf(Configured):
    """The sum of several terms.

    Args:
        *terms: at least one; each brings its own weight.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, *terms: Balance) -> None:
        if not terms:
            raise ValueError("no terms are given; name at least one")
        self.terms = terms

    def __call__(self, p: Tensor) -> Tensor:  # p (B, E)
        return sum(term(p) for term in self.terms)
