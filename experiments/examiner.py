"""Trains the examiner: a network that reads digits, to judge drawn ones with. Read by chapter 7.

    python experiments/examiner.py      about two minutes on 2 CPU cores

Beside chapter 1 and its oracle, this alone trains on labels. Its weights travel in moe_lib. Twelve epochs, one seed,
the last weights: nothing was chosen by the test images.
"""

import time

import torch
import torch.nn.functional as F
from protocol import KEPT, digits

from moe_lib.ladder import Augmentation, ConvManager, load_weights, one_cycle, save_weights
from moe_lib.records.experiment import Experiment, outcome

LAST = "examiner-last"  # no name of weights that travel: those are published below, when the run is recorded
RUNS = [({"epochs": 12, "batch_size": 250, "lr": 2e-3}, 0)]


def one(config: dict, seed: int) -> dict:
    train, test = digits("raw")
    torch.manual_seed(seed)
    model = ConvManager(num_experts=10)
    optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"])
    steps = len(train.images) // config["batch_size"]
    augmentation = Augmentation(rotation=0.2, scale=0.1, shear=0.1, shift=0.1, erase=0.0)
    start = time.perf_counter()
    for epoch in range(config["epochs"]):
        for i, batch in enumerate(torch.randperm(len(train.images)).split(config["batch_size"])):
            optimizer.param_groups[0]["lr"] = config["lr"] * one_cycle((epoch + i / steps) / config["epochs"])
            images = augmentation(train.images[batch], torch.rand(len(batch), augmentation.size))
            loss = F.cross_entropy(model(images), train.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    save_weights(model, LAST, KEPT)
    with torch.no_grad():  # as it is used, with float16 weights
        right = kept()(test.images).argmax(dim=1) == test.labels
    return outcome({"accuracy": right.float().mean().item()}, seconds)


def kept() -> ConvManager:
    """The examiner that was trained last."""
    return load_weights(ConvManager(num_experts=10), LAST, KEPT)


EXPERIMENT = Experiment(
    name="examiner",
    what="a network trained on labels, which judges drawn digits; test images",
    unit="share in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    if EXPERIMENT.run():
        save_weights(kept(), "examiner")  # where `load_examiner` finds it
