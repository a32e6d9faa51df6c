"""The ladder's balancing terms: known values, symmetry, and gradients that push the right way."""

import math

import pytest
import torch
from core.tiny import assert_a_step_downhill_helps_the_neglected_expert
from hypothesis import given
from hypothesis import strategies as st

from moe_lib import ImportanceVariance
from moe_lib.ladder import Floor, GateKL, SumOf

TERMS = [Floor, GateKL]
decided = torch.eye(10).repeat(10, 1)  # (100, 10), ten images an expert
undecided = torch.full((100, 10), 0.1)
collapsed = torch.eye(10)[0].repeat(100, 1)


@pytest.mark.parametrize(
    ("term", "values"),
    [
        (Floor(200.0, share=0.05), (0, 0, 90)),
        (Floor(200.0), (0, 0, 90)),
        (GateKL(1.0), (math.log(10), 0, math.log(10))),
        (GateKL(0.5), (math.log(10) / 2, 0, math.log(10) / 2)),
        (SumOf(ImportanceVariance(0.1), GateKL(1.0)), (math.log(10), 0, 90 + math.log(10))),
    ],
    ids=repr,
)
def test_the_three_gates_of_chapter_4(term, values):
    for gate, value in zip((decided, undecided, collapsed), values, strict=True):
        assert term(gate).item() == pytest.approx(value, abs=1e-4)


gates = st.integers(0, 10_000).map(lambda s: torch.rand(20, 5, generator=torch.Generator().manual_seed(s)).softmax(1))


@pytest.mark.parametrize("kind", TERMS)
@given(p=gates)
def test_the_order_of_experts_and_of_images_does_not_matter(kind, p):
    term = kind(0.7)
    torch.testing.assert_close(term(p[:, [3, 0, 4, 1, 2]]), term(p))
    torch.testing.assert_close(term(p.flip(0)), term(p))


@given(p=gates)
def test_the_divergence_is_that_of_torch_distributions(p):
    fair = torch.distributions.Categorical(torch.ones(5))
    by_hand = torch.distributions.kl_divergence(torch.distributions.Categorical(p), fair).mean()
    torch.testing.assert_close(GateKL(0.7)(p), 0.7 * by_hand)


def test_a_floor_asks_of_each_expert_what_it_lacks():
    p = torch.tensor([[0.7, 0.25, 0.05], [0.9, 0.1, 0.0]])  # means 0.8, 0.175, 0.025
    assert Floor(2.0, share=0.2)(p).item() == pytest.approx(2 * (0.025 + 0.175))


@pytest.mark.parametrize("kind", TERMS)
def test_a_small_step_downhill_helps_the_neglected_expert(kind):
    assert_a_step_downhill_helps_the_neglected_expert(kind(1.0))


@pytest.mark.parametrize("kind", TERMS)
@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_makes_no_sense(kind, weight):
    with pytest.raises(ValueError, match="weight of 0 or more"):
        kind(weight)


def test_a_floor_that_not_all_can_have_is_refused():
    with pytest.raises(ValueError, match=r"share is 0\.2 for 10 experts"):
        Floor(1.0, share=0.2)(decided)
    assert Floor(1.0, share=0.1)(decided) == 0  # exactly what each has
    with pytest.raises(ValueError, match="share is 0"):
        Floor(1.0, share=0.0)


def test_a_sum_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no terms"):
        SumOf()
