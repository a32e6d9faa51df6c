"""Data and trained models that several tests look at; none of them may change it."""

import pytest

from moe_lib import mnist
from moe_lib.ladder import load_examiner, load_pretrained


@pytest.fixture(scope="session")
def mnist_halves():
    """Training and test images of MNIST."""
    return mnist()


@pytest.fixture(scope="session")
def test_half(mnist_halves):
    return mnist_halves[1]


@pytest.fixture(scope="session")
def pretrained():
    return load_pretrained()


@pytest.fixture(scope="session")
def examiner():
    return load_examiner()
