"""What do other methods find in the same digits without labels? Read by chapter 7.

    python experiments/baselines.py      about a quarter of an hour on 2 CPU cores; goes on where it was stopped

K-means on pixels; K-means and a Gaussian mixture on 50 principal components; and both on the ten latents of one VAE
and of one autoencoder 784-500-10-500-784, trained for ten epochs. Ten seeds each, one start a seed. Settings were fixed
before the first run; labels score and choose nothing.
"""

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from scoring import agreement, test, train
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor

from moe_lib import VAEExperts, fit, resolve_device
from moe_lib.experts import ELBO
from moe_lib.results import device_name, run_all

SPACES = ("pixels", "pca", "vae", "autoencoder")
RUNS = [
    ({"space": space, "method": method}, seed)
    for seed in range(10)
    for space in SPACES
    for method in ("kmeans", "gmm")
    if (space, method) != ("pixels", "gmm")  # covariances of 784 x 784 are out of scale for an afternoon
]


class Autoencoder(VAEExperts):
    """One expert without noise and without the KL: only the squared error is left."""

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.zeros(n, self.num_experts, self.latent)

    def elbo(self, *args, **options) -> ELBO:
        reconstruction, kl = super().elbo(*args, **options)
        return ELBO(reconstruction, torch.zeros_like(kl))


@cache
def places(space: str, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Where the training images lie, and the test images; and the seconds that it took to place them."""
    start = time.perf_counter()
    place = _place(space, seed)
    at_train, at_test = (place(digits.images).numpy() for digits in (train, test))
    return at_train, at_test, time.perf_counter() - start


def _place(space: str, seed: int) -> Callable[[Tensor], Tensor]:
    if space == "pixels":
        return lambda images: images
    if space == "pca":
        pca = PCA(n_components=50, random_state=seed).fit(train.images.numpy())
        return lambda images: torch.from_numpy(pca.transform(images.numpy())).float()
    torch.manual_seed(seed)
    kind = {"vae": VAEExperts, "autoencoder": Autoencoder}[space]
    model = kind(num_experts=1, hidden=(500,), latent=10, activation="relu")
    fit(
        model, train.images, train.images, epochs=10, batch_size=100, lr=1e-3, seed=seed, device="cpu",
        precision="bf16", progress=False,
    )  # fmt: skip
    return lambda images: model.encode(images)[0][0].detach()  # the mean of q(z | x)


def one(config: dict, seed: int) -> dict:
    at_train, at_test, seconds = places(config["space"], seed)
    start = time.perf_counter()
    methods = {"kmeans": KMeans(10, n_init=1, random_state=seed), "gmm": GaussianMixture(10, random_state=seed)}
    method = methods[config["method"]].fit(at_train)
    seconds += time.perf_counter() - start
    found_train, found_test = (torch.from_numpy(method.predict(at)).long() for at in (at_train, at_test))
    return {
        "metrics": {**agreement(found_train, found_test), "iterations": int(method.n_iter_)},
        "seconds": seconds,
        "device": device_name(resolve_device("cpu")),
    }


if __name__ == "__main__":
    run_all(
        "baselines",
        what="other methods that need no labels; map fitted on training images, scored on test images",
        unit="shares in [0, 1]",
        code="experiments/baselines.py",
        runs=RUNS,
        one=one,
    )
