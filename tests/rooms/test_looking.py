"""Looking changes nothing, and what is seen does not depend on who else is looked at."""

import pytest
import torch

from moe_lib import Manager, VAEExperts
from moe_lib.ladder import (
    AnnealedManager,
    BiasedManager,
    ConvManager,
    InvariantMixture,
    MixtureExperts,
    MixtureTree,
    SinkhornManager,
    StackedManagers,
)
from moe_lib.measures import examine, iwae, negative_elbo

from .small import DIGITS, assert_same_bits, weights

MANAGERS = {
    "convolutional": lambda manager: manager,
    "annealed": lambda manager: AnnealedManager(manager, start=5.0, steps=10),
    "biased": lambda manager: BiasedManager(manager, rate=0.1),
    "sinkhorn": SinkhornManager,
}
EXAMINER = ConvManager(3, channels=(2, 2), hidden=4)


def manager(name, experts):
    """In training, as a new model is, and after a step in which its statistics moved."""
    torch.manual_seed(0)
    wrapped = MANAGERS[name](ConvManager(experts, channels=(2, 2), hidden=4))
    wrapped(DIGITS)
    wrapped.manager.eval() if name == "annealed" else None  # a part may be in another mode than the whole
    return wrapped


def mixture(name):
    return InvariantMixture(manager(name, 3), VAEExperts(3, 784, (4,), 2))


def tree(name):
    below = MixtureExperts(StackedManagers(3, 784, 2, hidden=()), VAEExperts(6, 784, (4,), 2))
    return MixtureTree(manager(name, 3), below)


DIGIT_OF_EXPERT = torch.tensor([0, 1, 2])
LOOKS = {  # at what, and how
    "negative_elbo": (mixture, lambda model, x: negative_elbo(model, x)),
    "iwae": (mixture, lambda model, x: iwae(model, x, samples=3)),
    "consistency": (mixture, lambda model, x: model.consistency(x, x.flip(0))),
    "assign": (mixture, lambda model, x: model.assign(x)),
    "leaf_path": (tree, lambda model, x: model.leaf_path(x)),
    "assign of a tree": (tree, lambda model, x: model.assign(x)),
    "examine": (mixture, lambda model, x: examine(model.experts, model.manager, DIGIT_OF_EXPERT, n=5)),
    "examine a tree": (tree, lambda model, x: examine(model.experts, model.manager, DIGIT_OF_EXPERT, n=5)),
}


@pytest.mark.parametrize("name", MANAGERS)
@pytest.mark.parametrize("how", LOOKS)
def test_looking_changes_nothing(how, name):
    """Neither statistics, biases, temperatures and modes, nor the global random state, nor the answer."""
    build, look = LOOKS[how]
    model = build(name)
    before, modes = weights(model), [part.training for part in model.modules()]
    torch.manual_seed(7)
    state = torch.get_rng_state()
    seen = look(model, DIGITS)
    assert_same_bits(weights(model), before)
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())
    assert str(look(model, DIGITS)) == str(seen), "the second look sees the same"
    assert str(look(model.eval(), DIGITS)) == str(seen), "and so does one in evaluation"


@pytest.mark.parametrize("name", MANAGERS)
def test_a_path_does_not_depend_on_the_batch(name):
    model = tree(name)
    assert torch.equal(model.leaf_path(DIGITS)[:3], model.leaf_path(DIGITS[:3]))


@pytest.mark.parametrize("name", MANAGERS)
def test_measures_do_not_depend_on_the_batch(name):
    """What an image is drawn with comes one image after the other, so that the first ones keep theirs."""
    model = mixture(name)
    torch.nn.init.zeros_(model.experts.decoder[0].weight)  # what is drawn leaves no trace: all comes from the gate
    few, all_at_once = negative_elbo(model, DIGITS, batch_size=3), negative_elbo(model, DIGITS)
    assert few == pytest.approx(all_at_once, rel=1e-5)
    model.augmentation = type(model.augmentation)(rotation=0, scale=0, shear=0, shift=0, bend=0, erase=0)
    few, all_at_once = (model.consistency(DIGITS, DIGITS, batch_size=size) for size in (3, 1000))
    assert few == pytest.approx(all_at_once, abs=1e-6)


def test_looking_keeps_no_gradients():
    model = mixture("convolutional")
    images = DIGITS.clone().requires_grad_()
    negative_elbo(model, images), iwae(model, images, samples=2), model.consistency(images, images)
    assert images.grad is None
    assert not model.assign(images).requires_grad
    assert not tree("biased").leaf_path(images).requires_grad


def test_an_examiner_of_one_drawing_each():
    """Normalising over a batch of one would be an error in training."""
    assert examine(VAEExperts(3, 784, (4,), 2), EXAMINER.train(), DIGIT_OF_EXPERT, n=1).counts.sum() == 3
    assert EXAMINER.training


def test_managers_of_any_kind_are_looked_at():
    model = InvariantMixture(Manager(784, 2, hidden=()), VAEExperts(2, 784, (4,), 2))
    assert model.consistency(DIGITS, DIGITS) == model.eval().consistency(DIGITS, DIGITS)
