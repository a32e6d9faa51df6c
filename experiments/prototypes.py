"""Experts with one picture each, a prototype that may only be moved: no augmentation, no neighbours. Read by chapter 8.

    python experiments/prototypes.py

About an hour and a half on 2 CPU cores; goes on where it was stopped

The families of changes come one after the other, each in a training run of its own: first the prototypes lie still (the
loss is that of K-means), then they may be turned, scaled, sheared and shifted, then bent. The manager is the post's,
or a convolutional one; the post's manager also gets deskewed images. Labels only score the runs; but rates, epochs and
ranges were found in trials whose accuracies we saw, on raw images.
"""

import time

import torch
from protocol import accuracy_of, digits, fit_in_stages

from moe_lib import Manager, evaluate, gate_health, match_experts
from moe_lib.ladder import ConvManager, Floor, PrototypeExperts, load_examiner
from moe_lib.measures import agreement, examine, portrait
from moe_lib.records.experiment import Experiment, outcome
from moe_lib.scaling import SparseMixture

STAGES = [[0, 2], [5, 10], [37, 16]]  # how many of the numbers may move a prototype, and for how many epochs
MANAGERS = {"mlp": lambda: Manager(784, 10), "conv": lambda: ConvManager(10)}
RAW = [{"manager": manager, "stages": STAGES, "images": "raw"} for manager in MANAGERS]
DESKEWED = {"manager": "mlp", "stages": STAGES, "images": "deskewed and scaled"}
RUNS = [(config, seed) for seed in range(5) for config in RAW] + [(DESKEWED, seed) for seed in range(5)]


def prototypes(manager: str, images: torch.Tensor, seed: int) -> SparseMixture:
    """Ten prototypes that start as training images, drawn at random; each image asks its two likeliest experts."""
    torch.manual_seed(seed)
    chosen = images[torch.randperm(len(images))[:10]]
    return SparseMixture(MANAGERS[manager](), PrototypeExperts(chosen), balance=Floor(200.0, share=0.05), top_k=2)


def one(config: dict, seed: int) -> dict:
    start, (train, test) = time.perf_counter(), digits(config["images"])
    model = prototypes(config["manager"], train.images, seed)
    by_stage, losses = fit_in_stages(
        model, train.images, config["stages"], seed, look=lambda: accuracy_of(model, config["images"])
    )
    seconds = time.perf_counter() - start
    result, found_train = evaluate(model, test.images, test.images), model.assign(train.images)
    drawn = examine(model.experts, load_examiner(), match_experts(found_train, train.labels, num_experts=10))
    metrics = {
        **agreement(found_train, train.labels, result.assignments, test.labels),
        **gate_health(result.gate)._asdict(),
        "expected": result.expected,
        "drawn_right": drawn.accuracy,
        "drawn_digits": drawn.covered,
        "accuracy_by_stage": by_stage,
        "train_total": losses,
        **(portrait(model, test) if seed == 0 else {}),
    }
    return outcome(metrics, seconds, "bf16")


EXPERIMENT = Experiment(
    name="prototypes",
    what="ten prototypes that are moved to fit each image; map fitted on training, scored on test images",
    unit="nats per image up to a constant; shares in [0, 1]",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
