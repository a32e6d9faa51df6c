"""Scoring, through which every headline number passes, against independent answers: plain loops and brute force.

The labels of the training images and of the test images are skewed differently throughout, so that a map that is fitted
on the wrong half gives another number.
"""

import base64
import io
from itertools import permutations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from torch import nn

from moe_lib import Digits, ImportanceVariance, MixtureOfExperts, VAEExperts
from moe_lib.measures import examine, iwae, negative_elbo
from moe_lib.measures.scoring import (
    accuracy,
    agreement,
    barred_sevens_by,
    both_protocols,
    measure,
    portrait,
    posterior,
    purity,
    share_right,
    summary,
)

E, K = 4, 4


def divided(seed, num_experts=E, n=300):
    """Experts and labels of n images that go together, but not by number, and not too well."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(K, (n,), generator=generator)
    order = torch.randperm(num_experts, generator=generator)
    found = order[labels % num_experts]
    stray = torch.rand(n, generator=generator) < 0.45
    return torch.where(stray, torch.randint(num_experts, (n,), generator=generator), found), labels


def accuracy_by_brute_force(found_train, train_labels, found_test, test_labels):
    """Every one-to-one map of experts to labels is tried on the training images; the best is scored on the others."""
    best = max(
        permutations(range(K)),
        key=lambda names: sum(names[f] == y for f, y in zip(found_train.tolist(), train_labels.tolist(), strict=True)),
    )
    return sum(best[f] == y for f, y in zip(found_test.tolist(), test_labels.tolist(), strict=True)) / len(test_labels)


def halves(seed):
    """Of both halves the experts and labels; the best map differs between them."""
    return (*divided(seed), *divided(seed + 1000, n=200))


def test_both_protocols_are_two_scores_of_the_same_division():
    found_train, train_labels, found_test, test_labels = halves(7)
    both = both_protocols(found_train, train_labels, found_test, test_labels)
    assert both["accuracy"] == pytest.approx(
        accuracy_by_brute_force(found_train, train_labels, found_test, test_labels)
    )
    found, labels = torch.cat([found_train, found_test]), torch.cat([train_labels, test_labels])
    assert both["accuracy_all"] == pytest.approx(accuracy_by_brute_force(found, labels, found, labels))
    assert both["nmi_all"] == pytest.approx(normalized_mutual_info_score(labels, found))
    assert {name: both[name] for name in ("accuracy", "nmi", "ari", "purity")} == agreement(
        found_train, train_labels, found_test, test_labels
    )


def test_accuracy_equals_brute_force_with_the_map_of_the_training_images():
    others = 0
    for seed in range(20):
        given = halves(seed)
        assert accuracy(*given) == pytest.approx(accuracy_by_brute_force(*given)), seed
        wrong = [
            accuracy_by_brute_force(*given[2:], *given[i : i + 2]) for i in (0, 2)
        ]  # the map is of the test images
        others += all(abs(accuracy(*given) - other) > 0.005 for other in wrong)
    assert others >= 15, "the examples would not notice a map that is fitted on the wrong half"


def test_accuracy_is_one_for_another_numbering_and_a_share_otherwise():
    _, labels = divided(0)
    assert accuracy((labels + 1) % K, labels, (labels + 1) % K, labels) == 1
    assert accuracy(labels, labels, (labels + 1) % K, labels) == 0
    assert share_right(torch.tensor([1, 0, -1]), torch.tensor([0, 0, 1, 2]), torch.tensor([1, 0, 0, 2])) == 0.5


def test_an_expert_that_only_one_half_uses_is_no_error():
    found, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1])
    assert accuracy(found, labels, torch.tensor([0, 0, 1, 3]), labels) == 0.75
    assert accuracy(found, labels, found, labels, num_experts=9) == 1


def test_agreement_equals_scikit_learn_and_a_plain_loop_on_the_test_images():
    for seed in range(5):
        found_train, train_labels, found_test, test_labels = halves(seed)
        agreed = agreement(found_train, train_labels, found_test, test_labels)
        assert agreed["nmi"] == pytest.approx(normalized_mutual_info_score(test_labels.numpy(), found_test.numpy()))
        assert agreed["ari"] == pytest.approx(adjusted_rand_score(test_labels.numpy(), found_test.numpy()))
        commonest = sum(max(np.bincount(test_labels[found_test == i].numpy())) for i in range(E))
        assert agreed["purity"] == purity(found_test, test_labels) == pytest.approx(commonest / len(test_labels))
        assert agreed["accuracy"] == accuracy(found_train, train_labels, found_test, test_labels)
        assert agreed["purity"] >= agreed["accuracy"]


def test_the_posterior_is_that_of_bayes():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]])
    losses = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 5.0]])  # nats: -ln of how well each expert explains the image
    by_hand = p * (-losses).exp()
    torch.testing.assert_close(posterior(p, losses), by_hand / by_hand.sum(dim=1, keepdim=True))
    assert posterior(p, losses).argmax(dim=1).tolist() == [
        1,
        0,
    ]  # the worse explanation would be [0, 2], the gate [0, 0]
    far = posterior(torch.tensor([[1.0, 0.0]]), torch.tensor([[900.0, 0.0]]))
    assert far.tolist() == [[1, 0]], "an expert that the gate excludes, and losses that would underflow"


class Gate(nn.Module):
    """A manager that prefers for each of its first images an expert of its own, and of the others guesses."""

    def __init__(self, kinds):
        super().__init__()
        self.kinds, self.num_experts, self.in_features = nn.Parameter(kinds / 100), len(kinds), 784

    def forward(self, x):
        return (x - 0.5) @ self.kinds.T * 10


class Reader(nn.Module):
    """An examiner that reads a digit from how bright an image is."""

    def forward(self, x):
        return torch.nn.functional.one_hot((x.mean(dim=1) * 40).long() % K, K).float()


@pytest.fixture(scope="module")
def scored():
    """A mixture with two experts a digit, two halves of images whose labels are skewed differently, its scores."""
    torch.manual_seed(4)
    kinds = torch.rand(20, 784).round()
    model = MixtureOfExperts(
        Gate(kinds[: 2 * E]),
        VAEExperts(2 * E, hidden=(4,), latent=2, decoder_std=4.0),  # losses differ by nats, not by hundreds of them
        ImportanceVariance(0.1),
    )
    for parameter in model.parameters():
        parameter.data *= 3  # so that experts differ
    images = 0.7 * kinds[torch.randint(20, (500,))] + 0.3 * torch.rand(500, 784)
    found = model.assign(images)
    labels = torch.where(torch.rand(500) < 0.5, found % K, torch.randint(K, (500,)))
    train, test = Digits(images[:300], labels[:300]), Digits(images[300:], (labels[300:] + (torch.rand(200) < 0.4)) % K)
    groups = torch.arange(2 * E) // 2
    return model, train, test, groups, measure(model, train, test, Reader(), groups, iwae_images=3, iwae_samples=5)


def test_measure_equals_plain_loops(scored):
    model, train, test, groups, measured = scored
    with torch.no_grad():
        gates = [model.gate(part.images) for part in (train, test)]
        losses = model.expert_losses(test.images, test.images, model.noise(200, torch.Generator().manual_seed(0)))
    group_train, group_test = (groups[gate.argmax(dim=1)] for gate in gates)
    names = max(
        permutations(range(K)),
        key=lambda names: sum(names[g] == y for g, y in zip(group_train, train.labels, strict=True)),
    )
    digit = [names[g] for g in groups.tolist()]  # of each expert

    def right(choices):
        return sum(digit[i] == y for i, y in zip(choices, test.labels.tolist(), strict=True)) / 200

    by_gate = [max(range(2 * E), key=lambda i, p=p: p[i]) for p in gates[1].tolist()]
    by_loss = [min(range(2 * E), key=lambda i, loss=loss: loss[i]) for loss in losses.tolist()]
    joint = (gates[1].double().log() - losses.double()).tolist()
    by_both = [max(range(2 * E), key=lambda i, j=j: j[i]) for j in joint]
    assert measured["accuracy"] == pytest.approx(right(by_gate))
    assert measured["accuracy_by_loss"] == pytest.approx(right(by_loss))
    assert abs(right(by_loss) - right(losses.argmax(dim=1).tolist())) > 0.02
    assert measured["accuracy_by_posterior"] == pytest.approx(right(by_both))
    assert len({measured[f"accuracy{by}"] for by in ("", "_by_loss", "_by_posterior")}) == 3, "else one stands for all"
    agreed = agreement(group_train, train.labels, group_test, test.labels)
    assert {name: measured[name] for name in agreed} == agreed
    assert measured["expert_purity"] == purity(gates[1].argmax(dim=1), test.labels) > measured["purity"]
    assert measured["expected"] == pytest.approx((gates[1] * losses).sum(dim=1).mean().item(), rel=1e-5)
    assert measured["negative_elbo"] == pytest.approx(negative_elbo(model, test.images).total)
    assert measured["iwae"] == pytest.approx(iwae(model, test.images[:3], 5))
    drawn = examine(model.experts, Reader(), torch.tensor(digit))
    assert (measured["drawn_right"], measured["drawn_digits"]) == (drawn.accuracy, drawn.covered)
    share = gates[1].mean(dim=0)
    assert measured["busiest"] == pytest.approx(share.max().item())
    assert measured["experts_in_use"] == int((share > 0.1 / (2 * E)).sum())


def test_without_groups_each_expert_stands_for_itself_and_the_other_half_matters(scored):
    model, train, test, groups, measured = scored
    alone = measure(model, train, test, Reader(), iwae_images=1, iwae_samples=1)
    found_train, found_test = model.assign(train.images), model.assign(test.images)
    assert alone["accuracy"] == accuracy(found_train, train.labels, found_test, test.labels, 2 * E)
    swapped = measure(model, test, train, Reader(), groups, iwae_images=1, iwae_samples=1)
    assert abs(swapped["accuracy"] - measured["accuracy"]) > 0.01
    short = summary(model, train, test)
    assert {name: alone[name] for name in short if name != "best_expert"} == pytest.approx(
        {name: value for name, value in short.items() if name != "best_expert"}
    )
    assert short["best_expert"] < short["expected"]


def test_sevens_are_counted_by_kind():
    found = torch.tensor([0, 1, 1, 2, 0, 1])
    kinds = {"barred": torch.tensor([1, 2]), "plain": torch.tensor([0, 3, 4])}
    assert barred_sevens_by(found, kinds, num_experts=4) == {"barred": [0, 2, 0, 0], "plain": [2, 0, 1, 0]}


def test_a_portrait_shows_each_expert_s_drawings_and_digits(scored):
    model, _, test, *_ = scored
    shown = portrait(model, test)
    counts = [[0] * (int(test.labels.max()) + 1) for _ in range(2 * E)]
    for i, y in zip(model.assign(test.images).tolist(), test.labels.tolist(), strict=True):
        counts[i][y] += 1
    assert shown["counts"] == counts
    picture = torch.tensor(np.array(Image.open(io.BytesIO(base64.b64decode(shown["drawings"])))))
    assert picture.shape == (84, 28 * 2 * E)
    drawing = model.generate(5, 3, seed=0)[1].view(28, 28)
    torch.testing.assert_close(picture[28:56, 5 * 28 : 6 * 28] / 255, drawing, atol=0.003, rtol=0)
