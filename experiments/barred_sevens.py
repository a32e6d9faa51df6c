"""Several experts share the sevens: does one get those with a bar through the stem? Read by chapter 9.

    python experiments/barred_sevens.py     about fifteen minutes on 2 CPU cores; goes on where it was stopped

The images are those that chapter 8's best model sends where it sends most sevens: raw, deskewed, or deskewed and
scaled. Two, three or five of the post's VAEs share them, with its manager; or two prototypes that first lie still, then
may be turned, scaled, sheared and shifted, then bent, as in experiments/prototypes.py. A full collapse of the VAEs
costs 90 nats, as everywhere. The 239 sevens sorted by eye score the runs; they choose nothing.
"""

import time
from functools import cache

import torch
from protocol import BF16, COLLAPSE, PREPARED, digits, fit_in_stages
from torch import Tensor

from moe_lib import ImportanceCV2, Manager, MixtureOfExperts, VAEExperts, fit
from moe_lib.ladder import Floor, PrototypeExperts, load_pretrained, sevens
from moe_lib.measures import barred_sevens_by
from moe_lib.records.experiment import Experiment, outcome

VAES = [
    {"experts": "VAEs", "number": n, "images": prepared, "epochs": 20, "collapse": COLLAPSE}
    for prepared in PREPARED
    for n in (2, 3, 5)
]
PROTOTYPES = {  # stages: how many numbers may move a prototype, and for how many epochs
    "experts": "prototypes", "number": 2, "images": "raw", "stages": [[0, 5], [5, 15], [37, 15]],
}  # fmt: skip
RUNS = [(config, seed) for seed in range(5) for config in (*VAES, PROTOTYPES)]


@cache
def pile() -> Tensor:
    """The training images where most of the sevens sorted by eye are sent."""
    (train, test), best = digits("raw"), load_pretrained()
    there = best.assign(test.images[torch.cat(sevens())]).mode().values
    return train.images[best.assign(train.images) == there]


def vaes(config: dict, images: Tensor, tested: Tensor, seed: int) -> tuple[list[dict], list[float]]:
    """The post's VAEs share the images, with its manager."""
    number = config["number"]
    balance = ImportanceCV2(config["collapse"] / (number - 1))
    model = MixtureOfExperts(Manager(784, number), VAEExperts(number), balance)
    history = fit(model, images, images, epochs=config["epochs"], batch_size=100, lr=1e-3, seed=seed, **BF16)
    return [barred_sevens_by(model.assign(tested), sevens()._asdict(), number)], history.total


def prototypes(config: dict, images: Tensor, tested: Tensor, seed: int) -> tuple[list[dict], list[float]]:
    """Prototypes share them, one family of changes after the other."""
    number = config["number"]
    chosen = images[torch.randperm(len(images))[:number]]
    model = MixtureOfExperts(Manager(784, number), PrototypeExperts(chosen), Floor(200.0, share=0.25))

    def counts() -> dict:
        return barred_sevens_by(model.assign(tested), sevens()._asdict(), number)

    return fit_in_stages(model, images, config["stages"], seed, look=counts)


def one(config: dict, seed: int) -> dict:
    prepare, start = PREPARED[config["images"]], time.perf_counter()
    images, tested = prepare(pile()), prepare(digits("raw")[1].images)
    torch.manual_seed(seed)
    by_stage, loss = {"VAEs": vaes, "prototypes": prototypes}[config["experts"]](config, images, tested, seed)
    return outcome({"by_stage": by_stage, "train_total": loss}, time.perf_counter() - start, "bf16")


EXPERIMENT = Experiment(
    name="barred_sevens",
    what="experts share the sevens; of the test sevens sorted by eye, how many each gets, after every stage",
    unit="images: with a bar, and without; losses in nats per image, those of prototypes up to a constant",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
