"""Sparse routing: which expert computes which examples, when each example is computed by only a few."""

import torch
from torch import Tensor


def dispatch(p: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    r"""Shares a batch out: each example goes to its `top_k` most probable experts, each expert gets a list of rows.

    The lists are padded to the longest, C, so that all experts still compute as one product. A padded place holds row 0
    with weight 0: it costs time and changes nothing, and no example is ever dropped. Over the batch

        Σ_b Σ_{i in top-k(b)} p̃_i(x_b) loss_i(x_b)  =  Σ_{c, i} weight[c, i] loss_i(x[rows[c, i]]),

    p̃ being p scaled to sum to one over the chosen experts: without that an expert's loss could be escaped by moving
    probability to experts that are not computed. Gradients reach the manager through p̃. Shazeer et al. 2017
    (arXiv:1701.06538, eq. 3 to 5) without its noise. Explained in chapter 6.

    Args:
        p: gate probabilities (B, E).
        top_k: from 1 to E.

    Returns:
        rows int64 (C, E) and weight (C, E); C is at least B top_k / E and at most B.
    """
    num_experts = p.shape[1]
    share, chosen = p.topk(top_k, dim=1)  # (B, k) each
    share = share / share.sum(dim=1, keepdim=True)
    expert, order = chosen.flatten().sort(stable=True)  # (B k,) pairs of example and expert, expert by expert
    count = torch.bincount(expert, minlength=num_experts)  # (E,)
    first = count.cumsum(0) - count  # (E,) where each expert's pairs begin
    place = torch.arange(len(expert), device=p.device) - first[expert]  # (B k,) 0, 1, 2, … within each expert
    shape = (int(count.max()), num_experts)
    rows = torch.zeros(shape, dtype=torch.int64, device=p.device).index_put((place, expert), order // top_k)
    weight = torch.zeros(shape, device=p.device).index_put((place, expert), share.flatten()[order])
    return rows, weight  # (C, E) each
