"""Balancing terms: known values, limits, symmetry, and gradients that push the right way."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.tiny import assert_a_step_downhill_helps_the_neglected_expert, few
from moe_lib import ImportanceCV2, ImportanceVariance, Information, SwitchBalance, entropy

TERMS = [ImportanceVariance, ImportanceCV2, SwitchBalance, Information]
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
    ],
)
def test_the_three_gates_of_chapter_4(term, values):
    for gate, value in zip((decided, undecided, collapsed), values, strict=True):
        if value is not None:
            assert term(gate).item() == pytest.approx(value, abs=1e-4)


gates = st.integers(0, 10_000).map(lambda s: torch.rand(20, 5, generator=torch.Generator().manual_seed(s)).softmax(1))


@pytest.mark.parametrize("kind", TERMS)
@few
@given(p=gates)
def test_the_order_of_experts_and_of_images_does_not_matter(kind, p):
    term = kind(0.7)
    torch.testing.assert_close(term(p[:, [3, 0, 4, 1, 2]]), term(p))
    torch.testing.assert_close(term(p.flip(0)), term(p))


@pytest.mark.parametrize("kind", TERMS)
@few
@given(p=gates)
def test_a_term_is_a_scalar_in_proportion_to_its_weight(kind, p):
    assert kind(0.7)(p).shape == ()
    torch.testing.assert_close(kind(1.4)(p), 2 * kind(0.7)(p))
    assert kind(0.0)(p) == 0


def population_variance(values):
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


@few
@given(p=gates)
def test_each_term_by_its_definition(p):
    importance = [sum(row[i] for row in p.tolist()) for i in range(5)]
    variance = population_variance(importance)
    assert ImportanceVariance(0.3)(p).item() == pytest.approx(0.3 * variance, rel=1e-3, abs=1e-6)
    assert ImportanceCV2(0.3)(p).item() == pytest.approx(0.3 * variance / 4**2, rel=1e-3, abs=1e-6)  # 20 / 5 each
    winners = [max(range(5), key=row.__getitem__) for row in p.tolist()]
    switch = 5 * sum(winners.count(i) / 20 * importance[i] / 20 for i in range(5))
    assert SwitchBalance(0.3)(p).item() == pytest.approx(0.3 * switch, rel=1e-4)
    gate, drawn = torch.distributions.Categorical(probs=p), torch.distributions.Categorical(probs=p.mean(0))
    information = drawn.entropy() - gate.entropy().mean()
    assert Information(0.3)(p).item() == pytest.approx(-0.3 * information.item(), rel=1e-3, abs=1e-6)


@few
@given(p=gates)
def test_the_load_of_switch_has_no_gradient(p):
    """So that dL/dp_i(x_b) is w E f_i / B, the same for every image."""
    p.requires_grad_()
    SwitchBalance(0.3)(p).backward()
    load = torch.bincount(p.argmax(1), minlength=5) / 20
    torch.testing.assert_close(p.grad, (0.3 * 5 * load / 20).expand(20, 5))


def test_variance_grows_with_the_square_of_the_batch_and_cv2_does_not():
    p = torch.rand(50, 4, generator=torch.Generator().manual_seed(0)).softmax(1)
    doubled = p.repeat(2, 1)
    assert ImportanceVariance(1.0)(doubled).item() == pytest.approx(4 * ImportanceVariance(1.0)(p).item(), rel=1e-3)
    assert ImportanceCV2(1.0)(doubled).item() == pytest.approx(ImportanceCV2(1.0)(p).item(), rel=1e-3)


@pytest.mark.parametrize("kind", TERMS)
def test_a_small_step_downhill_helps_the_neglected_expert(kind):
    assert_a_step_downhill_helps_the_neglected_expert(kind(1.0))


@few
@given(p=gates)
def test_entropy_equals_torch_distributions(p):
    torch.testing.assert_close(entropy(p), torch.distributions.Categorical(probs=p).entropy())
    torch.testing.assert_close(entropy(p.view(4, 5, 5)), entropy(p).view(4, 5))


def test_entropy_of_certainty_is_zero_and_so_is_the_pull_on_its_logits():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    certain = entropy(logits.softmax(1))
    certain.sum().backward()
    assert certain.item() == 0
    assert logits.grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("kind", TERMS)
@pytest.mark.parametrize("weight", [-1.0, -1e-9, float("nan"), float("inf")])
def test_a_weight_that_makes_no_sense(kind, weight):
    with pytest.raises(ValueError, match=f"weight is {weight}; .* weight of 0 or more"):
        kind(weight)
