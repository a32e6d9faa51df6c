"""Information of a pair: known values and bounds; and the mixture that is trained by it."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from moe_lib.recipes import side_by_side

from moe_lib import (
    Augmentation,
    ConvManager,
    InvariantMixture,
    Manager,
    VAEExperts,
    clustering_accuracy,
    fit,
    fit_invariant,
    fit_own,
    mnist,
    pair_information,
)

gates = st.integers(0, 10_000).map(lambda s: torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(s)))


def test_known_values():
    decided = torch.eye(10).repeat(10, 1)
    undecided, collapsed = torch.full((100, 10), 0.1), torch.eye(10)[0].repeat(100, 1)
    assert pair_information(decided, decided).item() == pytest.approx(math.log(10), abs=1e-4)
    assert pair_information(decided, decided, spread=1.5).item() == pytest.approx(2 * math.log(10), abs=1e-4)
    assert pair_information(undecided, undecided).item() == pytest.approx(0, abs=1e-4)
    assert pair_information(collapsed, collapsed).item() == pytest.approx(0, abs=1e-4)
    elsewhere = torch.eye(10).repeat_interleave(10, dim=0)  # the copies of an expert's images go to all alike
    assert pair_information(decided, elsewhere).item() == pytest.approx(0, abs=1e-4)


@given(logits=gates)
def test_it_is_mutual_information(logits):
    p, q = logits.softmax(dim=2)
    joint = (p.T @ q + q.T @ p).double() / (2 * len(p))
    independent = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    by_hand = (joint * (joint / independent).log()).sum()
    assert pair_information(p, q).item() == pytest.approx(by_hand.item(), abs=1e-5)
    assert -1e-5 <= pair_information(p, q).item() <= math.log(5)
    torch.testing.assert_close(pair_information(p, q, 1.5), pair_information(q, p, 1.5))


def test_experts_learn_as_in_any_mixture_and_never_see_a_copy():
    torch.manual_seed(0)
    model = InvariantMixture(Manager(784, 3), VAEExperts(3, hidden=(8,), latent=2), weight=2.0)
    x = torch.rand(6, 784)
    noise = model.noise(6, torch.Generator().manual_seed(0))
    objective = model.objective(x, x, noise)
    drawn = noise[:, :6].unflatten(1, (3, 2))
    torch.testing.assert_close(model.expert_losses(x, x, noise), model.experts.losses(x, x, drawn))
    expected = (model.gate(x) * model.experts.losses(x, x, drawn)).sum(dim=1).mean()
    torch.testing.assert_close(objective.expected, expected)
    copies = model.augmentation(x, noise[:, 6:])
    information = pair_information(model.gate(x), model.gate(copies), 1.5)
    torch.testing.assert_close(objective.balancing, -2 * information)


def test_without_weight_only_the_experts_count():
    torch.manual_seed(0)
    model = InvariantMixture(Manager(784, 3), VAEExperts(3, hidden=(8,), latent=2), weight=0.0)
    assert model.objective(torch.rand(6, 784), torch.rand(6, 784)).balancing.item() == 0


def test_a_run_repeats_bit_for_bit():
    train, _ = mnist()
    images = train.images[:600]
    torch.manual_seed(0)
    model = InvariantMixture(ConvManager(10, channels=(4, 8), hidden=16), VAEExperts(10, hidden=(8,), latent=2))
    again = copy.deepcopy(model)
    histories = [
        fit(m, images, images, epochs=2, batch_size=100, lr=1e-3, seed=0, device="cpu", progress=False)
        for m in (model, again)
    ]
    assert histories[0].total == histories[1].total
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_most_consistent_start_goes_on():
    images = mnist()[0].images[:500]
    started = {}

    def build(augmentation):
        manager = ConvManager(10, channels=(4, 8), hidden=16)
        model = InvariantMixture(manager, VAEExperts(10, hidden=(8,), latent=2), augmentation=augmentation)
        started[len(started)] = model
        return model

    at_start = {}

    def remember(epoch, model):
        if epoch == 0:
            at_start["state"] = copy.deepcopy(model.state_dict())

    chosen, history = fit_invariant(
        images, images, 3, epochs=2, settle=1, starts=3, build=build, on_epoch=remember, device="cpu", progress=False
    )
    assert len(started) == 3
    assert len(history) == len(history.seconds) == 3
    assert chosen.augmentation.erase == Augmentation().erase
    chosen_at_start = copy.deepcopy(chosen)
    chosen_at_start.load_state_dict(at_start["state"])
    chosen_at_start.augmentation = Augmentation.gentle()
    best = chosen_at_start.eval().consistency(images, images)
    others = [model.consistency(images, images) for model in started.values() if model is not chosen]
    assert len(others) == 2
    assert best > max(others)


def test_without_a_start_there_is_nothing_to_choose():
    with pytest.raises(ValueError, match="starts is 0"):
        fit_invariant(torch.rand(10, 784), torch.rand(10, 784), seed=0, starts=0)


def test_bfloat16_layers_leave_changes_and_information_exact():
    torch.manual_seed(0)
    p, q = torch.randn(2, 400, 10).softmax(dim=2)
    images, augmentation = torch.rand(20, 784), Augmentation()
    u = torch.rand(20, augmentation.size)
    exact = pair_information(p, q, 1.5), augmentation(images, u)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = pair_information(p, q, 1.5), augmentation(images, u)
    for one, other in zip(exact, inside, strict=True):
        assert other.dtype == torch.float32
        assert torch.equal(one, other)


def test_it_finds_digits():
    train, test = mnist()
    images = train.images[:6000]
    candidates = []
    for seed in range(2):  # a single start may fail, and its consistency tells
        torch.manual_seed(seed)
        model = InvariantMixture(ConvManager(10), VAEExperts(10, hidden=(16,)), augmentation=Augmentation.gentle())
        fit(model, images, images, epochs=2, batch_size=100, lr=1e-3, seed=seed, device="cpu", progress=False)
        candidates.append(model)
    best = max(candidates, key=lambda model: model.consistency(images, images))
    found = clustering_accuracy(best.assign(test.images[:2000]), test.labels[:2000])
    assert found > 0.55  # K-means on pixels reaches 0.53 with all the images


def test_a_conv_manager_speaks_as_a_manager_does():
    manager = ConvManager(num_experts=7, channels=(4, 8), hidden=16).eval()
    x = torch.rand(5, 784)
    logits = manager(x)
    assert logits.shape == (5, 7)
    torch.testing.assert_close(logits[:2], manager(x[:2]))  # in evaluation each image stands for itself
    with pytest.raises(ValueError, match="784"):
        manager(torch.rand(5, 100))


def test_experts_go_on_with_their_own_images_and_the_manager_rests():
    images = mnist()[0].images[:300]
    torch.manual_seed(0)
    model = InvariantMixture(ConvManager(3, channels=(4, 8), hidden=16), VAEExperts(3, hidden=(8,), latent=2))
    asked = model.assign  # in training, which must not move the statistics of batch normalisation

    def shared_out(x):  # an untrained manager may leave an expert idle
        return (asked(x) + torch.arange(len(x))) % 3

    model.assign = shared_out
    before = copy.deepcopy(model.state_dict())
    history = fit_own(model, images, seed=0, epochs=2, device="cpu", progress=False)
    after = model.state_dict()
    assert len(history) == 2
    for name in before:
        assert torch.equal(before[name], after[name]) == name.startswith("manager"), name


def test_side_by_side_gives_each_expert_its_own():
    x = torch.arange(7.0).unsqueeze(1)
    owner = torch.tensor([0, 1, 0, 1, 1, 0, 1])
    assert torch.equal(side_by_side(x, owner, 2).squeeze(2), torch.tensor([[0.0, 1.0], [2.0, 3.0], [5.0, 4.0]]))
    with pytest.raises(ValueError, match=r"experts \[2\] own no image"):
        side_by_side(x, owner, 3)
