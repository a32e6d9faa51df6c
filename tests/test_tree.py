"""Mixtures of mixtures: the algebra of a tree, against flat mixtures, plain loops and sums by hand."""

import copy

import pytest
import torch
from torch import nn

from moe_lib import (
    FixedManager,
    Floor,
    GateKL,
    ImportanceCV2,
    ImportanceVariance,
    Information,
    Manager,
    Managers,
    MixtureOfExperts,
    Mixtures,
    RegressionExperts,
    SwitchBalance,
    Together,
    VAEExperts,
    fit,
    fit_own,
    flattened,
)
from moe_lib.balance import batch_mean

balanced = pytest.mark.parametrize("balance", [None, ImportanceCV2(0.3)], ids=["unbalanced", "balanced"])


def regression_tree(top=3, each=2, balance=None, seed=0):
    torch.manual_seed(seed)
    below = Mixtures(Managers(top, 1, each, hidden=(4,)), RegressionExperts(top * each), balance)
    return MixtureOfExperts(Manager(1, top, hidden=(4,)), below, ImportanceVariance(0.2))


def deep_tree(seed=0):
    """2 x 3 x 2 parabolas."""
    torch.manual_seed(seed)
    lowest = Mixtures(Managers(6, 1, 2, hidden=(4,)), RegressionExperts(12), ImportanceCV2(0.1))
    middle = Mixtures(Managers(2, 1, 3, hidden=(4,)), lowest, ImportanceCV2(0.2))
    return MixtureOfExperts(Manager(1, 2, hidden=(4,)), middle, ImportanceCV2(0.3))


@pytest.fixture
def points():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 1, generator=generator), torch.randn(12, 1, generator=generator)


def reach(model, x):
    """The joint probabilities of all leaves, multiplied out."""
    joint, level = model.gate(x), model.experts
    while isinstance(level, Mixtures):
        joint, level = (joint.unsqueeze(2) * level.gate(x)).flatten(1), level.experts
    return joint


@balanced
def test_a_tree_with_one_child_each_is_the_flat_mixture(points, balance):
    tree = regression_tree(top=3, each=1, balance=balance)
    flat = MixtureOfExperts(tree.manager, tree.experts.experts, tree.balance)
    for part, same in zip(tree.objective(*points), flat.objective(*points), strict=True):
        torch.testing.assert_close(part, same)
    assert torch.equal(tree.assign(points[0])[:, 0], flat.assign(points[0]))


def test_managers_side_by_side_are_separate_managers(points):
    managers = Managers(3, 1, 2, hidden=(4,))
    for i in range(3):
        alone = Manager(1, 2, hidden=(4,))
        for mine, theirs in zip(alone.parameters(), managers.parameters(), strict=True):
            mine.data = theirs.data[i : i + 1]
        torch.testing.assert_close(managers(points[0])[:, i], alone(points[0]))


@pytest.mark.parametrize("model", [regression_tree(), deep_tree()], ids=["two levels", "three levels"])
def test_a_tree_seen_from_its_leaves(model, points):
    flat = flattened(model.eval())
    torch.testing.assert_close(flat.gate(points[0]), reach(model, points[0]))
    torch.testing.assert_close(flat.objective(*points).expected, model.objective(*points).expected)
    assert flat.objective(*points).balancing == 0
    assert not flat.training
    assert {id(weight) for weight in flat.parameters()} == {id(weight) for weight in model.parameters()}


@pytest.mark.parametrize("model", [regression_tree(), deep_tree()], ids=["two levels", "three levels"])
def test_joint_probabilities_sum_to_one(model, points):
    joint = reach(model, points[0])
    assert joint.shape == (12, 6 if model.num_experts == 3 else 12)
    torch.testing.assert_close(joint.sum(dim=1), torch.ones(12))


def test_the_expected_loss_is_that_of_the_leaves_by_joint_probability(points):
    model = deep_tree()
    leaves = model.experts.experts.experts  # twelve parabolas
    by_hand = (reach(model, points[0]) * leaves.losses(*points)).sum(dim=1).mean()
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


TERMS = [  # all but the importance variance, which counts B examples however few arrive
    ImportanceCV2(0.7), SwitchBalance(2.0), Floor(3.0, share=0.2), Information(1.5), GateKL(0.5),
    Together(ImportanceCV2(0.7), GateKL(1.0)),
]  # fmt: skip


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_each_mixture_balances_over_the_examples_that_reach_it(points, term):
    """With a decided manager above, a mixture's term is that of a flat mixture on its own examples."""
    tree = regression_tree(top=2, each=3, balance=term)
    x = points[0]
    goes_left = x[:, 0] < 0.1
    decided = torch.stack([goes_left, ~goes_left], dim=1).float()
    own = [x[decided[:, i] == 1] for i in (0, 1)]
    by_hand = sum(decided[:, i].mean() * term(tree.experts.gate(own[i])[:, i]) for i in (0, 1))
    torch.testing.assert_close(tree.experts.balancing(x, decided), by_hand)


@pytest.mark.parametrize("top_k", [None, 2])
def test_permuting_a_subtree_changes_nothing_else(points, top_k):
    tree = regression_tree(balance=ImportanceCV2(0.3))
    tree.top_k = top_k
    swapped = copy.deepcopy(tree)
    last = swapped.experts.managers.layers[-1]
    for parameter in (last.weight, last.bias):
        parameter.data[1] = parameter.data[1].flip(-1)
    for layer in swapped.experts.experts.layers:
        for parameter in (layer.weight, layer.bias):
            parameter.data[2:4] = parameter.data[2:4].flip(0)
    x = points[0]
    torch.testing.assert_close(swapped.objective(*points), tree.objective(*points))
    torch.testing.assert_close(reach(swapped, x)[:, [0, 1, 3, 2, 4, 5]], reach(tree, x))
    before, after = tree.assign(x), swapped.assign(x)
    assert torch.equal(before[:, 0], after[:, 0])
    assert torch.equal(before[:, 1] != after[:, 1], before[:, 0] == 1)


@pytest.mark.parametrize("model", [regression_tree(balance=ImportanceCV2(0.3)), deep_tree()], ids=["two", "three"])
def test_gradients_are_those_of_finite_differences(model, points, monkeypatch):
    for module in ("manager", "tree", "experts"):
        monkeypatch.setattr(f"moe_lib.{module}.require_matrix", lambda *_: None)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    model = copy.deepcopy(model).double()
    names, values = zip(*((n, p.detach().clone().requires_grad_()) for n, p in model.named_parameters()), strict=True)
    x, y = (values.double() for values in points)

    def total(*values):
        parts = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (x, y))
        return parts[0] + parts[1]

    assert torch.autograd.gradcheck(total, values)


@pytest.mark.parametrize("top_k", [None, 2])
def test_top_k_and_trees_of_vaes_agree_with_plain_sums(top_k):
    torch.manual_seed(0)
    below = Mixtures(Managers(3, 6, 2, hidden=(4,)), VAEExperts(6, in_features=6, hidden=(5,), latent=2))
    tree = MixtureOfExperts(Manager(6, 3, hidden=(4,)), below, top_k=top_k)
    x = torch.rand(8, 6)
    noise = tree.noise(8)
    assert noise.shape == (8, 3, 4)
    p, inner = tree.gate(x), below.gate(x)
    losses = below.experts.losses(x, x, noise.reshape(8, 6, 2)).view(8, 3, 2)
    chosen = p if top_k is None else p * (p >= p.topk(2).values[:, 1:])
    chosen = chosen / chosen.sum(dim=1, keepdim=True)
    by_hand = torch.einsum("bi,bik,bik->b", chosen, inner, losses).mean()
    torch.testing.assert_close(tree.objective(x, x, noise).expected, by_hand)


def test_examples_of_their_own_for_each_mixture():
    torch.manual_seed(0)
    below = Mixtures(Managers(3, 1, 2, hidden=(4,)), RegressionExperts(6))
    x, y = torch.randn(5, 3, 1), torch.randn(5, 3, 1)
    own = below.losses(x, y)
    for i in range(3):
        torch.testing.assert_close(own[:, i], below.losses(x[:, i], y[:, i])[:, i])


def test_trees_side_by_side_are_separate_trees():
    """Three levels, and nothing above: three trees, each with examples of its own."""
    torch.manual_seed(0)
    lower = Mixtures(Managers(6, 1, 2, hidden=()), RegressionExperts(12), ImportanceCV2(0.1))
    trees = Mixtures(Managers(3, 1, 2, hidden=()), lower, ImportanceCV2(0.3))
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
    below = Mixtures(Managers(3, 1, 2, hidden=(4,)), RegressionExperts(6), ImportanceCV2(0.7))
    x, y = torch.randn(5, 3, 1), torch.randn(5, 3, 1)
    found = below.objective(x, y)
    torch.testing.assert_close(found.expected, below.losses(x, y).mean())
    by_hand = torch.stack([ImportanceCV2(0.7)(below.gate(x)[:, i]) for i in range(3)]).mean()
    torch.testing.assert_close(found.balancing, by_hand)


def test_the_mixtures_of_a_tree_go_on_with_what_the_trunk_sends_them():
    torch.manual_seed(0)
    below = Mixtures(Managers(3, 6, 2, hidden=(4,)), VAEExperts(6, in_features=6, hidden=(5,), latent=2))
    tree = MixtureOfExperts(FixedManager(lambda x: (3 * x[:, 0]).long(), 3), below)
    seen = []
    below.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    history = fit_own(tree, torch.rand(400, 6), seed=0, epochs=5, device="cpu", progress=False)
    assert history.total[-1] < history.total[0]
    for x in seen:  # (10, 3, 6), and mixture i sees what starts with i thirds
        assert torch.equal((3 * x[:, :, 0]).long(), torch.arange(3).expand(10, 3))


def test_a_path_leads_to_its_model():
    torch.manual_seed(0)
    vaes = VAEExperts(6, in_features=6, hidden=(5,), latent=2)
    below = Mixtures(Managers(3, 6, 2, hidden=(4,)), vaes)
    tree = MixtureOfExperts(Manager(6, 3, hidden=(4,)), below)
    assert torch.equal(tree.generate((2, 1), 4, seed=7), vaes.generate(5, 4, seed=7))
    both = tree.generate(2, 4, seed=7)
    assert torch.equal(both[0::2], vaes.generate(4, 4, seed=7)[:2])
    assert torch.equal(both[1::2], vaes.generate(5, 4, seed=8)[:2])
    for path in ((3, 0), (2, 2), (2, 1, 0), -1):
        with pytest.raises(IndexError, match=r"expert|child|path"):
            tree.generate(path, 1, seed=0)


def test_the_most_probable_child_again_and_again(points):
    model = deep_tree()
    x = points[0]
    middle, lowest = model.experts, model.experts.experts
    first = model.gate(x).argmax(dim=1)
    for b, path in enumerate(model.assign(x).tolist()):
        assert path[0] == first[b]
        assert path[1] == middle.gate(x)[b, path[0]].argmax()
        assert path[2] == lowest.gate(x)[b, 3 * path[0] + path[1]].argmax()


def test_a_tree_learns_with_the_same_fit(points):
    model = regression_tree(balance=ImportanceCV2(0.01))
    history = fit(model, *points, epochs=200, batch_size=12, lr=0.02, seed=0, device="cpu", progress=False)
    assert history.total[-1] < 0.5 * history.total[0]


@pytest.mark.parametrize("kind", ["managers", "features"])
def test_parts_that_do_not_fit_are_refused(kind):
    with pytest.raises(ValueError, match="there are 5, not 6" if kind == "managers" else "take 1 features"):
        Mixtures(Managers(3, 1, 2), RegressionExperts(*((5, 1) if kind == "managers" else (6, 2))))


def test_reach_weighs_examples():
    values = torch.tensor([1.0, 2.0, 4.0])
    assert batch_mean(values, torch.tensor([1.0, 0.0, 1.0])) == 2.5
    torch.testing.assert_close(batch_mean(values, torch.full((3,), 0.2)), batch_mean(values))
