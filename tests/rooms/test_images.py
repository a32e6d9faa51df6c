"""Whatever takes images takes them as ink on paper, from 0 to 1, and says so to any others."""

import numpy as np
import pytest
import torch

from moe_lib import FixedManager, Manager, MixtureOfExperts, VAEExperts
from moe_lib.ladder import (
    InvariantMixture,
    MixtureExperts,
    MixtureTree,
    PrototypeExperts,
    StackedManagers,
    best_start,
    deskew,
    finetune_experts,
    fit_invariant,
    neighbours,
    strokes,
)
from moe_lib.measures import iwae, negative_elbo
from moe_lib.scaling import SparseMixture

from .small import DIGITS, train

QUIET = {"device": "cpu", "progress": False}


def vaes(kind=MixtureOfExperts):
    return kind(Manager(784, 2, hidden=()), VAEExperts(2, 784, (4,), 2))


def even():
    """The first pixel of an image says which expert it is sent to, of `good` to both."""
    return MixtureOfExperts(FixedManager(lambda x: (x[:, 0] > 0.5).long(), 2), VAEExperts(2, 784, (4,), 2))


def invariant():
    return vaes(InvariantMixture)


def tree():
    below = MixtureExperts(StackedManagers(2, 784, 2, hidden=()), VAEExperts(4, 784, (4,), 2))
    return MixtureTree(Manager(784, 2, hidden=()), below)


ENTRIES = {
    "deskew": deskew,
    "strokes": strokes,
    "negative_elbo": lambda x: negative_elbo(vaes(), x),
    "iwae": lambda x: iwae(vaes(), x, samples=1),
    "consistency": lambda x: invariant().consistency(x, DIGITS[: len(x)]),
    "consistency of partners": lambda x: invariant().consistency(DIGITS[: len(x)], x),
    "leaf_path": lambda x: tree().leaf_path(x),
    "assign of a sparse mixture": lambda x: vaes(SparseMixture).assign(x),
    "fit of an invariant mixture": lambda x: train(invariant(), x, DIGITS[: len(x)], batch_size=4, epochs=1),
    "fit with its partners": lambda x: train(invariant(), DIGITS[: len(x)], x, batch_size=4, epochs=1),
    "best_start": lambda x: best_start(invariant, x, (0,), **QUIET),
    "fit_invariant": lambda x: fit_invariant(
        x, x, 0, epochs=1, settle=0, starts=1, build=lambda augmentation: invariant(), **QUIET
    ),
    "finetune_experts": lambda x: finetune_experts(even(), x, seed=0, epochs=1, **QUIET),
    "prototypes": lambda x: PrototypeExperts(x, hidden=4),
}
every_entry = pytest.mark.parametrize("name", [*ENTRIES, "the best model's assign"])


@pytest.fixture
def entry(name, pretrained):
    return ENTRIES.get(name, pretrained.assign)


good = torch.rand(8, 784, generator=torch.Generator().manual_seed(0))
with_nan = good.clone()
with_nan[3, 100] = torch.nan
WRONG = {  # what is given, and what is said
    "8-bit numbers": ((255 * good).byte(), TypeError, r"torch\.uint8; give a float32 tensor: .*\.float\(\) / 255"),
    "times 255": (
        255 * good,
        ValueError,
        r"expected \[0, 1\], where 0 is paper and 1 is ink\. Divide 8-bit images by 255",
    ),
    "from -1 to 1": (2 * good - 1, ValueError, r"run from -.* undo a normalisation"),
    "normalised": ((good - 0.1307) / 0.3081, ValueError, r"undo a normalisation"),
    "not a number": (with_nan, ValueError, r"has NaN or infinite values in 1 rows, the first is row 3"),
    "NumPy": (good.numpy(), TypeError, r"is a ndarray; give a float32 tensor: torch\.as_tensor\(\w+\)\.float\(\)"),
    "64-bit floats": (good.double(), TypeError, r"torch\.float64; give a float32 tensor"),
    "28 x 28": (good.view(-1, 28, 28), ValueError, r"try \w+\.flatten\(1\)"),
    "8 x 8": (good[:, :64], ValueError, r"expected \(B, 784\), one example a row: resize the examples"),
}


@every_entry
@pytest.mark.parametrize("given", WRONG)
def test_other_images_are_refused_with_a_word_of_help(entry, given):
    images, error, said = WRONG[given]
    with pytest.raises(error, match=said):
        entry(images)


@every_entry
def test_images_are_taken(entry):
    entry(good)


@pytest.mark.parametrize("given", ["8-bit numbers", "not a number", "NumPy", "64-bit floats", "28 x 28"])
def test_neighbours_refuse_what_cannot_be_compared(given):
    """How bright the images are does not matter to them."""
    images, error, said = WRONG[given]
    with pytest.raises(error, match=said):
        neighbours(images, k=2)
    with pytest.raises(TypeError, match="x is a list"):
        neighbours(np.zeros((5, 2)).tolist(), k=2)
