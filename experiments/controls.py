"""What makes the augmentation-invariant mixture work? It loses one part at a time. Read by chapter 8.

    python experiments/controls.py

About two and a half hours on one CPU core for the whole plan; goes on where it was stopped

The whole is the run of experiments/invariance.py without neighbours: a convolutional manager, ReLU VAEs, information
about pairs, strong augmentation, the best of four starts, batches of 500, a one-cycle rate, ten epochs. Here it is
again with one part exchanged for the post's, or taken away; and, from the other end, the post's model with one part of
it. "Manager alone" has no experts at all. Where the loss is the post's, a start is chosen by its training loss, and its
weight is such that a full collapse costs 90 nats at any batch size, as the post's does.

The list was written down before the first run, with what was expected: that the pairs and the augmentation carry
nearly all of it, that the manager alone sorts as well as the whole, and that activation, batch and rate matter little.
Labels score these runs; they choose nothing. The whole itself was found in trials whose accuracies we saw.
"""

import time

import torch
from protocol import BF16, BOTH, accuracy_at, digits, scores_of
from torch import Tensor

from moe_lib import ImportanceVariance, Manager, MixtureOfExperts, Objective, VAEExperts, fit
from moe_lib.ladder import Augmentation, ConvManager, InvariantMixture, NoExperts, PairNoise, one_cycle
from moe_lib.records.experiment import Experiment, outcome
from moe_lib.training import History

WHOLE = {
    "manager": "convolutional", "experts": "relu", "objective": "pairs", "augmentation": "strong", "starts": 4,
    "batch_size": 500, "epochs": 10,
}  # fmt: skip
POST = {
    "manager": "mlp", "experts": "sigmoid", "objective": "post", "augmentation": "none", "starts": 1, "batch_size": 100,
    "epochs": 10,
}  # fmt: skip
WITHOUT = [
    {"experts": "none"},
    {"augmentation": "none"},
    {"objective": "post"},
    {"manager": "mlp"},
    {"starts": 1},
    {"experts": "sigmoid"},
    {"batch_size": 100},
]
WITH = [
    {"augmentation": "strong"},
    {"objective": "pairs", "augmentation": "strong"},
    {"manager": "convolutional", "objective": "pairs", "augmentation": "strong"},
]
PLAN = [
    (config, seed)
    for seed in range(5)
    for config in [WHOLE | part for part in WITHOUT] + [POST | part for part in WITH]
]
RUNS = [PLAN[i] for i in (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13)]  # those made so far


class Unchanged(Augmentation):
    """Leaves every image as it is."""

    def __call__(self, images: Tensor, u: Tensor) -> Tensor:
        return images


class OnCopies(InvariantMixture):
    """The post's loss on a changed copy of each image, manager and experts alike: no pair, no information."""

    def objective(self, x: Tensor, partner: Tensor, noise: PairNoise) -> Objective:
        copies = self.augmentation(x, noise.augmentation)
        p = self.gate(copies)
        return Objective(self.expected_loss(p, copies, copies, noise.experts), self.balancing(copies, p))


def augmentations(config: dict) -> tuple[Augmentation, Augmentation]:
    """That of the starts, and that of the epochs after."""
    if config["augmentation"] == "none":
        return Unchanged(), Unchanged()
    return (Augmentation.gentle() if config["starts"] > 1 else Augmentation()), Augmentation()


def build(config: dict) -> MixtureOfExperts:
    """A new model."""
    manager = Manager(784, 10) if config["manager"] == "mlp" else ConvManager(10)
    experts = NoExperts(10) if config["experts"] == "none" else VAEExperts(10, activation=config["experts"])
    if config["objective"] == "pairs":
        return InvariantMixture(manager, experts)
    return OnCopies(manager, experts)


def train(model: InvariantMixture, config: dict, seed: int, batch_size: int, lr: float, **options) -> History:
    """One training run; the post's balancing term is weighed by the square of the batch."""
    images = digits("raw")[0].images
    if config["objective"] == "post":
        model.balance = ImportanceVariance(0.1 * (100 / batch_size) ** 2)
    return fit(model, images, images, batch_size=batch_size, lr=lr, seed=seed, **options, **BF16)


def started(config: dict, seed: int) -> InvariantMixture:
    """The best of several starts of one epoch, by what is minimised; or, of one, a model that has not learnt yet."""
    found = []
    for start in range(config["starts"] * seed, config["starts"] * (seed + 1)):
        torch.manual_seed(start)
        model = build(config)
        model.augmentation = augmentations(config)[0]
        found.append((0.0, model))
        if config["starts"] > 1:
            images = digits("raw")[0].images
            history = train(model, config, start, min(250, config["batch_size"]), 1e-3, epochs=1)
            pairs = config["objective"] == "pairs"
            found[-1] = (-model.consistency(images, images) if pairs else history.total[-1], model)
    return min(found, key=lambda pair: pair[0])[1]


def one(config: dict, seed: int) -> dict:
    images = digits("raw")[0].images
    watch, by_epoch = accuracy_at((1, 2, 5))
    begin = time.perf_counter()
    model = started(config, seed)
    model.augmentation = augmentations(config)[1]
    fast = {"lr": 2e-3, "schedule": one_cycle} if config["batch_size"] == 500 else {"lr": 1e-3}
    history = train(model, config, seed, config["batch_size"], epochs=config["epochs"], on_epoch=watch, **fast)
    seconds = time.perf_counter() - begin
    metrics = {
        **scores_of(model),
        "accuracy_by_epoch": by_epoch,
        "train_total": history.total,
        "train_expected": history.expected,
        "train_consistency": model.consistency(images, images),
    }
    return outcome(metrics, seconds, "bf16")


EXPERIMENT = Experiment(
    name="controls",
    what="the augmentation-invariant mixture without one of its parts, and the post's model with one of them",
    unit=BOTH,
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
