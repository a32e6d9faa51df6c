"""What every experiment on MNIST does alike: train one mixture as the post does, and score it on the test images.

`score` fits the map of experts to digits on the test images, as clustering papers do: enough to compare runs of one
kind. `measure` is the full and stricter account of chapters 7 and 8: its map is fitted on the training images.
"""

import base64
import warnings
from collections.abc import Callable, Sequence
from functools import cache

import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from torch import Tensor
from torchvision.io import encode_png

from moe_lib import (
    Digits,
    MixtureOfExperts,
    clustering_accuracy,
    contingency,
    evaluate,
    examine,
    fit,
    gate_health,
    group_experts,
    iwae,
    joint_use,
    load_examiner,
    match_experts,
    mnist,
    negative_elbo,
    neighbours,
    purity,
    relatives,
    resolve_device,
    sevens,
)
from moe_lib.results import device_name

train, test = mnist()
IWAE_IMAGES, IWAE_SAMPLES = 200, 1000

# A machine that cannot compile, or has no bfloat16, must not pretend.
warnings.filterwarnings("error", message=".*(is not compiled|has no bfloat16)")


def score(model: MixtureOfExperts, digits: Digits = test) -> dict[str, float]:
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
    measures: Callable[[MixtureOfExperts], dict[str, float]] = score,
    images: Tensor = train.images,
    **options,
) -> dict:
    """One run as `run_all` wants it. No label reaches the training; `watch` sees the model after every epoch.

    The options are those of `fit`.
    """
    torch.manual_seed(seed)
    model = build()
    history = fit(model, images, images, epochs=epochs, batch_size=100, lr=1e-3, seed=seed, on_epoch=watch, **options)
    return {
        "metrics": {**measures(model), "train_expected": history.expected},
        "seconds": sum(history.seconds),
        "device": device_name(resolve_device(options.get("device"))),
    }


@cache
def nearest() -> Tensor:
    """The five nearest others of each training image (B, 5), found once; a minute or two."""
    return neighbours(train.images, k=5)


def accuracy_at(
    epochs: Sequence[int], accuracy: Callable[[MixtureOfExperts], float]
) -> tuple[dict[str, float], Callable[[int, MixtureOfExperts], None]]:
    """An empty record of accuracies by epoch, and what fills it at these epochs: a `watch` for `train_and_score`."""
    found: dict[str, float] = {}

    def watch(epoch: int, model: MixtureOfExperts) -> None:
        if epoch in epochs:
            found[str(epoch)] = accuracy(model)

    return found, watch


def agreement(found_train: Tensor, found_test: Tensor) -> dict[str, float]:
    """How well a division of the test images agrees with their labels; its map comes from the training images.

    Args:
        found_train, found_test: int64 (B,), the cluster or expert of each image.
    """
    num_clusters = int(torch.cat([found_train, found_test]).max()) + 1
    match = match_experts(found_train, train.labels, num_clusters)
    return {
        "accuracy": share_right(match, found_test),
        "nmi": float(normalized_mutual_info_score(test.labels, found_test)),
        "ari": float(adjusted_rand_score(test.labels, found_test)),
        "purity": purity(found_test, test.labels),
    }


def share_right(match: Tensor, found: Tensor) -> float:
    """Share of test images whose expert is named after their digit: match (E,), found (B,)."""
    return (match[found] == test.labels).float().mean().item()


@torch.no_grad()
def ten_groups(model: MixtureOfExperts, images: Tensor) -> Tensor:
    """The group of each expert, int64 (E,): itself if there are ten; of more, those that share nearest neighbours."""
    if model.num_experts == 10:
        return torch.arange(10)
    related = relatives(images, nearest(), seed=0)
    p, q = (torch.cat([model.gate(part) for part in x.split(1000)]) for x in (images, related))
    return group_experts(joint_use(p, q), num_groups=10)


def measure(
    model: MixtureOfExperts, train_images: Tensor = train.images, test_images: Tensor = test.images
) -> dict[str, float]:
    """Everything that chapter 7 asks of a mixture of VAEs; the IWAE of the first `IWAE_IMAGES` test images only."""
    group = ten_groups(model, train_images)
    found_train = group[model.assign(train_images)]
    result = evaluate(model, test_images, test_images)
    match = match_experts(found_train, train.labels, num_experts=10)[group]  # the digit of each expert (E,)
    elbo = negative_elbo(model, test_images)
    drawn = examine(model.experts, load_examiner(), match)
    return {
        **agreement(found_train, group[result.assignments]),
        "expert_purity": purity(result.assignments, test.labels),
        **gate_health(result.gate)._asdict(),
        "expected": result.expected,
        "accuracy_by_loss": share_right(match, result.losses.argmin(dim=1)),
        "accuracy_by_posterior": share_right(match, (result.gate.log() - result.losses).argmax(dim=1)),
        **elbo._asdict(),
        "negative_elbo": elbo.total,
        "iwae": iwae(model, test_images[:IWAE_IMAGES], IWAE_SAMPLES),
        "drawn_right": drawn.accuracy,
        "drawn_digits": drawn.covered,
    }


def sevens_by(found: Tensor, num_experts: int) -> dict[str, list[int]]:
    """How many of the test sevens sorted by eye, with a bar and without, each expert gets: found int64 (B,)."""
    return {kind: found[i].bincount(minlength=num_experts).tolist() for kind, i in sevens()._asdict().items()}


def portrait(model: MixtureOfExperts, test_images: Tensor = test.images) -> dict:
    """What a chapter shows of one run: how experts and digits meet on the test images, and three drawings of each."""
    drawn = torch.stack([model.generate(i, 3, seed=0) for i in range(model.num_experts)], dim=1)  # (3, E, 784)
    strip = drawn.unflatten(2, (28, 28)).permute(0, 2, 1, 3).reshape(1, 3 * 28, -1)  # (1, 84, 28 E)
    png = encode_png((255 * strip).round().to(torch.uint8))
    return {
        "counts": contingency(model.assign(test_images), test.labels, model.num_experts).tolist(),
        "drawings": base64.b64encode(bytes(png.tolist())).decode(),
    }
