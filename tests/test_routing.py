"""Sparse routing: nothing dropped, nothing counted twice, and with all experts the same as no routing at all."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lib import CooperatingExperts, ImportanceVariance, Manager, MixtureOfExperts, RegressionExperts, VAEExperts
from moe_lib.routing import dispatch


@given(batch=st.integers(1, 12), experts=st.integers(1, 6), seed=st.integers(0, 99), data=st.data())
def test_every_example_goes_to_its_most_probable_experts_and_nowhere_else(batch, experts, seed, data):
    top_k = data.draw(st.integers(1, experts))
    p = torch.randn(batch, experts, generator=torch.Generator().manual_seed(seed)).softmax(1)
    route = dispatch(p, top_k)
    assert route.counts == torch.bincount(route.experts, minlength=experts).tolist()
    assert route.experts.tolist() == sorted(route.experts.tolist())

    share, chosen = p.topk(top_k, dim=1)
    by_hand = torch.zeros(batch, experts).scatter(1, chosen, share / share.sum(1, keepdim=True))
    collected = torch.zeros(batch, experts).index_put((route.rows, route.experts), route.weight, accumulate=True)
    torch.testing.assert_close(collected, by_hand)
    assert len(route.rows) == batch * top_k, "each pair has one place"


@pytest.fixture(params=["vaes", "parabolas"])
def mixture(request):
    torch.manual_seed(0)
    if request.param == "vaes":
        return lambda top_k: MixtureOfExperts(
            Manager(16, 4), VAEExperts(4, 16, (8,), 2), ImportanceVariance(0.1), top_k=top_k
        )
    return lambda top_k: MixtureOfExperts(Manager(16, 4), RegressionExperts(4, 16, 16), top_k=top_k)


def test_examples_of_their_own_are_nothing_for_a_mixture(mixture):
    x = torch.rand(4, 4, 16)
    with pytest.raises(ValueError, match=r"x has shape \(4, 4, 16\); expected \(B, 16\)"):
        mixture(2).check(x, x)


def gradients(model, x, noise):
    model.zero_grad()
    model.objective(x, x, noise).total.backward()
    return {name: p.grad for name, p in model.named_parameters()}


def test_all_experts_chosen_equals_dense(mixture):
    dense, sparse = mixture(None), mixture(4)
    sparse.load_state_dict(dense.state_dict())
    x = torch.rand(9, 16)
    noise = dense.noise(9)
    torch.testing.assert_close(sparse.objective(x, x, noise).expected, dense.objective(x, x, noise).expected)
    torch.testing.assert_close(sparse.objective(x, x, noise).balancing, dense.objective(x, x, noise).balancing)
    torch.testing.assert_close(gradients(sparse, x, noise), gradients(dense, x, noise))


def test_two_of_four_equals_the_sum_by_hand(mixture):
    model = mixture(2)
    x = torch.rand(9, 16)
    noise = model.noise(9)
    p, losses = model.gate(x), model.expert_losses(x, x, noise)
    share, chosen = p.topk(2, dim=1)
    by_hand = (share / share.sum(1, keepdim=True) * losses.gather(1, chosen)).sum(1).mean()
    torch.testing.assert_close(model.objective(x, x, noise).expected, by_hand)


def test_the_balancing_term_sees_all_of_p():
    torch.manual_seed(0)
    model = MixtureOfExperts(Manager(16, 4), VAEExperts(4, 16, (8,), 2), ImportanceVariance(0.1), top_k=2)
    x = torch.rand(9, 16)
    torch.testing.assert_close(model.objective(x, x).balancing, ImportanceVariance(0.1)(model.gate(x)))


def test_experts_that_got_no_example_learn_nothing():
    torch.manual_seed(0)
    model = MixtureOfExperts(Manager(16, 4), VAEExperts(4, 16, (8,), 2), top_k=2)
    x = torch.rand(1, 16)  # one example cannot keep four experts busy
    idle = model.gate(x)[0].topk(2, largest=False).indices.tolist()
    grads = gradients(model, x, model.noise(1))
    assert all(grads["experts.encoder.0.weight"][expert].count_nonzero() == 0 for expert in idle)


def test_the_manager_learns_from_the_chosen_experts(mixture):
    model = mixture(2)
    model.balance = None
    x = torch.rand(9, 16)
    noise = model.noise(9)
    logits = model.manager(x)
    p, losses = logits.softmax(1), model.expert_losses(x, x, noise)
    (got,) = torch.autograd.grad(model.expected_loss(p, x, x, noise), [logits])
    share = torch.zeros(9, 4).scatter(1, p.topk(2).indices, p.topk(2).values).detach()
    share = share / share.sum(1, keepdim=True)
    by_hand = share * (losses - (share * losses).sum(1, keepdim=True)) / 9  # chapter 2's gradient, over the chosen
    torch.testing.assert_close(got, by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("top_k", [0, 1, 5])
def test_a_top_k_out_of_range_is_refused(top_k):
    with pytest.raises(ValueError, match=f"top_k is {top_k}; choose 2 to 4 experts"):
        MixtureOfExperts(Manager(1, 4), RegressionExperts(4), top_k=top_k)


def test_cooperating_experts_have_no_top_k():
    with pytest.raises(TypeError, match="top_k"):
        CooperatingExperts(Manager(1, 4), RegressionExperts(4), top_k=2)
