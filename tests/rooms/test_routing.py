"""Sparse routing: nothing dropped, nothing counted twice, and with all experts the same as no routing at all."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lib import ImportanceCV2, ImportanceVariance, Manager, MixtureOfExperts, RegressionExperts, VAEExperts
from moe_lib.ladder import ConvVAEExperts, Deformation, MixtureExperts, PrototypeExperts, StackedManagers
from moe_lib.scaling import SparseMixture, dispatch

from .small import gradients, train


@given(batch=st.integers(1, 12), experts=st.integers(1, 6), seed=st.integers(0, 99), data=st.data())
def test_every_example_goes_to_its_most_probable_experts_and_nowhere_else(batch, experts, seed, data):
    top_k = data.draw(st.integers(1, experts))
    p = torch.randn(batch, experts, generator=torch.Generator().manual_seed(seed)).softmax(1)
    rows, weight = dispatch(p, top_k)
    busiest = p.topk(top_k).indices.flatten().bincount().max()
    assert rows.shape == weight.shape == (busiest, experts), "as many places as the busiest expert needs"

    share, chosen = p.topk(top_k, dim=1)
    by_hand = torch.zeros(batch, experts).scatter(1, chosen, share / share.sum(1, keepdim=True))
    expert = torch.arange(experts).expand_as(rows)
    collected = torch.zeros(batch, experts).index_put((rows, expert), weight, accumulate=True)
    torch.testing.assert_close(collected, by_hand)
    assert (weight > 0).sum() == batch * top_k, "each pair has one place"
    assert (rows[weight == 0] == 0).all(), "an empty place holds an example all the same"


def test_weights_have_gradients():
    p = torch.randn(7, 4, dtype=torch.double, generator=torch.Generator().manual_seed(0)).softmax(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: dispatch(p, 2).weight, p)


SMALL = Deformation(rotation=0.2, knots=2)
EXPERTS = {  # four experts, and how many pixels they are for
    "vaes": (lambda: VAEExperts(4, 16, (8,), 2), 16),
    "regressions": (lambda: RegressionExperts(4, 16, 16), 16),
    "convolutional vaes": (lambda: ConvVAEExperts(4, (4,), 2, channels=(2, 2)), 784),
    "prototypes": (lambda: PrototypeExperts(torch.rand(4, 784), hidden=4, deformation=SMALL), 784),
    "mixtures": (lambda: MixtureExperts(StackedManagers(4, 16, 3, hidden=()), VAEExperts(12, 16, (4,), 2)), 16),
}


def both(name, top_k=2, batch=9, idle=None):
    """The dense mixture and the sparse one with the same weights, images, and all that is drawn."""
    torch.manual_seed(0)
    build, pixels = EXPERTS[name]
    dense = MixtureOfExperts(Manager(pixels, 4, hidden=()), build(), ImportanceVariance(0.1))
    if name == "prototypes":
        dense.experts.encoder[-1].weight.data.normal_(std=0.1)  # pictures are moved, and each for its own image
    if idle is not None:
        dense.manager.layers[0].bias.data[..., idle] = -50.0
    sparse = SparseMixture(dense.manager, dense.experts, dense.balance, top_k)
    return dense, sparse, torch.rand(batch, pixels), dense.noise(batch)


def one_by_one(dense, top_k, x, noise):
    """The objective in a plain loop: each expert computes its own rows, in a batch of its own."""
    p = dense.gate(x)
    share, chosen = p.topk(top_k, dim=1)
    share = share / share.sum(1, keepdim=True)
    total = 0.0
    for expert in range(4):
        row, place = (chosen == expert).nonzero(as_tuple=True)
        if len(row):
            losses = dense.experts.losses(x[row], x[row], noise[row])[:, expert]
            total = total + (share[row, place] * losses).sum()
    return total / len(x) + dense.balance(p)


def by_name(model, loss):
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
    return dict(zip(dict(model.named_parameters()), found, strict=True))


@pytest.mark.parametrize("idle", [None, 2], ids=["all busy", "one idle"])
@pytest.mark.parametrize("name", EXPERTS)
def test_one_batched_product_equals_a_plain_loop_over_experts(name, idle):
    dense, sparse, x, noise = both(name, idle=idle)
    expected = one_by_one(dense, 2, x, noise)
    torch.testing.assert_close(sparse.objective(x, x, noise).total, expected)
    wanted = by_name(dense, expected)
    torch.testing.assert_close(gradients(sparse, x, noise), wanted, rtol=1e-4, atol=1e-4)
    if idle is not None:
        first = next(n for n, p in sparse.named_parameters() if n.startswith("experts.") and len(p) == 4)
        assert wanted[first][idle].count_nonzero() == 0
        assert sparse.get_parameter(first).grad[idle].count_nonzero() == 0, "an expert that got nothing learns nothing"


@pytest.mark.parametrize("name", EXPERTS)
def test_all_experts_chosen_equals_dense(name):
    dense, sparse, x, noise = both(name, top_k=4)
    torch.testing.assert_close(sparse.objective(x, x, noise), dense.objective(x, x, noise))
    expected = gradients(dense, x, noise)
    expected = {key: value.clone() for key, value in expected.items()}
    torch.testing.assert_close(gradients(sparse, x, noise), expected, rtol=1e-4, atol=1e-4)


def test_one_example_keeps_two_experts_busy():
    dense, sparse, x, noise = both("vaes", batch=1)
    torch.testing.assert_close(sparse.objective(x, x, noise).total, one_by_one(dense, 2, x, noise))


def test_the_balancing_term_sees_all_of_p():
    dense, sparse, x, noise = both("vaes")
    torch.testing.assert_close(sparse.objective(x, x, noise).balancing, ImportanceVariance(0.1)(dense.gate(x)))


def test_the_manager_learns_from_the_chosen_experts():
    _, sparse, x, noise = both("vaes")
    logits = sparse.manager(x)
    p, losses = logits.softmax(1), sparse.expert_losses(x, x, noise)
    (found,) = torch.autograd.grad(sparse.expected_loss(p, x, x, noise), [logits])
    share = torch.zeros(9, 4).scatter(1, p.topk(2).indices, p.topk(2).values).detach()
    share = share / share.sum(1, keepdim=True)
    by_hand = share * (losses - (share * losses).sum(1, keepdim=True)) / 9  # chapter 2's gradient, over the chosen
    torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-5)


def test_looking_at_a_sparse_mixture_is_looking_at_a_dense_one():
    dense, sparse, x, noise = both("vaes")
    assert torch.equal(sparse.gate(x), dense.gate(x))
    assert torch.equal(sparse.expert_losses(x, x, noise), dense.expert_losses(x, x, noise))


def test_it_learns():
    torch.manual_seed(0)
    model = SparseMixture(Manager(16, 4), VAEExperts(4, 16, (8,), 2), ImportanceCV2(0.1), top_k=2)
    history = train(model, epochs=20)
    assert history.expected[-1] < history.expected[0] - 0.3


@pytest.mark.parametrize("top_k", [0, 1, 5, 2.5])
def test_a_top_k_out_of_range_is_refused(top_k):
    with pytest.raises(ValueError, match=f"top_k is {top_k}; choose 2 to 4 experts"):
        SparseMixture(Manager(1, 4), RegressionExperts(4), top_k=top_k)


def test_any_whole_number_will_do():
    model = SparseMixture(Manager(1, 4), RegressionExperts(4), top_k=np.int64(3))
    assert type(model.top_k) is int


def test_examples_of_their_own_are_nothing_for_a_mixture():
    with pytest.raises(ValueError, match=r"x has shape \(4, 4, 16\); expected \(B, 16\)"):
        both("vaes")[1].gate(torch.rand(4, 4, 16))
