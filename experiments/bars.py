"""Several experts share the sevens: does one get those with a bar through the stem? Read by chapter 9.

    python experiments/bars.py     about ten minutes on 2 CPU cores; goes on where it was stopped

The images are those that chapter 8's best model sends where it sends most sevens: as they are, or upright (`upright`).
Two, three or five VAEs share them; or two pictures that first lie still, then may be turned, scaled, sheared and
shifted, then bent, as in experiments/prototypes.py. The 239 sevens sorted by eye score the runs; they also scored 48
trial runs of VAEs from which these settings come: ReLU, and a full collapse of 90 nats. At 9 nats one VAE took all.
"""

import time
from functools import cache

import torch
from ladder import COLLAPSE
from scoring import sevens_by, test, train

from moe_lib import (
    Floor,
    ImportanceCV2,
    Manager,
    MixtureOfExperts,
    PrototypeExperts,
    VAEExperts,
    fit,
    load_pretrained,
    resolve_device,
    sevens,
    upright,
)
from moe_lib.results import device_name, run_all

VAES = [{"experts": "VAEs", "number": n, "upright": put} for put in (False, True) for n in (2, 3, 5)]
PICTURES = {"experts": "pictures", "number": 2, "upright": False, "free": [0, 5, 37]}  # how many numbers move a picture
RUNS = [(config, seed) for seed in range(5) for config in (*VAES, PICTURES)]


@cache
def own_images() -> torch.Tensor:
    """The training images in the pile that holds most of the sevens sorted by eye."""
    best = load_pretrained()
    pile = best.assign(test.images[torch.cat(sevens())]).mode().values
    return train.images[best.assign(train.images) == pile]


def vaes(config: dict, images: torch.Tensor, tested: torch.Tensor, seed: int) -> tuple[list[dict], list[float]]:
    """VAEs share the images for 20 epochs; a full collapse costs 90 nats."""
    number = config["number"]
    balance = ImportanceCV2(COLLAPSE / (number - 1))
    model = MixtureOfExperts(Manager(784, number), VAEExperts(number, activation="relu"), balance)
    history = fit(
        model, images, images, epochs=20, batch_size=100, lr=1e-3, seed=seed, schedule="one-cycle", device="cpu",
        precision="bf16",
    )  # fmt: skip
    return [sevens_by(model.assign(tested), number)], history.total


def pictures(config: dict, images: torch.Tensor, tested: torch.Tensor, seed: int) -> tuple[list[dict], list[float]]:
    """Pictures share them in three stages of 5, 15 and 15 epochs."""
    chosen = images[torch.randperm(len(images))[: config["number"]]]
    model = MixtureOfExperts(Manager(784, config["number"]), PrototypeExperts(chosen), Floor(200.0, share=0.25))
    by_stage, loss = [], []
    for free, epochs in zip(config["free"], (5, 15, 15), strict=True):
        model.experts.free = free
        history = fit(
            model, images, images, epochs=epochs, batch_size=100, lr=3e-3, seed=seed, schedule="one-cycle",
            device="cpu", precision="bf16",
        )  # fmt: skip
        by_stage.append(sevens_by(model.assign(tested), config["number"]))
        loss += history.total
    return by_stage, loss


def one(config: dict, seed: int) -> dict:
    images, tested, start = own_images(), test.images, time.perf_counter()
    if config["upright"]:
        images, tested = upright(images), upright(tested)
    torch.manual_seed(seed)
    by_stage, loss = {"VAEs": vaes, "pictures": pictures}[config["experts"]](config, images, tested, seed)
    return {
        "metrics": {"by_stage": by_stage, "train_total": loss},
        "seconds": time.perf_counter() - start,
        "device": device_name(resolve_device("cpu")),
    }


if __name__ == "__main__":
    run_all(
        "bars",
        what="experts share the sevens; of the test sevens sorted by eye, how many each gets, after every stage",
        unit="images: with a bar, and without; losses in nats per image, those of pictures up to a constant",
        code="experiments/bars.py",
        runs=RUNS,
        one=one,
    )
