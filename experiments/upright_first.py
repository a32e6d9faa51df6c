"""Digits put upright first, then sorted by the post's model, by K-means, or by a manager that is not swayed.

    python experiments/upright_first.py

About an hour on 2 CPU cores; goes on where it was stopped. Read by chapter 8.

`upright` takes slant, place and size from every image by the moments of its ink; `resize=False` leaves the size. What
learns afterwards knows nothing of it: the model of rung 1 with its settings, ten epochs in the fast way of chapter 6;
K-means with one start; and, over three seeds, rung 6 with two starts in place of four. The losses are those of upright
images, and cannot be compared with those of others. Of the first two no setting was tried but these. Labels score the
runs and choose nothing. The seconds of the third include its scoring.
"""

import time
from collections.abc import Callable
from functools import cache, partial

import torch
from ladder import EPOCHS
from scoring import agreement, measure, portrait, test, train, train_and_score
from sklearn.cluster import KMeans
from torch import Tensor

from moe_lib import MixtureOfExperts, fit_invariant, moe_vae, resolve_device, upright
from moe_lib.results import device_name, run_all

PUT: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda images: images,
    "without slant": partial(upright, resize=False),
    "upright": upright,
}
RUNS = [({"model": "K-means", "images": put}, seed) for put in PUT for seed in range(10)]
POST = [{"model": "post", "images": put, "epochs": EPOCHS} for put in ("upright", "without slant")]
RUNS += [(config, seed) for config in POST for seed in range(10)]
RUNS += [({"model": "not swayed", "images": "upright", "starts": 2, "epochs": EPOCHS}, seed) for seed in range(3)]


@cache
def images_of(put: str) -> tuple[Tensor, Tensor]:
    """All training images and all test images."""
    return PUT[put](train.images), PUT[put](test.images)


def k_means(put: str, seed: int) -> dict:
    known, unknown = images_of(put)
    start = time.perf_counter()
    clusters = KMeans(n_clusters=10, n_init=1, random_state=seed).fit(known.numpy())
    seconds = time.perf_counter() - start
    found = [torch.from_numpy(clusters.predict(images.numpy())).long() for images in (known, unknown)]
    metrics = {**agreement(*found), "inertia": float(clusters.inertia_)}
    return {"metrics": metrics, "seconds": seconds, "device": device_name(resolve_device("cpu"))}


def post(put: str, seed: int, epochs: int) -> dict:
    known, unknown = images_of(put)

    def measures(model: MixtureOfExperts) -> dict:
        return {**measure(model, known, unknown), **(portrait(model, unknown) if seed == 0 else {})}

    return train_and_score(
        moe_vae, epochs, seed, measures=measures, images=known, device="cpu", precision="bf16", compile=True
    )


def not_swayed(put: str, seed: int, epochs: int, starts: int) -> dict:
    known, unknown = images_of(put)
    start = time.perf_counter()
    settings = {"epochs": epochs, "settle": 0, "starts": starts, "device": "cpu", "precision": "bf16"}
    model, history = fit_invariant(known, known, seed, **settings)
    metrics = {**measure(model, known, unknown), "train_total": history.total}
    return {"metrics": metrics, "seconds": time.perf_counter() - start, "device": device_name(resolve_device("cpu"))}


MODELS = {"K-means": k_means, "post": post, "not swayed": not_swayed}


def one(config: dict, seed: int) -> dict:
    return MODELS[config["model"]](
        config["images"], seed, **{k: config[k] for k in ("epochs", "starts") if k in config}
    )


if __name__ == "__main__":
    run_all(
        "upright_first",
        what="digits put upright by the moments of their ink, then sorted; map from training, score from test images",
        unit="nats per image; shares in [0, 1]; inertia: sum of squared distances",
        code="experiments/upright_first.py",
        runs=RUNS,
        one=one,
    )
