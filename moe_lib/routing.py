"""Sparse routing: which expert computes which examples, when each example is computed by only a few."""

from typing import NamedTuple

import torch
from torch import Tensor


class Route(NamedTuple):
    """N = B · top_k pairs of example and expert, sorted by expert."""

    rows: Tensor
    """The example of each pair, int64 (N,)."""
    experts: Tensor
    """The expert of each pair, int64 (N,)."""
    weight: Tensor
    """p̃ of each pair (N,): p scaled to sum to one over the experts of an example."""
    counts: list[int]
    """How many pairs each expert has; E numbers."""


def dispatch(p: Tensor, top_k: int) -> Route:
    r"""Sends each example to its `top_k` most probable experts; no example is dropped, no expert is filled up.

    The expected loss is then  mean_b Σ_{i in top-k} p̃_i loss_i  with  p̃_i = p_i / Σ_{j in top-k} p_j. Without the
    scaling a loss could be escaped by moving probability to experts that are not computed. Gradients reach the manager
    through p̃. Shazeer et al. 2017 (arXiv:1701.06538, eq. 3 to 5) without its noise. Explained in chapter 6.

    Args:
        p: gate probabilities (B, E).
        top_k: from 1 to E; with 1 the weights are all 1, and no gradient reaches the manager.
    """
    share, chosen = p.topk(top_k, dim=1)  # (B, k) each
    share = share / share.sum(dim=1, keepdim=True)
    experts, order = chosen.flatten().sort(stable=True)  # (N,) each
    counts = torch.bincount(experts, minlength=p.shape[1]).tolist()
    return Route(rows=order // top_k, experts=experts, weight=share.flatten()[order], counts=counts)
