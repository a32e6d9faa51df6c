"""What every experiment on MNIST does alike: train one mixture as the post does, and score it on the test images."""

from collections.abc import Callable

import torch
from sklearn.metrics import normalized_mutual_info_score

from moe_lib import Digits, MixtureOfExperts, clustering_accuracy, evaluate, fit, gate_health, mnist, resolve_device
from moe_lib.results import device_name

train, test = mnist()


def score(model: MixtureOfExperts, digits: Digits) -> dict[str, float]:
    """Losses in nats per image, agreement with the labels in [0, 1], and the health of the gate."""
    result = evaluate(model, digits.images, digits.images)
    return {
        "expected": result.expected,
        "best_expert": result.losses.min(dim=1).values.mean().item(),
        "accuracy": clustering_accuracy(result.assignments, digits.labels),
        "nmi": float(normalized_mutual_info_score(digits.labels, result.assignments)),
        **gate_health(result.gate)._asdict(),
    }


def train_and_score(
    build: Callable[[], MixtureOfExperts],
    epochs: int,
    seed: int,
    watch: Callable[[int, MixtureOfExperts], None] | None = None,
    **options,
) -> dict:
    """One run as `run_all` wants it. No label reaches the training; `watch` sees the model after every epoch.

    The options are those of `fit`.
    """
    torch.manual_seed(seed)
    model = build()
    history = fit(
        model, train.images, train.images, epochs=epochs, batch_size=100, lr=1e-3, seed=seed, progress=False,
        on_epoch=watch, **options,
    )  # fmt: skip
    return {
        "metrics": {**score(model, test), "train_expected": history.expected},
        "seconds": sum(history.seconds),
        "device": device_name(resolve_device()),
    }
