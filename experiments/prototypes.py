"""Experts that own one picture each and may only move it: no augmentation, no neighbours.

    python experiments/prototypes.py

About an hour and a half on 2 CPU cores; goes on where it was stopped

The families of changes come one after the other, each in a training run of its own: first the pictures lie still (the
loss is that of K-means), then they may be turned, scaled, sheared and shifted, then bent. The manager is the post's,
or a convolutional one; the post's manager also gets upright images. Labels only score the runs; but rates, epochs and
ranges were found in trials whose accuracies we saw, on images as they are.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from scoring import agreement, portrait, train
from upright_first import images_of

from moe_lib import (
    ConvManager,
    Floor,
    Manager,
    MixtureOfExperts,
    PrototypeExperts,
    evaluate,
    examine,
    fit,
    gate_health,
    load_examiner,
    match_experts,
    resolve_device,
)
from moe_lib.results import device_name, run_all

T = TypeVar("T")
STAGES = [[0, 2], [5, 10], [37, 16]]  # how many of the numbers may move a picture, and for how many epochs
MANAGERS = {"mlp": lambda: Manager(784, 10), "conv": lambda: ConvManager(10)}
AS_THEY_ARE = [{"manager": manager, "stages": STAGES} for manager in MANAGERS]
UPRIGHT = {"manager": "mlp", "stages": STAGES, "images": "upright"}
RUNS = [(config, seed) for seed in range(5) for config in AS_THEY_ARE] + [(UPRIGHT, seed) for seed in range(5)]


def prototypes(manager: str, images: torch.Tensor, seed: int) -> MixtureOfExperts:
    """Ten pictures that start as training images, drawn at random; each image asks its two likeliest experts."""
    torch.manual_seed(seed)
    chosen = images[torch.randperm(len(images))[:10]]
    return MixtureOfExperts(MANAGERS[manager](), PrototypeExperts(chosen), balance=Floor(200.0, share=0.05), top_k=2)


def fit_in_stages(
    model: MixtureOfExperts, images: torch.Tensor, stages: Sequence[Sequence[int]], seed: int, look: Callable[[], T]
) -> tuple[list[T], list[float]]:
    """One family of changes after the other, each in a training run of its own.

    Args:
        model: its experts are pictures; trained in place.
        images: float32 (B, 784).
        stages: of each, how many numbers may move a picture, and for how many epochs.
        seed: of order and noise.
        look: called after every stage.

    Returns:
        what `look` saw, one a stage; the total loss, one an epoch.
    """
    seen, losses = [], []
    for free, epochs in stages:
        model.experts.free = free
        history = fit(
            model, images, images, epochs=epochs, batch_size=100, lr=3e-3, seed=seed, schedule="one-cycle",
            device="cpu", precision="bf16",
        )  # fmt: skip
        losses += history.total
        seen.append(look())
    return seen, losses


def one(config: dict, seed: int) -> dict:
    start, (images, tested) = time.perf_counter(), images_of(config.get("images", "as they are"))
    model = prototypes(config["manager"], images, seed)

    def accuracy() -> float:
        return agreement(model.assign(images), model.assign(tested))["accuracy"]

    by_stage, losses = fit_in_stages(model, images, config["stages"], seed, look=accuracy)
    seconds = time.perf_counter() - start
    result, found_train = evaluate(model, tested, tested), model.assign(images)
    match = match_experts(found_train, train.labels, num_experts=10)
    drawn = examine(model.experts, load_examiner(), match)
    return {
        "metrics": {
            **agreement(found_train, result.assignments),
            **gate_health(result.gate)._asdict(),
            "expected": result.expected,
            "drawn_right": drawn.accuracy,
            "drawn_digits": drawn.covered,
            "accuracy_by_stage": by_stage,
            "train_total": losses,
            **(portrait(model, tested) if seed == 0 else {}),
        },
        "seconds": seconds,
        "device": device_name(resolve_device("cpu")),
    }


if __name__ == "__main__":
    run_all(
        "prototypes",
        what="ten pictures that are moved to fit each image; map fitted on training, scored on test images",
        unit="nats per image up to a constant; shares in [0, 1]",
        code="experiments/prototypes.py",
        runs=RUNS,
        one=one,
    )
