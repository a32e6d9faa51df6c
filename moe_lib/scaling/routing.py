"""Sparse routing: each example is computed by only a few experts."""

import operator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moe_lib.balance import Balance
from moe_lib.mixture import AnyExperts, AnyManager, MixtureOfExperts


class Route(NamedTuple):
    """Which expert computes which examples. Each has R places, as many as the busiest needs; some stay empty."""

    rows: Tensor
    """The example in each place, int64 (R, E); in an empty place it is 0."""
    weight: Tensor
    """p̃ of each place (R, E): p scaled to sum to one over the experts of an example; 0 in an empty place."""


def dispatch(p: Tensor, top_k: int) -> Route:
    r"""Sends each example to its `top_k` most probable experts; no example is dropped.

    The expected loss is then  mean_b Σ_{i in top-k} p̃_i loss_i  with  p̃_i = p_i / Σ_{j in top-k} p_j. Without the
    scaling a loss could be escaped by moving probability to experts that are not computed. Gradients reach the manager
    through p̃. Shazeer et al. 2017 (arXiv:1701.06538, eq. 3 to 5) without its noise. Explained in chapter 6.

    Args:
        p: gate probabilities (B, E).
        top_k: from 1 to E; with 1 the weights are all 1, and no gradient reaches the manager.
    """
    share, chosen = p.topk(top_k, dim=1)  # (B, k) each
    share = share / share.sum(dim=1, keepdim=True)
    experts, order = chosen.flatten().sort(stable=True)  # (N,) each: N = B k pairs, sorted by expert
    counts = torch.bincount(experts, minlength=p.shape[1])  # (E,)
    place = torch.arange(len(order), device=p.device) - (counts.cumsum(0) - counts)[experts]  # (N,), from 0 in each
    shape = (int(counts.max()), p.shape[1])  # (R, E)
    rows = order.new_zeros(shape).index_put((place, experts), order // top_k)
    weight = share.new_zeros(shape).index_put((place, experts), share.flatten()[order])
    return Route(rows, weight)


class SparseMixture(MixtureOfExperts):
    r"""A mixture in which each example is computed by its `top_k` most probable experts alone, in training.

    total = mean_b Σ_{i in top-k} p̃_i loss_i  +  balance(p),     p̃ = p scaled to sum to one over the top k

    The balancing term sees all of p. The rows of all experts are one batched product; the more evenly they are shared
    out, the less it computes. Such a step cannot be compiled. Explained in chapter 6.

    Args:
        manager: from x (B, D) to logits (B, E).
        experts: E models with a loss per example and expert, which take examples of their own (B, E, D).
        balance: a balancing term of `moe_lib.balance`, or None.
        top_k: how many experts compute each example, at least 2.

    Raises:
        ValueError: if top_k is out of range.
    """

    def __init__(
        self, manager: AnyManager, experts: AnyExperts, balance: Balance | None = None, top_k: int = 2
    ) -> None:
        super().__init__(manager, experts, balance)
        if not (hasattr(top_k, "__index__") and 2 <= top_k <= experts.num_experts):
            raise ValueError(
                f"top_k is {top_k}; choose 2 to {experts.num_experts} experts. (With one alone its scaled p is 1 "
                f"whatever the manager says, and the manager learns nothing from the experts)"
            )
        self.top_k = operator.index(top_k)

    def expected_loss(self, p: Tensor, x: Tensor, y: Tensor, noise: Any) -> Tensor:
        route = dispatch(p, self.top_k)
        own = noise[route.rows, torch.arange(self.num_experts, device=x.device)]  # (R, E, Z)
        losses = self.experts.losses(x[route.rows], y[route.rows], own)  # (R, E)
        return (route.weight * losses).sum() / len(x)
