"""Digits deskewed first, then sorted by the post's model, by K-means, or by a manager that small changes do not sway.

    python experiments/deskewed.py

About an hour on 2 CPU cores; goes on where it was stopped. Read by chapter 8.

`deskew` takes slant, place and size from every image by the moments of its ink; `rescale=False` leaves the size. What
learns afterwards knows nothing of it: the model of rung 1 with its settings, ten epochs in the fast way of chapter 6;
K-means with one start; and, over three seeds, rung 6 with two starts in place of four. The losses are those of such
images, and cannot be compared with those of others. Of the first two no setting was tried but these. Labels score the
runs and choose nothing. The seconds of the third include its scoring.
"""

import time
from functools import partial

import torch
from protocol import BF16, EPOCHS, FAST, PREPARED, digits, measures, train_and_measure
from sklearn.cluster import KMeans

from moe_lib import moe_vae
from moe_lib.ladder import fit_invariant
from moe_lib.measures import agreement
from moe_lib.records.experiment import Experiment, outcome

RUNS = [({"model": "K-means", "images": prepared}, seed) for prepared in PREPARED for seed in range(10)]
POST = [{"model": "post", "images": prepared, "epochs": EPOCHS} for prepared in ("deskewed and scaled", "deskewed")]
INVARIANT = {"model": "augmentation-invariant", "images": "deskewed and scaled", "starts": 2, "epochs": EPOCHS}
RUNS += [(config, seed) for config in POST for seed in range(10)]
RUNS += [(INVARIANT, seed) for seed in range(3)]


def k_means(config: dict, seed: int) -> dict:
    train, test = digits(config["images"])
    start = time.perf_counter()
    clusters = KMeans(n_clusters=10, n_init=1, random_state=seed).fit(train.images.numpy())
    seconds = time.perf_counter() - start
    found_train, found_test = (torch.from_numpy(clusters.predict(p.images.numpy())).long() for p in (train, test))
    metrics = agreement(found_train, train.labels, found_test, test.labels)
    return outcome({**metrics, "inertia": float(clusters.inertia_)}, seconds)


def post(config: dict, seed: int) -> dict:
    prepared = config["images"]
    measured = partial(measures, seed=seed, prepared=prepared)
    return train_and_measure(moe_vae, config["epochs"], seed, measured, prepared, **FAST)


def invariant(config: dict, seed: int) -> dict:
    prepared, start = config["images"], time.perf_counter()
    images, settings = digits(prepared)[0].images, {"epochs": config["epochs"], "starts": config["starts"], "settle": 0}
    model, history = fit_invariant(images, images, seed, **settings, **BF16)
    metrics = {**measures(model, seed, prepared), "train_total": history.total}
    return outcome(metrics, time.perf_counter() - start, "bf16")


MODELS = {"K-means": k_means, "post": post, "augmentation-invariant": invariant}


def one(config: dict, seed: int) -> dict:
    return MODELS[config["model"]](config, seed)


EXPERIMENT = Experiment(
    name="deskewed",
    what="digits deskewed by the moments of their ink, then sorted; map from training, score from test images",
    unit="nats per image; shares in [0, 1]; inertia: sum of squared distances",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
