"""Several experts share the sevens: does one get those with a bar through the stem? Read by chapter 9.

    python experiments/bars.py     about fifteen minutes on 2 CPU cores; goes on where it was stopped

The images are those that chapter 8's best model sends where it sends most sevens: as they are, without slant, or
upright, which undoes width and height too (`upright`). Two, three or five of the post's VAEs share them, with its
manager; or two pictures that first lie still, then may be turned, scaled, sheared and shifted, then bent, as in
experiments/prototypes.py. A full collapse of the VAEs costs 90 nats, as everywhere. The 239 sevens sorted by eye score
the runs; they choose nothing.
"""

import time
from functools import cache

import torch
from ladder import COLLAPSE
from prototypes import fit_in_stages
from scoring import sevens_by, test, train
from upright_first import PUT

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
)
from moe_lib.results import device_name, run_all

VAES = [
    {"experts": "VAEs", "number": n, "images": put, "epochs": 20, "collapse": COLLAPSE}
    for put in PUT
    for n in (2, 3, 5)
]
PICTURES = {  # stages: how many numbers may move a picture, and for how many epochs
    "experts": "pictures", "number": 2, "images": "as they are", "stages": [[0, 5], [5, 15], [37, 15]],
}  # fmt: skip
RUNS = [(config, seed) for seed in range(5) for config in (*VAES, PICTURES)]


@cache
def own_images() -> torch.Tensor:
    """The training images in the pile that holds most of the sevens sorted by eye."""
    best = load_pretrained()
    pile = best.assign(test.images[torch.cat(sevens())]).mode().values
    return train.images[best.assign(train.images) == pile]


def vaes(config: dict, images: torch.Tensor, tested: torch.Tensor, seed: int) -> tuple[list[dict], list[float]]:
    """The post's VAEs share the images, with its manager."""
    number = config["number"]
    balance = ImportanceCV2(config["collapse"] / (number - 1))
    model = MixtureOfExperts(Manager(784, number), VAEExperts(number), balance)
    history = fit(
        model, images, images, epochs=config["epochs"], batch_size=100, lr=1e-3, seed=seed, device="cpu",
        precision="bf16",
    )  # fmt: skip
    return [sevens_by(model.assign(tested), number)], history.total


def pictures(config: dict, images: torch.Tensor, tested: torch.Tensor, seed: int) -> tuple[list[dict], list[float]]:
    """Pictures share them, one family of changes after the other."""
    chosen = images[torch.randperm(len(images))[: config["number"]]]
    model = MixtureOfExperts(Manager(784, config["number"]), PrototypeExperts(chosen), Floor(200.0, share=0.25))

    def counts() -> dict:
        return sevens_by(model.assign(tested), config["number"])

    return fit_in_stages(model, images, config["stages"], seed, look=counts)


def one(config: dict, seed: int) -> dict:
    put, start = PUT[config["images"]], time.perf_counter()
    images, tested = put(own_images()), put(test.images)
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
