"""Mixtures of mixtures: the algebra of a tree, against flat mixtures, plain loops and sums by hand."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from moe_lib import (
    FixedManager,
    ImportanceCV2,
    ImportanceVariance,
    Information,
    Manager,
    MixtureOfExperts,
    RegressionExperts,
    SwitchBalance,
    VAEExperts,
    fit,
)
from moe_lib.ladder import (
    Floor,
    GateKL,
    MixtureExperts,
    MixtureTree,
    StackedManagers,
    SumOf,
    finetune_experts,
    flattened,
)

balanced = pytest.mark.parametrize("balance", [None, ImportanceCV2(0.3)], ids=["unbalanced", "balanced"])


def regression_tree(top=3, each=2, balance=None, seed=0):
    torch.manual_seed(seed)
    below = MixtureExperts(StackedManagers(top, 1, each, hidden=(4,)), RegressionExperts(top * each), balance)
    return MixtureTree(Manager(1, top, hidden=(4,)), below, ImportanceVariance(0.2))


def deep_tree(seed=0):
    """2 x 3 x 2 parabolas."""
    torch.manual_seed(seed)
    lowest = MixtureExperts(StackedManagers(6, 1, 2, hidden=(4,)), RegressionExperts(12), ImportanceCV2(0.1))
    middle = MixtureExperts(StackedManagers(2, 1, 3, hidden=(4,)), lowest, ImportanceCV2(0.2))
    return MixtureTree(Manager(1, 2, hidden=(4,)), middle, ImportanceCV2(0.3))


@pytest.fixture
def points():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 1, generator=generator), torch.randn(12, 1, generator=generator)


def joint(model, x):
    """The joint probabilities of all leaves, multiplied out."""
    p, level = model.gate(x), model.experts
    while isinstance(level, MixtureExperts):
        p, level = (p.unsqueeze(2) * level.gate(x)).flatten(1), level.experts
    return p


@balanced
def test_a_tree_with_one_child_each_is_the_flat_mixture(points, balance):
    tree = regression_tree(top=3, each=1, balance=balance)
    flat = MixtureOfExperts(tree.manager, tree.experts.experts, tree.balance)
    for part, same in zip(tree.objective(*points), flat.objective(*points), strict=True):
        torch.testing.assert_close(part, same)
    assert torch.equal(tree.assign(points[0]), flat.assign(points[0]))
    assert torch.equal(tree.leaf_path(points[0])[:, 0], flat.assign(points[0]))


def test_managers_side_by_side_are_separate_managers(points):
    managers = StackedManagers(3, 1, 2, hidden=(4,))
    for i in range(3):
        alone = Manager(1, 2, hidden=(4,))
        for mine, theirs in zip(alone.parameters(), managers.parameters(), strict=True):
            mine.data = theirs.data[i : i + 1]
        torch.testing.assert_close(managers(points[0])[:, i], alone(points[0]))


@pytest.mark.parametrize("model", [regression_tree(), deep_tree()], ids=["two levels", "three levels"])
def test_a_tree_seen_from_its_leaves(model, points):
    flat = flattened(model)
    torch.testing.assert_close(flat.gate(points[0]), joint(model, points[0]))
    torch.testing.assert_close(flat.objective(*points).expected, model.objective(*points).expected)
    assert flat.objective(*points).balancing == 0
    assert {id(weight) for weight in flat.parameters()} == {id(weight) for weight in model.parameters()}


@pytest.mark.parametrize("model", [regression_tree(), deep_tree()], ids=["two levels", "three levels"])
def test_joint_probabilities_sum_to_one(model, points):
    p = joint(model, points[0])
    assert p.shape == (12, 6 if model.num_experts == 3 else 12)
    torch.testing.assert_close(p.sum(dim=1), torch.ones(12))


def test_the_expected_loss_is_that_of_the_leaves_by_joint_probability(points):
    model = deep_tree()
    leaves = model.experts.experts.experts  # twelve parabolas
    by_hand = (joint(model, points[0]) * leaves.losses(*points)).sum(dim=1).mean()
    torch.testing.assert_close(model.objective(*points).expected, by_hand)


def test_two_levels_by_hand():
    """Two examples, two mixtures of two constants, every probability a round number."""
    tree = regression_tree(top=2, each=2, balance=ImportanceCV2(1.0))
    x, y = torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [3.0]])
    for parameter in tree.parameters():
        nn.init.zeros_(parameter)
    tree.manager.layers[-1].bias.data = torch.tensor([[[0.75, 0.25]]]).log()
    tree.experts.managers.layers[-1].bias.data = torch.tensor([[[0.5, 0.5]], [[0.9, 0.1]]]).log()
    tree.experts.experts.layers[-1].bias.data = torch.tensor([1.0, 3.0, 0.0, 2.0]).view(4, 1, 1)
    first = 0.75 * (0.5 * 0 + 0.5 * 4) + 0.25 * (0.9 * 1 + 0.1 * 1)
    second = 0.75 * (0.5 * 4 + 0.5 * 0) + 0.25 * (0.9 * 9 + 0.1 * 1)
    above = 0.2 * ((1.5 - 1) ** 2 + (0.5 - 1) ** 2) / 2
    below = 0.75 * 0 + 0.25 * (0.4**2) / 0.5**2
    found = tree.objective(x, y)
    assert found.expected.item() == pytest.approx((first + second) / 2, rel=1e-5)
    assert found.balancing.item() == pytest.approx(above + below, rel=1e-5)


TERMS = [ImportanceCV2(0.7), ImportanceVariance(0.3), Floor(3.0, share=0.3)]
each_term = pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)


@each_term
@pytest.mark.parametrize("seed", range(3))
def test_an_example_of_weight_two_counts_as_two(points, term, seed):
    """Whole sample weights that sum to the batch: each mixture's term is that of its examples, repeated so often."""
    tree = regression_tree(top=2, each=3, balance=term)
    tree.experts.managers.layers[-1].weight.data *= 4  # far from even, so that a floor is undercut
    x, generator = points[0], torch.Generator().manual_seed(seed)
    times = [torch.randint(12, (12,), generator=generator).bincount(minlength=12) for _ in range(2)]
    found = tree.experts.balancing(x, torch.stack(times, dim=1).float())
    by_hand = sum(term(tree.experts.gate(x)[:, i].repeat_interleave(times[i], dim=0)) for i in range(2))
    torch.testing.assert_close(found, by_hand)  # each mixture at the mean of its weights, which is 1
    assert found > 0.01
    managers = list(tree.experts.managers.parameters())
    torch.testing.assert_close(torch.autograd.grad(found, managers), torch.autograd.grad(by_hand, managers))


@pytest.mark.parametrize("term", [ImportanceCV2(0.7), Floor(3.0, share=0.3)], ids=lambda term: type(term).__name__)
def test_each_mixture_balances_over_the_examples_that_reach_it(points, term):
    """With a decided manager above, a mixture's term is that of a flat mixture on its own examples.

    All but the importance variance, which counts as many examples as the batch has, however few arrive.
    """
    tree = regression_tree(top=2, each=3, balance=term)
    x = points[0]
    goes_left = x[:, 0] < 0.1
    decided = torch.stack([goes_left, ~goes_left], dim=1).float()
    own = [x[decided[:, i] == 1] for i in (0, 1)]
    by_hand = sum(decided[:, i].mean() * term(tree.experts.gate(own[i])[:, i]) for i in (0, 1))
    torch.testing.assert_close(tree.experts.balancing(x, decided), by_hand)


@each_term
def test_a_mixture_that_nothing_reaches_pays_nothing_and_breaks_nothing(points, term):
    tree = regression_tree(top=3, each=2, balance=term)
    tree.manager, tree.balance = FixedManager(lambda x: (x[:, 0] > 0).long(), 3), None  # the third stays alone
    found = tree.objective(*points)
    found.total.backward()
    side, gate = points[0][:, 0] > 0, tree.experts.gate(points[0])
    own = [gate[side == bool(i), i].mean(dim=0, keepdim=True).expand(12, 2) for i in (0, 1)]
    by_hand = (~side).float().mean() * term(own[0]) + side.float().mean() * term(own[1])
    torch.testing.assert_close(found.balancing, by_hand)
    for parameter in tree.parameters():
        assert parameter.grad.isfinite().all()
    assert tree.experts.managers.layers[0].weight.grad[2].abs().max() < 1e-20


def test_sample_weights_are_the_probabilities_of_all_levels_above(points):
    """Three levels: the lowest sees p_i p_{k|i}, the middle p_i, and each has a term of its own."""
    tree = deep_tree()
    x = points[0]
    middle, lowest = tree.experts, tree.experts.experts
    p, q, r = tree.gate(x), middle.gate(x), lowest.gate(x)  # (B, 2), (B, 2, 3), (B, 6, 2)

    def level(weight, below, term):
        """Σ_i π_i term of the mean of i's gates, weighted by what reaches i."""
        total = 0.0
        for i in range(weight.shape[1]):
            share = sum(weight[b, i] * below[b, i] for b in range(12)) / weight[:, i].sum()
            total = total + weight[:, i].mean() * term(share.unsqueeze(0))
        return total

    by_hand = ImportanceCV2(0.3)(p) + level(p, q, ImportanceCV2(0.2))
    by_hand = by_hand + level((p.unsqueeze(2) * q).flatten(1), r, ImportanceCV2(0.1))
    torch.testing.assert_close(tree.objective(*points).balancing, by_hand)


class Given(StackedManagers):
    """Managers whose logits are given."""

    def forward(self, x):
        return self.logits


@each_term
def test_balancing_is_exact_where_layers_are_bfloat16(term):
    """With given logits nothing is left to be rounded: under autocast the same bits, in float32."""
    generator = torch.Generator().manual_seed(0)
    managers = Given(4, 1, 3, hidden=())
    managers.logits = torch.randn(50, 4, 3, generator=generator).requires_grad_()
    below = MixtureExperts(managers, RegressionExperts(12), term)
    weight = torch.randn(50, 4, generator=generator).softmax(dim=1).requires_grad_()

    def found():
        balancing = below.balancing(torch.zeros(50, 1), weight)
        return balancing, *torch.autograd.grad(balancing, [managers.logits, weight])

    exact = found()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = found()
    for one, other in zip(exact, inside, strict=True):
        assert other.dtype == torch.float32
        assert torch.equal(one, other)
    assert all(gradient.count_nonzero() for gradient in exact[1:])


@pytest.mark.parametrize(
    "term", [SwitchBalance(1.0), Information(1.0), GateKL(1.0), SumOf(ImportanceCV2(1.0)), lambda p: p.sum()]
)
def test_a_term_that_looks_at_each_example_is_refused(term):
    with pytest.raises(TypeError, match="ImportanceCV2, ImportanceVariance or Floor"):
        MixtureExperts(StackedManagers(3, 1, 2), RegressionExperts(6), term)


def test_permuting_a_subtree_changes_nothing_else(points):
    tree = regression_tree(balance=ImportanceCV2(0.3))
    swapped = copy.deepcopy(tree)
    last = swapped.experts.managers.layers[-1]
    for parameter in (last.weight, last.bias):
        parameter.data[1] = parameter.data[1].flip(-1)
    for layer in swapped.experts.experts.layers:
        for parameter in (layer.weight, layer.bias):
            parameter.data[2:4] = parameter.data[2:4].flip(0)
    x = points[0]
    torch.testing.assert_close(swapped.objective(*points), tree.objective(*points))
    torch.testing.assert_close(joint(swapped, x)[:, [0, 1, 3, 2, 4, 5]], joint(tree, x))
    before, after = tree.leaf_path(x), swapped.leaf_path(x)
    assert torch.equal(before[:, 0], after[:, 0])
    assert torch.equal(before[:, 1] != after[:, 1], before[:, 0] == 1)


@pytest.mark.parametrize("model", [regression_tree(balance=ImportanceCV2(0.3)), deep_tree()], ids=["two", "three"])
def test_gradients_are_those_of_finite_differences(model, points, monkeypatch):
    monkeypatch.setattr("moe_lib.manager.require_matrix", lambda *_: None)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    model = copy.deepcopy(model).double()
    names, values = zip(*((n, p.detach().clone().requires_grad_()) for n, p in model.named_parameters()), strict=True)
    x, y = (values.double() for values in points)

    def total(*values):
        parts = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (x, y))
        return parts[0] + parts[1]

    assert torch.autograd.gradcheck(total, values)


def test_trees_of_vaes_agree_with_plain_sums():
    torch.manual_seed(0)
    below = MixtureExperts(StackedManagers(3, 6, 2, hidden=(4,)), VAEExperts(6, in_features=6, hidden=(5,), latent=2))
    tree = MixtureTree(Manager(6, 3, hidden=(4,)), below)
    x = torch.rand(8, 6)
    noise = tree.noise(8)
    assert noise.shape == (8, 3, 4)
    p, inner = tree.gate(x), below.gate(x)
    losses = below.experts.losses(x, x, noise.reshape(8, 6, 2)).view(8, 3, 2)
    by_hand = torch.einsum("bi,bik,bik->b", p, inner, losses).mean()
    torch.testing.assert_close(tree.objective(x, x, noise).expected, by_hand)


def test_examples_of_their_own_for_each_mixture():
    torch.manual_seed(0)
    below = MixtureExperts(StackedManagers(3, 1, 2, hidden=(4,)), RegressionExperts(6))
    x, y = torch.randn(5, 3, 1), torch.randn(5, 3, 1)
    own = below.losses(x, y)
    for i in range(3):
        torch.testing.assert_close(own[:, i], below.losses(x[:, i], y[:, i])[:, i])


def test_trees_side_by_side_are_separate_trees():
    """Three levels, and nothing above: three trees, each with examples of its own."""
    torch.manual_seed(0)
    lower = MixtureExperts(StackedManagers(6, 1, 2, hidden=()), RegressionExperts(12), ImportanceCV2(0.1))
    trees = MixtureExperts(StackedManagers(3, 1, 2, hidden=()), lower, ImportanceCV2(0.3))
    x, y = torch.randn(5, 3, 1), torch.randn(5, 3, 1)
    found = trees.objective(x, y)
    alone = []
    for i in range(3):
        same = [values[:, i : i + 1].expand(5, 3, 1) for values in (x, y)]
        only = torch.zeros(5, 3).index_fill(1, torch.tensor(i), 1.0)
        alone.append((trees.losses(*same)[:, i].mean(), trees.balancing(same[0], only)))
    torch.testing.assert_close(found.expected, torch.stack([loss for loss, _ in alone]).mean())
    torch.testing.assert_close(found.balancing, torch.stack([balancing for _, balancing in alone]).mean())


def test_mixtures_alone_learn_each_from_its_own_examples():
    torch.manual_seed(0)
    below = MixtureExperts(StackedManagers(3, 1, 2, hidden=(4,)), RegressionExperts(6), ImportanceCV2(0.7))
    x, y = torch.randn(5, 3, 1), torch.randn(5, 3, 1)
    found = below.objective(x, y)
    torch.testing.assert_close(found.expected, below.losses(x, y).mean())
    by_hand = torch.stack([ImportanceCV2(0.7)(below.gate(x)[:, i]) for i in range(3)]).mean()
    torch.testing.assert_close(found.balancing, by_hand)


def test_the_mixtures_of_a_tree_go_on_with_what_the_trunk_sends_them():
    torch.manual_seed(0)
    below = MixtureExperts(StackedManagers(3, 6, 2, hidden=(4,)), VAEExperts(6, in_features=6, hidden=(5,), latent=2))
    tree = MixtureTree(FixedManager(lambda x: (3 * x[:, 0]).long(), 3), below)
    seen = []
    below.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    history = finetune_experts(tree, torch.rand(400, 6), seed=0, epochs=5, device="cpu", progress=False)
    assert history.total[-1] < history.total[0]
    for x in seen:  # (10, 3, 6), and mixture i sees what starts with i thirds
        assert torch.equal((3 * x[:, :, 0]).long(), torch.arange(3).expand(10, 3))


def test_a_path_leads_to_its_model():
    torch.manual_seed(0)
    vaes = VAEExperts(6, in_features=6, hidden=(5,), latent=2)
    tree = MixtureTree(Manager(6, 3, hidden=(4,)), MixtureExperts(StackedManagers(3, 6, 2, hidden=(4,)), vaes))
    assert torch.equal(tree.generate((2, 1), 4, seed=7), vaes.generate(5, 4, seed=7))
    both = tree.generate(np.int64(2), 4, seed=7)
    assert torch.equal(both[0::2], vaes.generate(4, 4, seed=7)[:2])
    assert torch.equal(both[1::2], vaes.generate(5, 4, seed=8)[:2])
    for path in ((3, 0), (2, 2), (2, 1, 0), -1):
        with pytest.raises(IndexError, match=r"expert|child|path"):
            tree.generate(path, 1, seed=0)


def test_a_path_of_three_levels_leads_to_its_model():
    torch.manual_seed(0)
    vaes = VAEExperts(12, in_features=6, hidden=(5,), latent=2)
    middle = MixtureExperts(StackedManagers(2, 6, 3, hidden=()), MixtureExperts(StackedManagers(6, 6, 2), vaes))
    tree = MixtureTree(Manager(6, 2, hidden=()), middle)
    assert torch.equal(tree.generate((1, 2, 1), 4, seed=7), vaes.generate(11, 4, seed=7))
    assert torch.equal(tree.generate((0, 1), 4, seed=7)[0::2], vaes.generate(2, 4, seed=7)[:2])


def test_the_most_probable_child_again_and_again(points):
    model = deep_tree()
    x = points[0]
    middle, lowest = model.experts, model.experts.experts
    first = model.gate(x).argmax(dim=1)
    assert model.leaf_path(x).shape == (12, 3)
    for b, path in enumerate(model.leaf_path(x).tolist()):
        assert path[0] == first[b]
        assert path[1] == middle.gate(x)[b, path[0]].argmax()
        assert path[2] == lowest.gate(x)[b, 3 * path[0] + path[1]].argmax()


def test_leaf_paths_come_a_thousand_examples_at_a_time():
    model, x = deep_tree(), torch.linspace(-3, 3, 2345).unsqueeze(1)
    assert torch.equal(model.leaf_path(x), torch.cat([model.leaf_path(part) for part in x.split(700)]))
    assert torch.equal(model.leaf_path(x)[:, 0], model.assign(x))


def test_a_tree_learns_with_the_same_fit(points):
    model = regression_tree(balance=ImportanceCV2(0.01))
    history = fit(model, *points, epochs=200, batch_size=12, lr=0.02, seed=0, device="cpu", progress=False)
    assert history.total[-1] < 0.5 * history.total[0]


@pytest.mark.parametrize("kind", ["managers", "features"])
def test_parts_that_do_not_fit_are_refused(kind):
    with pytest.raises(ValueError, match="there are 5, not 6" if kind == "managers" else "take 1 features"):
        MixtureExperts(StackedManagers(3, 1, 2), RegressionExperts(*((5, 1) if kind == "managers" else (6, 2))))


def test_what_is_no_tree_is_refused():
    with pytest.raises(TypeError, match="a tree needs MixtureExperts"):
        MixtureTree(Manager(1, 3), RegressionExperts(3))
    for name, sizes in (("num_mixtures", (0, 1, 2)), ("num_experts", (2, 1, 0))):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            StackedManagers(*sizes)


def test_what_cannot_draw_says_so():
    for path in (1, (1, 1)):
        with pytest.raises(TypeError, match="RegressionExperts predict y from x and draw nothing"):
            regression_tree().generate(path, 3, seed=0)
