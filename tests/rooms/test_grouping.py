"""Experts that share a digit find one another; what is no table of shares is refused."""

from itertools import combinations

import pytest
import torch

from moe_lib.ladder import group_experts, joint_use


def shared(owner):
    """P of experts of which those with one owner pass images to one another, and to others hardly ever."""
    same = (owner.unsqueeze(0) == owner.unsqueeze(1)).double() + 0.01
    return same / same.sum()


def test_experts_with_one_owner_are_grouped():
    owner = torch.tensor([0, 1, 2, 1, 0, 2, 2])
    assert torch.equal(group_experts(shared(owner), 3), torch.tensor([0, 1, 2, 1, 0, 2, 2]))


def test_an_expert_that_keeps_its_images_stays_alone():
    joint = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.1, 0.15], [0.0, 0.15, 0.1]])
    assert torch.equal(group_experts(joint, 2), torch.tensor([0, 1, 1]))


def test_as_many_groups_as_experts_change_nothing_and_one_group_holds_all():
    joint = shared(torch.tensor([0, 1, 1, 0]))
    assert torch.equal(group_experts(joint, 4), torch.arange(4))
    assert torch.equal(group_experts(joint, 1), torch.zeros(4, dtype=torch.long))


def test_the_first_union_loses_the_least_information_of_all():
    p, q = 3 * torch.randn(2, 200, 6, generator=torch.Generator().manual_seed(0)).softmax(dim=2).double()
    joint = joint_use(p, q)
    joint /= joint.sum()

    def kept(group):
        member = torch.nn.functional.one_hot(group, 5).double()
        union = member.T @ joint @ member
        return (union * (union / torch.outer(union.sum(dim=0), union.sum(dim=0))).log()).sum().item()

    pairs = []
    for i, j in combinations(range(6), 2):
        group = torch.arange(6)
        group[j] = i
        pairs.append(kept(group.unique(return_inverse=True)[1]))
    assert kept(group_experts(joint, 5)) == pytest.approx(max(pairs), abs=1e-12)
    assert max(pairs) > min(pairs) + 1e-4


def test_what_is_no_table_of_shares_is_refused():
    joint = shared(torch.tensor([0, 1, 1]))
    for wrong, said in ((joint[:2], r"\(2, 3\)"), (joint + joint.triu(1), "not symmetric"), (2 * joint, "sums to 2")):
        with pytest.raises(ValueError, match=said):
            group_experts(wrong, 2)
    with pytest.raises(ValueError, match="num_groups is 4"):
        group_experts(joint, 4)
