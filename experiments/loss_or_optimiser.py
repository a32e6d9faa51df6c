"""Is the loss or the optimiser to blame that the post's model does not find the split by digit? Read by chapter 8.

    python experiments/loss_or_optimiser.py

About two hours on one CPU core; goes on where it was stopped

The model is put where it never gets by itself: ten VAEs, each trained on its own digit for 100 epochs, and a manager
that learnt the labels by cross-entropy for 20. Then it is trained with the post's loss, settings and seeds, for 100
epochs, and labels play no part any more. Does it stay there, and is its loss below that of every split that training
found by itself (experiments/post_seeds.py)?

Beside it, the same from the split that the post's model of that seed has found by itself after 100 epochs: fresh
experts learn its classes, a fresh manager its answers, and all go on together. That this helps, too, would say that
starting with trained experts helps whatever the split.

Labels are used here to ask the question; no method of this book uses them so. What we expected before the first run:
it stays within two points of where it starts, and its training loss ends below every split found.
"""

import time

import torch
from protocol import FAST, accuracy_at, digits, measures, scores_of
from torch import Tensor

from moe_lib import MixtureOfExperts, evaluate, fit, moe_vae
from moe_lib.ladder import Augmentation, TaughtManager, side_by_side
from moe_lib.records.experiment import Experiment, outcome

UNCHANGED = Augmentation(erase=0, rotation=0, scale=0, shear=0, shift=0, bend=0)
RUNS = [({"split": split, "epochs": 100}, seed) for seed in range(5) for split in ("labels", "found")]


def trained_on(split: Tensor, seed: int) -> MixtureOfExperts:
    """The post's model, its experts and its manager each trained alone for a split of the training images (B,)."""
    images = digits("raw")[0].images
    torch.manual_seed(seed)
    model, own = moe_vae(), side_by_side(images, split, num_experts=10)
    fit(model.experts, own, own, epochs=100, batch_size=10, lr=1e-3, seed=seed, **FAST)
    taught = TaughtManager(model.manager, UNCHANGED)
    fit(taught, images, torch.eye(10)[split], epochs=20, batch_size=100, lr=1e-3, seed=seed, device="cpu")
    return model


def found_by_itself(seed: int) -> Tensor:
    """The split of the training images that the post's model finds in 100 epochs (B,)."""
    images = digits("raw")[0].images
    torch.manual_seed(seed)
    model = moe_vae()
    fit(model, images, images, epochs=100, batch_size=100, lr=1e-3, seed=seed, **FAST)
    return model.assign(images)


def state(model: MixtureOfExperts) -> dict[str, float]:
    """How good it is, and its expected loss on all training images."""
    images = digits("raw")[0].images
    return {**scores_of(model), "train_expected": evaluate(model, images, images).expected}


def one(config: dict, seed: int) -> dict:
    train = digits("raw")[0]
    begin = time.perf_counter()
    model = trained_on(train.labels if config["split"] == "labels" else found_by_itself(seed), seed)
    before, (watch, by_epoch) = state(model), accuracy_at((1, 2, 5, 10, 20, 50, 100))
    settings = {"epochs": config["epochs"], "batch_size": 100, "lr": 1e-3, "seed": seed, **FAST}
    history = fit(model, train.images, train.images, on_epoch=watch, **settings)
    metrics = {
        **measures(model, seed),
        "before": before,
        "after": state(model),
        "accuracy_by_epoch": by_epoch,
        "train_expected": history.expected,
    }
    return outcome(metrics, time.perf_counter() - begin, "bf16")


EXPERIMENT = Experiment(
    name="loss_or_optimiser",
    what="the post's model, started at the split by digit, or at one that it found, then trained as always",
    unit="nats per image; shares in [0, 1]; accuracy_all: all 70,000 images at once",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
