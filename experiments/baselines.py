"""What do other methods find in the same digits without labels? Read by chapters 7 and 8.

    python experiments/baselines.py      about an hour on one CPU core; goes on where it was stopped

K-means on pixels, also with the lowest inertia of ten starts; K-means and a Gaussian mixture on 50 principal
components; and both on the ten latents of one VAE and of one autoencoder, trained for ten epochs: 784-500-10-500-784
with ReLU, 784-128-10-128-784 with the post's sigmoid, and the autoencoder on deskewed and scaled images. Ten seeds
each, one start a seed unless said. Each setting was fixed before its first run, that of smaller networks, ten starts
and deskewed images when the results of the others were known. Labels score and choose nothing.
"""

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from protocol import BF16, digits
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor

from moe_lib import ELBO, VAEExperts, fit
from moe_lib.measures import both_protocols
from moe_lib.records.experiment import Experiment, outcome

LEARNT = ("vae", "autoencoder")  # the others take no training in PyTorch, and no precision
RUNS = [
    ({"space": space, "method": method}, seed)
    for seed in range(10)
    for space in ("pixels", "pca", "vae", "autoencoder")
    for method in ("kmeans", "gmm")
    if (space, method) != ("pixels", "gmm")  # covariances of 784 x 784 are out of scale for an afternoon
]
RUNS += [({"space": "pixels", "method": "kmeans", "starts": 10}, seed) for seed in range(10)]
RUNS += [
    ({"space": space, "method": method}, seed)
    for seed in range(10)
    for space in ("vae, small", "autoencoder, small", "autoencoder, deskewed")
    for method in ("kmeans", "gmm")
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
    parts = digits("deskewed and scaled" if space.endswith("deskewed") else "raw")
    place = placing(space, parts[0].images, seed)
    at_train, at_test = (place(part.images).numpy() for part in parts)
    return at_train, at_test, time.perf_counter() - start


def placing(space: str, images: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    if space == "pixels":
        return lambda images: images
    if space == "pca":
        pca = PCA(n_components=50, random_state=seed).fit(images.numpy())
        return lambda images: torch.from_numpy(pca.transform(images.numpy())).float()
    torch.manual_seed(seed)
    kind = VAEExperts if space.startswith("vae") else Autoencoder
    size = {"hidden": (128,)} if space.endswith("small") else {"hidden": (500,), "activation": "relu"}
    model = kind(num_experts=1, latent=10, **size)
    fit(model, images, images, epochs=10, batch_size=100, lr=1e-3, seed=seed, progress=False, **BF16)
    return lambda images: model.encode(images)[0][0].detach()  # the mean of q(z | x)


def one(config: dict, seed: int) -> dict:
    train, test = digits("raw")
    at_train, at_test, seconds = places(config["space"], seed)
    start = time.perf_counter()
    kmeans = KMeans(10, n_init=config.get("starts", 1), random_state=seed)
    methods = {"kmeans": kmeans, "gmm": GaussianMixture(10, random_state=seed)}
    method = methods[config["method"]].fit(at_train)
    seconds += time.perf_counter() - start
    found_train, found_test = (torch.from_numpy(method.predict(at)).long() for at in (at_train, at_test))
    agreed = both_protocols(found_train, train.labels, found_test, test.labels)
    precision = "bf16" if config["space"].startswith(LEARNT) else "fp32"
    return outcome({**agreed, "iterations": int(method.n_iter_)}, seconds, precision)


EXPERIMENT = Experiment(
    name="baselines",
    what="other methods that need no labels; map fitted on training images, scored on test images",
    unit="shares in [0, 1]; accuracy_all: all 70,000 images at once, in runs made since 30 November 2026",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
