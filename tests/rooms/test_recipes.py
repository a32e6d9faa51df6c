"""The recipes are what they say: the same bits as the steps written out, one after the other."""

import copy

import pytest
import torch

from moe_lib import FixedManager, Manager, MixtureOfExperts, VAEExperts, fit
from moe_lib.ladder import (
    Augmentation,
    ConvManager,
    InvariantMixture,
    best_start,
    finetune_experts,
    fit_invariant,
    invariant_vae,
    one_cycle,
    side_by_side,
)

from .small import DIGITS, assert_same_bits, weights

QUIET = {"device": "cpu", "progress": False}


def tiny(augmentation=None):
    return InvariantMixture(
        ConvManager(3, channels=(2, 2), hidden=4), VAEExperts(3, hidden=(4,), latent=2), augmentation=augmentation
    )


@pytest.fixture(scope="module")
def images():
    return torch.rand(510, 784, generator=torch.Generator().manual_seed(0))  # two batches of 250, one of 500


def start(seed, images):
    torch.manual_seed(seed)
    model = tiny(Augmentation.gentle())
    fit(model, images, images, epochs=1, batch_size=250, lr=1e-3, seed=seed, **QUIET)
    return model


def test_fit_invariant_is_its_steps_one_after_the_other(images):
    """Starts 4, 5 and so on of seed 1; the rates, batches and partners of each part."""
    starts = [start(seed, images) for seed in (2, 3)]
    consistency = [model.consistency(images, images) for model in starts]
    model = starts[consistency.index(max(consistency))]
    model.augmentation = Augmentation(erase=0.2)
    relatives = images.roll(1, dims=0)
    settings = {"batch_size": 500, "seed": 1, "schedule": one_cycle, **QUIET}
    first = fit(model, images, relatives, epochs=2, lr=2e-3, **settings)
    second = fit(model, images, images, epochs=1, lr=1e-3, **settings)

    epochs = []
    found, history = fit_invariant(
        images, relatives, 1, epochs=2, settle=1, starts=2, augmentation=Augmentation(erase=0.2), build=tiny,
        on_epoch=lambda epoch, model: epochs.append((epoch, model.augmentation.erase)), **QUIET,
    )  # fmt: skip
    assert_same_bits(weights(found), weights(model))
    assert history.total == first.total + second.total
    assert len(history.seconds) == 3
    assert epochs == [(0, 0.2), (1, 0.2), (2, 0.2)]
    assert not found.training


def test_its_defaults(images, monkeypatch):
    """Four starts, 20 epochs, 5 to settle, and the changes as they come."""
    calls, built = [], []

    def record(model, x, y, **settings):
        calls.append({name: settings[name] for name in ("epochs", "lr", "seed")} | {"self": y is x})
        return fit(model, x, y, **settings | {"epochs": 1, "batch_size": len(x)})

    def build(augmentation):
        built.append(augmentation)
        return tiny(augmentation)

    monkeypatch.setattr("moe_lib.ladder.recipes.fit", record)
    few = images[:8]
    found, _ = fit_invariant(few, few.clone(), 2, build=build, **QUIET)
    assert calls[:4] == [{"epochs": 1, "lr": 1e-3, "seed": seed, "self": True} for seed in (8, 9, 10, 11)]
    assert calls[4:] == [
        {"epochs": 20, "lr": 2e-3, "seed": 2, "self": False},
        {"epochs": 5, "lr": 1e-3, "seed": 2, "self": True},
    ]
    assert [a.settings() for a in built] == 4 * [Augmentation.gentle().settings()]
    assert found.augmentation.settings() == Augmentation().settings()


def test_without_settling_there_is_one_part_less(images):
    few = images[:8]
    _, history = fit_invariant(few, few, 0, epochs=1, settle=0, starts=1, build=tiny, **QUIET)
    assert len(history) == 1


def test_the_most_consistent_start_is_kept(images):
    starts = {seed: start(seed, images) for seed in (5, 6, 7)}
    most = max(starts, key=lambda seed: starts[seed].consistency(images, images))
    found = best_start(lambda: tiny(Augmentation.gentle()), images, (5, 6, 7), **QUIET)
    assert_same_bits(weights(found), weights(starts[most]))


def test_without_a_start_there_is_nothing_to_choose():
    with pytest.raises(ValueError, match="starts is 0"):
        fit_invariant(DIGITS, DIGITS, seed=0, starts=0)
    with pytest.raises(ValueError, match="seeds is empty; give at least one"):
        best_start(tiny, DIGITS, [])


def test_the_model_of_chapter_8():
    model = invariant_vae()
    assert (model.num_experts, model.weight, model.spread) == (10, 200.0, 1.5)
    assert model.augmentation.settings() == Augmentation().settings()
    assert model.manager.settings() == {"num_experts": 10, "channels": (32, 64), "hidden": 128}
    assert model.experts.settings() == VAEExperts(10, 784, (128,), 10, 0.5, "relu").settings()
    assert invariant_vae(12, Augmentation.gentle()).augmentation.erase == 0
    assert invariant_vae(12).num_experts == 12


def thirds(x):
    return (3 * x[:, 0]).long()


def sorted_apart(images):
    """A mixture whose rule sends each image by its first pixel, with VAEs of the right size."""
    torch.manual_seed(0)
    return MixtureOfExperts(FixedManager(thirds, 3), VAEExperts(3, images.shape[1], (4,), 2))


def test_finetuning_is_fit_on_the_experts_with_images_of_their_own(images):
    x = images[:150]
    model, other = sorted_apart(x), sorted_apart(x)
    history = finetune_experts(model, x, seed=3, **QUIET)
    own = side_by_side(x, thirds(x), 3)
    assert len(own) > 20
    expected = fit(other.experts, own, own, epochs=40, batch_size=10, lr=1e-3, seed=3, **QUIET)
    assert history.total == expected.total
    assert_same_bits(weights(model), weights(other))


def test_the_manager_rests_while_the_experts_go_on():
    torch.manual_seed(0)
    model = MixtureOfExperts(ConvManager(3, channels=(2, 2), hidden=4), VAEExperts(3, hidden=(4,), latent=2))
    asked = model.assign
    model.assign = lambda x: (asked(x) + torch.arange(len(x))) % 3  # an untrained manager may leave an expert idle
    before = copy.deepcopy(model.state_dict())
    history = finetune_experts(model, DIGITS, seed=0, epochs=2, **QUIET)
    assert len(history) == 2
    for name, value in model.state_dict().items():
        assert torch.equal(before[name], value) == name.startswith("manager"), name


def test_side_by_side_gives_each_expert_its_own():
    x = torch.arange(7.0).unsqueeze(1)
    owner = torch.tensor([0, 1, 0, 1, 1, 0, 1])
    assert torch.equal(side_by_side(x, owner, 2).squeeze(2), torch.tensor([[0.0, 1.0], [2.0, 3.0], [5.0, 4.0]]))
    with pytest.raises(ValueError, match=r"experts \[2\] are sent no image; each needs at least one"):
        side_by_side(x, owner, 3)


def test_the_global_random_state_is_left_alone(images):
    few = images[:8]
    model = MixtureOfExperts(Manager(784, 2, hidden=()), VAEExperts(2, 784, (4,), 2))
    model.assign = lambda x: torch.arange(len(x)) % 2
    for recipe in (
        lambda: best_start(tiny, few, (0, 1), **QUIET),
        lambda: fit_invariant(few, few, 0, epochs=1, settle=1, starts=1, build=tiny, **QUIET),
        lambda: finetune_experts(model, few, seed=0, epochs=1, **QUIET),
    ):
        torch.manual_seed(123)
        before = torch.get_rng_state()
        recipe()
        assert torch.equal(torch.get_rng_state(), before)
