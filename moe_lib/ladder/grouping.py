"""More experts than digits, made ten again without a label: which of them belong together. Chapter 8."""

from itertools import combinations

import torch
from torch import Tensor

from moe_lib.ladder.invariance import joint_information


def group_experts(joint: Tensor, num_groups: int) -> Tensor:
    r"""Merges, again and again, the two groups whose union loses the least information, until `num_groups` are left.

    The information is  I = Σ_ij P_ij ln( P_ij / π_i π_j )  with P_ij how often an image of group i has a relative in
    group j. Two experts that share a digit are each the home of the other's relatives, and telling them apart says
    little. This is the agglomerative information bottleneck of Slonim and Tishby 1999, on both sides at once.

    Args:
        joint: P (E, E), symmetric, not negative, its sum 1; see `joint_use`.
        num_groups: from 1 to E.

    Returns:
        the group of each expert, int64 (E,), numbered by the first expert of each.

    Raises:
        ValueError: if P is no such matrix, or num_groups is out of range.
    """
    if joint.dim() != 2 or joint.shape[0] != joint.shape[1]:
        raise ValueError(f"joint has shape {tuple(joint.shape)}; expected (E, E)")
    if not torch.allclose(joint, joint.T, atol=1e-6):
        raise ValueError(f"joint is not symmetric: P and its transpose are {(joint - joint.T).abs().max():.4g} apart")
    if joint.min() < 0 or abs(joint.sum().item() - 1) > 1e-3:
        raise ValueError(f"joint starts at {joint.min():.4g} and sums to {joint.sum():.4g}; expected shares of 1")
    if not 1 <= num_groups <= len(joint):
        raise ValueError(f"num_groups is {num_groups} for {len(joint)} experts")
    shares = joint.double().cpu()
    member = torch.eye(len(joint), dtype=torch.double)  # (groups, E), 1 where the expert is in the group
    while len(member) > num_groups:
        unions = [_merged(member, i, j) for i, j in combinations(range(len(member)), 2)]
        member = max(unions, key=lambda union: joint_information(union @ shares @ union.T))
    return member.argmax(dim=0)


def _merged(member: Tensor, i: int, j: int) -> Tensor:
    """Group j joins group i, i < j: (groups, E) → (groups - 1, E)."""
    union = torch.cat([member[:j], member[j + 1 :]])
    union[i] += member[j]
    return union
