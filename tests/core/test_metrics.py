"""Measures against brute force, torch.distributions, and cases done by hand."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.tiny import IMAGES, few, needs_cuda, small_moe_vae, small_regression
from moe_lib import (
    FixedManager,
    MixtureOfExperts,
    RegressionExperts,
    borders,
    clustering_accuracy,
    contingency,
    evaluate,
    gate_health,
    match_experts,
)

clusterings = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@few
@given(pairs=clusterings)
def test_accuracy_equals_brute_force_over_permutations(pairs):
    assignments, labels = torch.tensor(pairs).T
    best = max((torch.tensor(names)[assignments] == labels).float().mean().item() for names in permutations(range(4)))
    assert clustering_accuracy(assignments, labels) == pytest.approx(best)


@few
@given(pairs=clusterings)
def test_names_of_experts_do_not_matter(pairs):
    assignments, labels = torch.tensor(pairs).T
    renamed = torch.tensor([2, 0, 3, 1])[assignments]
    assert clustering_accuracy(renamed, labels) == pytest.approx(clustering_accuracy(assignments, labels))


@few
@given(pairs=clusterings)
def test_contingency_counts_pairs(pairs):
    assignments, labels = torch.tensor(pairs).T
    table, met = contingency(assignments, labels), Counter(pairs)
    assert table.shape == (max(assignments) + 1, max(labels) + 1)
    assert all(table[e, k] == met[e, k] for e in range(len(table)) for k in range(table.shape[1]))


def test_contingency_makes_room_for_experts_that_nobody_was_sent_to():
    a, b = torch.tensor([0, 2]), torch.tensor([1, 0])
    assert contingency(a, b, num_experts=4).tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    assert contingency(a, b, num_experts=1).tolist() == [[0, 1], [0, 0], [1, 0]]
    assert contingency(a.byte(), b.to(torch.int16)).dtype == torch.int64


def test_a_map_fitted_on_training_images_scores_test_images():
    match = match_experts(torch.tensor([0, 0, 1, 2]), torch.tensor([1, 1, 0, 2]), num_experts=4)
    assert match.tolist() == [1, 0, 2, -1], "the expert without images is left over"
    predicted = match[torch.tensor([0, 1, 3])]
    assert predicted.tolist() == [1, 0, -1]


def test_the_map_knows_experts_that_training_images_never_reached():
    """As many as there are classes: the eighth of ten experts may first be asked for on a test image."""
    match = match_experts(torch.tensor([0, 1, 1]), torch.tensor([3, 1, 1]))
    assert match.shape == (4,)
    assert match[:2].tolist() == [3, 1]
    assert sorted(match.tolist()) == [0, 1, 2, 3], "one-to-one"
    assert match.dtype == torch.int64


def test_more_experts_than_classes_leave_some_over():
    assignments, labels = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 0, 1, 1])
    assert clustering_accuracy(assignments, labels) == pytest.approx(3 / 4)
    assert match_experts(assignments, labels).tolist() in ([0, -1, 1], [-1, 0, 1])


@needs_cuda
def test_assignments_on_a_gpu_are_matched_there():
    assignments, labels = torch.tensor([0, 1, 2, 2]).cuda(), torch.tensor([0, 0, 1, 1]).cuda()
    assert match_experts(assignments, labels).device == assignments.device
    assert clustering_accuracy(assignments, labels) == pytest.approx(3 / 4)


@pytest.mark.parametrize("measure", [clustering_accuracy, contingency, match_experts])
@pytest.mark.parametrize(
    ("assignments", "labels", "error", "message"),
    [
        (torch.tensor([0, 1]), torch.tensor([0]), ValueError, "2 assignments and 1 labels; they must be pairs"),
        (torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long), ValueError, "at least one"),
        (torch.tensor([0, -1]), torch.tensor([0, 1]), ValueError, "count from 0"),
        (torch.tensor([0, 1]), torch.tensor([0, -1]), ValueError, "count from 0"),
        (torch.tensor([0.0, 1.0]), torch.tensor([0, 1]), TypeError, "assignments must be a tensor of whole numbers"),
        (torch.tensor([0, 1]), torch.tensor([0.0, 1.0]), TypeError, "labels must be a tensor of whole numbers"),
        ([0, 1], torch.tensor([0, 1]), TypeError, "assignments"),
        (torch.eye(2).long(), torch.tensor([0, 1]), TypeError, r"shape \(B,\)"),
    ],
)
def test_bad_clusterings_are_refused(measure, assignments, labels, error, message):
    with pytest.raises(error, match=message):
        measure(assignments, labels)


def test_health_of_the_three_gates():
    decided = gate_health(torch.eye(4).repeat(5, 1))
    assert decided == pytest.approx((1.0, 0.0, math.log(4), 4, 0.25), abs=1e-6)
    undecided = gate_health(torch.full((20, 4), 0.25))
    assert undecided == pytest.approx((1.0, math.log(4), 0.0, 4, 0.25), abs=1e-6)
    collapsed = gate_health(torch.eye(4)[1].repeat(20, 1))
    assert collapsed == pytest.approx((0.0, 0.0, 0.0, 1, 1.0), abs=1e-6)
    assert gate_health(torch.ones(3, 1)) == (1.0, 0.0, 0.0, 1, 1.0)


def test_health_of_a_gate_by_torch_distributions():
    p = torch.rand(50, 5, generator=torch.Generator().manual_seed(0)).mul(4).softmax(1)
    share = p.mean(0)
    spread = torch.distributions.Categorical(probs=share).entropy().item()
    undecided = torch.distributions.Categorical(probs=p).entropy().mean().item()
    health = gate_health(p)
    assert health.balance == pytest.approx(spread / math.log(5), rel=1e-5)
    assert health.gate_entropy == pytest.approx(undecided, rel=1e-5)
    assert health.information == pytest.approx(spread - undecided, abs=1e-5)
    assert health.busiest == pytest.approx(share.max().item())


@pytest.mark.parametrize(("share", "in_use"), [(0.0, 9), (0.0099, 9), (0.0101, 10), (0.05, 10)])
def test_an_expert_in_use_has_more_than_a_tenth_of_a_fair_share(share, in_use):
    p = torch.full((7, 10), (1 - share) / 9)
    p[:, 4] = share
    assert gate_health(p).experts_in_use == in_use


def test_exactly_a_tenth_of_a_fair_share_is_not_enough():
    assert gate_health(torch.tensor([[0.05, 0.95]])).experts_in_use == 1


def test_evaluation_by_hand():
    model = small_regression()
    x, y = torch.randn(23, 1), torch.randn(23, 1)
    seen = evaluate(model, x, y)
    assert torch.equal(seen.gate, model.gate(x))
    torch.testing.assert_close(seen.losses, (y - model.experts.predict(x).squeeze(2)).square())
    assert seen.expected == pytest.approx(model.objective(x, y).expected.item())
    assert torch.equal(seen.assignments, model.assign(x))
    assert not seen.losses.requires_grad


@pytest.mark.parametrize("batch_size", [1, 5, 22, np.int64(23), 1000])
def test_evaluation_in_batches_equals_one_batch(batch_size):
    model = small_regression()
    x, y = torch.randn(23, 1), torch.randn(23, 1)
    sizes = []
    model.manager.register_forward_hook(lambda part, given, result: sizes.append(len(result)))
    parts = evaluate(model, x, y, batch_size=batch_size)
    assert sizes == [min(batch_size, 23 - begun) for begun in range(0, 23, batch_size)]
    torch.testing.assert_close(parts.gate, model.gate(x))
    torch.testing.assert_close(parts.losses, model.expert_losses(x, y))


def test_a_thousand_examples_are_evaluated_at_a_time():
    model, sizes = small_regression(), []
    model.manager.register_forward_hook(lambda part, given, result: sizes.append(len(result)))
    x = torch.randn(1001, 1)
    evaluate(model, x, x)
    assert sizes == [1000, 1]


def test_evaluation_draws_its_noise_from_its_seed():
    model = small_moe_vae()
    first = evaluate(model, IMAGES, IMAGES)
    assert torch.equal(first.losses, evaluate(model, IMAGES, IMAGES, seed=np.int64(0)).losses)
    assert not torch.equal(first.losses, evaluate(model, IMAGES, IMAGES, seed=1).losses)
    noise = model.noise(32, torch.Generator().manual_seed(0))
    assert torch.equal(first.losses, model.expert_losses(IMAGES, IMAGES, noise))
    halves = evaluate(model, IMAGES, IMAGES, batch_size=16).losses
    assert not torch.equal(halves[:16], halves[16:])


def step_at(split):
    return MixtureOfExperts(FixedManager(lambda x: (x[:, 0] > split).long(), 2), RegressionExperts(2))


def test_borders_are_where_the_rule_changes():
    assert borders(step_at(0.25)) == pytest.approx([0.25], abs=1e-3)
    assert borders(step_at(0.25), points=5) == [0.5], "the first point of the grid that the next expert has"
    assert borders(step_at(0.25), low=0.0, high=3.0, points=4) == [1.0]
    assert borders(step_at(2.0)) == []
    assert borders(step_at(2.0), high=4.0) == pytest.approx([2.0], abs=5e-3)
    assert borders(step_at(-2.0), low=-4.0) == pytest.approx([-2.0], abs=5e-3)


def test_the_grid_reaches_from_minus_one_to_one_in_thousandths():
    assert borders(step_at(0.0)) == pytest.approx([0.001], abs=1e-6)
    assert borders(step_at(-0.9995)) == pytest.approx([-0.999], abs=1e-6)
    assert borders(step_at(0.9995)) == pytest.approx([1.0])


def test_several_borders_come_from_left_to_right():
    stripes = FixedManager(lambda x: ((x[:, 0] + 1.1) * 2).long() % 2, 2)
    assert borders(MixtureOfExperts(stripes, RegressionExperts(2))) == pytest.approx([-0.6, -0.1, 0.4, 0.9], abs=2e-3)
