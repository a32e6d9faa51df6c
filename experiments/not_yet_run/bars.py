"""Two experts share the sevens: does one get those with a bar through the stem?

    python experiments/bars.py     about five minutes on 2 CPU cores; goes on where it was stopped

The images are those that chapter 8's best model sends where it sends most sevens. Two VAEs share them, or two pictures
that first lie still, then may be turned, scaled, sheared and shifted, then bent, as in experiments/prototypes.py. The
239 sevens sorted by eye score the runs; they choose nothing. One setting was tried in two trials, with two seeds each.
"""

import time

import torch
from scoring import test, train

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

STAGES = {"VAEs": [[None, 20]], "pictures": [[0, 2], [5, 15], [37, 15]]}  # how many numbers may move a picture; epochs
RUNS = [({"experts": experts, "stages": stages}, seed) for seed in range(5) for experts, stages in STAGES.items()]


def own_images() -> torch.Tensor:
    """The training images in the pile that holds most of the sevens sorted by eye."""
    best = load_pretrained()
    pile = best.assign(test.images[torch.cat(sevens())]).mode().values
    return train.images[best.assign(train.images) == pile]


def pair(experts: str, images: torch.Tensor, seed: int) -> MixtureOfExperts:
    """Two experts of a kind with a manager; a full collapse costs 9 nats, or as much as the floor asks."""
    torch.manual_seed(seed)
    if experts == "VAEs":
        return MixtureOfExperts(Manager(784, 2), VAEExperts(2), ImportanceCV2(9.0))
    chosen = images[torch.randperm(len(images))[:2]]
    return MixtureOfExperts(Manager(784, 2), PrototypeExperts(chosen), Floor(200.0, share=0.25))


def one(config: dict, seed: int) -> dict:
    images, start = own_images(), time.perf_counter()
    model = pair(config["experts"], images, seed)
    loss, by_stage = [], []
    for free, epochs in config["stages"]:
        if free is not None:
            model.experts.free = free
        history = fit(
            model, images, images, epochs=epochs, batch_size=100, lr=1e-3 if free is None else 3e-3, seed=seed,
            schedule="one-cycle", device="cpu", precision="bf16",
        )  # fmt: skip
        loss += history.total
        found = model.assign(test.images)
        by_stage.append({kind: found[i].bincount(minlength=2).tolist() for kind, i in sevens()._asdict().items()})
    return {
        "metrics": {"by_stage": by_stage, "train_total": loss},
        "seconds": time.perf_counter() - start,
        "device": device_name(resolve_device("cpu")),
    }


if __name__ == "__main__":
    run_all(
        "bars",
        what="two experts share the sevens; of the test sevens sorted by eye, how many each gets, after every stage",
        unit="images: with a bar, and without; losses in nats per image, those of pictures up to a constant",
        code="experiments/bars.py",
        runs=RUNS,
        one=one,
    )
