"""Balancing terms: known values, limits, symmetry, and gradients that push the right way."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lib import (
    Floor,
    GateKL,
    ImportanceCV2,
    ImportanceVariance,
    Information,
    SwitchBalance,
    Together,
    entropy,
)

TERMS = [ImportanceVariance, ImportanceCV2, SwitchBalance, Information, Floor, GateKL]
decided = torch.eye(10).repeat(10, 1)  # (100, 10), ten images an expert
undecided = torch.full((100, 10), 0.1)
collapsed = torch.eye(10)[0].repeat(100, 1)


@pytest.mark.parametrize(
    ("term", "values"),
    [
        (ImportanceVariance(0.1), (0, 0, 90)),
        (ImportanceCV2(10.0), (0, 0, 90)),
        (SwitchBalance(1.0), (1, None, 10)),  # of an undecided gate argmax is arbitrary
        (Information(1.0), (-math.log(10), 0, 0)),
        (Floor(200.0, share=0.05), (0, 0, 90)),
        (GateKL(1.0), (math.log(10), 0, math.log(10))),
        (Together(ImportanceVariance(0.1), GateKL(1.0)), (math.log(10), 0, 90 + math.log(10))),
    ],
)
def test_the_three_gates_of_chapter_4(term, values):
    for gate, value in zip((decided, undecided, collapsed), values, strict=True):
        if value is not None:
            assert term(gate).item() == pytest.approx(value, abs=1e-4)


gates = st.integers(0, 10_000).map(lambda s: torch.rand(20, 5, generator=torch.Generator().manual_seed(s)).softmax(1))


@pytest.mark.parametrize("kind", TERMS)
@given(p=gates)
def test_the_order_of_experts_and_of_images_does_not_matter(kind, p):
    term = kind(0.7)
    torch.testing.assert_close(term(p[:, [3, 0, 4, 1, 2]]), term(p))
    torch.testing.assert_close(term(p.flip(0)), term(p))


@given(p=gates)
def test_importance_variance_by_its_definition(p):
    importance = p.double().sum(0)
    by_hand = sum((i - 20 / 5) ** 2 for i in importance.tolist()) / 5
    assert ImportanceVariance(0.3)(p).item() == pytest.approx(0.3 * by_hand, rel=1e-3, abs=1e-6)


def test_variance_grows_with_the_square_of_the_batch_and_cv2_does_not():
    p = torch.rand(50, 4).softmax(1)
    doubled = p.repeat(2, 1)
    assert ImportanceVariance(1.0)(doubled).item() == pytest.approx(4 * ImportanceVariance(1.0)(p).item(), rel=1e-3)
    assert ImportanceCV2(1.0)(doubled).item() == pytest.approx(ImportanceCV2(1.0)(p).item(), rel=1e-3)


@pytest.mark.parametrize("kind", TERMS)
def test_a_small_step_downhill_helps_the_neglected_expert(kind):
    logits = torch.zeros(30, 4)
    logits[:, 0] = 4.0
    logits += 0.1 * torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    kind(1.0)(logits.softmax(1)).backward()
    assert logits.grad[:, 0].sum() > 0, "the busy expert's logit should go down"


@given(p=gates)
def test_entropy_equals_torch_distributions(p):
    torch.testing.assert_close(entropy(p), torch.distributions.Categorical(probs=p).entropy())


def test_entropy_of_certainty_is_zero_and_so_is_the_pull_on_its_logits():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    certain = entropy(logits.softmax(1))
    certain.sum().backward()
    assert certain.item() == 0
    assert logits.grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_makes_no_sense(weight):
    with pytest.raises(ValueError, match="weight of 0 or more"):
        ImportanceVariance(weight)


def test_a_floor_that_not_all_can_have_is_refused():
    with pytest.raises(ValueError, match=r"share is 0\.2 for 10 experts"):
        Floor(1.0, share=0.2)(decided)


def test_a_sum_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no terms"):
        Together()


@pytest.mark.parametrize("kind", TERMS)
@given(p=gates, seed=st.integers(0, 1000))
def test_an_example_of_reach_two_counts_as_two(kind, p, seed):
    times = torch.bincount(torch.randint(20, (20,), generator=torch.Generator().manual_seed(seed)), minlength=20)
    term = kind(0.7)
    torch.testing.assert_close(term(p, times.float()), term(p.repeat_interleave(times, dim=0)))


@pytest.mark.parametrize("kind", TERMS)
def test_a_mixture_that_nothing_reaches_has_a_finite_term(kind):
    assert kind(0.7)(undecided, torch.zeros(100)).isfinite()
