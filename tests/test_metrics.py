"""Measures against brute force, scikit-learn, and cases done by hand."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.cluster import contingency_matrix

from moe_lib import (
    FixedManager,
    Manager,
    MixtureOfExperts,
    RegressionExperts,
    VAEExperts,
    borders,
    clustering_accuracy,
    contingency,
    evaluate,
    gate_health,
    match_experts,
    purity,
)

clusterings = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@given(pairs=clusterings)
def test_accuracy_equals_brute_force_over_permutations(pairs):
    assignments, labels = torch.tensor(pairs).T
    best = max((torch.tensor(names)[assignments] == labels).float().mean().item() for names in permutations(range(4)))
    assert clustering_accuracy(assignments, labels) == pytest.approx(best)


@given(pairs=clusterings)
def test_names_of_experts_do_not_matter(pairs):
    assignments, labels = torch.tensor(pairs).T
    renamed = torch.tensor([2, 0, 3, 1])[assignments]
    assert clustering_accuracy(renamed, labels) == pytest.approx(clustering_accuracy(assignments, labels))
    assert purity(renamed, labels) == pytest.approx(purity(assignments, labels))
    assert purity(assignments, labels) >= clustering_accuracy(assignments, labels) - 1e-6


@given(pairs=clusterings)
def test_contingency_equals_scikit_learn(pairs):
    assignments, labels = torch.tensor(pairs).T
    ours = contingency(assignments, labels)
    met = ours[ours.sum(1) > 0][:, ours.sum(0) > 0]  # scikit-learn leaves out what never occurs
    assert met.tolist() == contingency_matrix(assignments.numpy(), labels.numpy()).tolist()


def test_a_map_fitted_on_training_images_scores_test_images():
    match = match_experts(torch.tensor([0, 0, 1, 2]), torch.tensor([1, 1, 0, 2]), num_experts=4)
    assert match.tolist() == [1, 0, 2, -1], "the expert without images is left over"
    predicted = match[torch.tensor([0, 1, 3])]
    assert predicted.tolist() == [1, 0, -1]


def test_more_experts_than_classes_leave_some_over():
    assignments, labels = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 0, 1, 1])
    assert clustering_accuracy(assignments, labels) == pytest.approx(3 / 4)
    assert purity(assignments, labels) == 1


@pytest.mark.parametrize(
    ("assignments", "labels", "error", "message"),
    [
        (torch.tensor([0, 1]), torch.tensor([0]), ValueError, "2 assignments and 1 labels"),
        (torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long), ValueError, "at least one"),
        (torch.tensor([0, -1]), torch.tensor([0, 1]), ValueError, "count from 0"),
        (torch.tensor([0.0, 1.0]), torch.tensor([0, 1]), TypeError, "assignments must be a tensor of whole numbers"),
        ([0, 1], torch.tensor([0, 1]), TypeError, "assignments"),
        (torch.eye(2).long(), torch.tensor([0, 1]), TypeError, r"shape \(B,\)"),
    ],
)
def test_bad_clusterings_are_refused(assignments, labels, error, message):
    with pytest.raises(error, match=message):
        clustering_accuracy(assignments, labels)


def test_health_of_the_three_gates():
    decided = gate_health(torch.eye(4).repeat(5, 1))
    assert decided == pytest.approx((1.0, 0.0, torch.tensor(4.0).log().item(), 4, 0.25), abs=1e-6)
    undecided = gate_health(torch.full((20, 4), 0.25))
    assert undecided == pytest.approx((1.0, torch.tensor(4.0).log().item(), 0.0, 4, 0.25), abs=1e-6)
    collapsed = gate_health(torch.eye(4)[1].repeat(20, 1))
    assert collapsed == pytest.approx((0.0, 0.0, 0.0, 1, 1.0), abs=1e-6)


def test_evaluation_in_batches_equals_one_batch():
    torch.manual_seed(0)
    model = MixtureOfExperts(Manager(1, 2), RegressionExperts(2))
    x, y = torch.randn(23, 1), torch.randn(23, 1)
    whole, parts = evaluate(model, x, y, batch_size=23), evaluate(model, x, y, batch_size=5)
    torch.testing.assert_close(whole.losses, parts.losses)
    assert parts.expected == pytest.approx(model.objective(x, y).expected.item())
    assert torch.equal(parts.assignments, model.assign(x))


def test_evaluation_refuses_what_training_refuses():
    model = MixtureOfExperts(Manager(4, 2), VAEExperts(2, in_features=4))
    with pytest.raises(ValueError, match="Divide 8-bit images by 255"):
        evaluate(model, torch.full((3, 4), 9.0), torch.full((3, 4), 9.0))


def test_borders_are_where_the_rule_changes():
    model = MixtureOfExperts(FixedManager(lambda x: (x[:, 0] > 0.25).long(), 2), RegressionExperts(2))
    assert borders(model) == pytest.approx([0.25], abs=2e-3)
    never = MixtureOfExperts(FixedManager(lambda x: torch.zeros(len(x), dtype=torch.long), 2), RegressionExperts(2))
    assert borders(never) == []
