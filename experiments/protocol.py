"""What the experiments on MNIST share: images, the post's model with other parts, and how a run is made and scored.

This is no experiment. A script beside it is a list of runs and one function, and gets the rest from here. No label
reaches a training, but in examiner.py and supervised_reference.py, which say so.
"""

import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from moe_lib import Digits, ImportanceVariance, Manager, MixtureOfExperts, VAEExperts, fit, mnist, moe_vae
from moe_lib.ladder import (
    Augmentation,
    InvariantMixture,
    deskew,
    finetune_experts,
    fit_invariant,
    group_experts,
    joint_use,
    load_examiner,
    neighbours,
    one_cycle,
    relatives,
)
from moe_lib.measures import accuracy, both_protocols, measure, portrait, summary
from moe_lib.records.experiment import outcome
from moe_lib.records.provenance import fingerprint
from moe_lib.scaling import compiled_step
from moe_lib.training import History

T = TypeVar("T")
EPOCHS, COLLAPSE = 10, 90.0  # nats that a full collapse of the post's model costs
BF16 = {"device": "cpu", "precision": "bf16"}
FAST = {**BF16, "step": compiled_step}  # the fast way of chapter 6
BEST = {"starts": 4, "epochs": 20, "settle": 5, "finetune": 40, "neighbours": 5, "erase": 0.7}
NAMES = (
    "names of experts: fitted on the test images in runs made before 26 November 2026, since then on training images"
)
BOTH = (
    "nats per image; shares in [0, 1]; accuracy: names from training images, scored on test images; accuracy_all: "
    "all 70,000 at once"
)
KEPT = Path(__file__).parent / "weights"  # of runs that others go on from; not in the repository
PREPARED: dict[str, Callable[[Tensor], Tensor]] = {
    "raw": lambda images: images,
    "deskewed": partial(deskew, rescale=False),
    "deskewed and scaled": deskew,
}


@cache
def digits(prepared: str) -> tuple[Digits, Digits]:
    """All training and all test images, prepared in one of three ways, with their labels."""
    if prepared == "raw":
        return mnist()
    return tuple(part._replace(images=PREPARED[prepared](part.images)) for part in digits("raw"))


@cache
def nearest() -> Tensor:
    """The five nearest others of each training image (B, 5), found once; a minute or two."""
    return neighbours(digits("raw")[0].images, k=5)


# The post's model with other parts


def post(kind: type[MixtureOfExperts] = MixtureOfExperts, **parts) -> MixtureOfExperts:
    """The post's model, but for the parts that are given."""
    usual = {"manager": Manager(784, 10), "experts": VAEExperts(10), "balance": ImportanceVariance(0.1)}
    return kind(**usual | parts)


def crowd(num_experts: int) -> MixtureOfExperts:
    """The post's model with E experts, of which a full collapse, in a batch of 100, costs what it costs of ten."""
    return moe_vae(num_experts, ImportanceVariance(COLLAPSE * num_experts**2 / ((num_experts - 1) * 100**2)))


# Runs


def train_and_measure(
    build: Callable[[], MixtureOfExperts],
    epochs: int,
    seed: int,
    measures: Callable[[MixtureOfExperts], dict[str, Any]] | None = None,
    prepared: str = "raw",
    looks: Sequence[int] = (),
    **options,
) -> dict[str, Any]:
    """One run with the post's settings: a model of this seed is trained and measured.

    Args:
        build: gives the model.
        epochs, seed: of the training.
        measures: what is asked of the model; `summary` unless given.
        prepared: how its images are.
        looks: the epochs after which its accuracy is noted.
        **options: those of `fit`.
    """
    train, test = digits(prepared)
    watch, by_epoch = accuracy_at(looks, prepared)
    torch.manual_seed(seed)
    model, options = build(), {"device": "cpu", **options}
    settings = {"epochs": epochs, "batch_size": 100, "lr": 1e-3, "seed": seed, **options}
    history = fit(model, train.images, train.images, on_epoch=watch, **settings)
    measured = measures(model) if measures else summary(model, train, test)
    metrics = {**measured, "train_expected": history.expected}
    if looks:
        metrics["accuracy_by_epoch"] = by_epoch
    return outcome(metrics, sum(history.seconds), options.get("precision", "fp32"))


def fit_in_stages(
    model: MixtureOfExperts, images: Tensor, stages: Sequence[Sequence[int]], seed: int, look: Callable[[], T]
) -> tuple[list[T], list[float]]:
    """Prototypes learn one family of changes after the other, each in a training run of its own.

    Args:
        model: its experts are `PrototypeExperts`; trained in place.
        images: float32 (B, 784).
        stages: of each, how many numbers may move a prototype, and for how many epochs.
        seed: of order and noise.
        look: called after every stage.

    Returns:
        what `look` saw, one a stage; the total loss, one an epoch.
    """
    seen, losses = [], []
    for free, epochs in stages:
        model.experts.free = free
        history = fit(
            model, images, images, epochs=epochs, batch_size=100, lr=3e-3, seed=seed, schedule=one_cycle, **BF16
        )
        losses += history.total
        seen.append(look())
    return seen, losses


def fit_best(
    config: dict, seed: int, on_epoch: Callable[[int, InvariantMixture], None] | None = None
) -> tuple[InvariantMixture, History, float]:
    """A run of the ladder's best rung: the model, the history of its manager's training, and seconds in all."""
    images, k = digits("raw")[0].images, config["neighbours"]
    pairs = relatives(images, nearest()[:, :k], seed) if k else images
    start = time.perf_counter()
    stages = {name: config[name] for name in ("starts", "epochs", "settle")}
    augmentation = Augmentation(erase=config["erase"])
    model, history = fit_invariant(images, pairs, seed, **stages, augmentation=augmentation, on_epoch=on_epoch, **BF16)
    if config["finetune"]:
        finetune_experts(model, images, seed, epochs=config["finetune"], **FAST)
    return model, history, time.perf_counter() - start


@cache
def best_name(seed: int) -> str:
    """Under which name its weights are kept: other code makes other weights."""
    made_by = fingerprint(Path(__file__), entry="fit_best")
    return f"best-{seed}-{made_by['code'][:6]}{made_by['library'][:6]}"


# Scores


def accuracy_of(model: MixtureOfExperts, prepared: str = "raw") -> float:
    """Names of experts fitted on all training images, scored on all test images."""
    train, test = digits(prepared)
    return accuracy(model.assign(train.images), train.labels, model.assign(test.images), test.labels)


def scores_of(model: MixtureOfExperts) -> dict[str, float]:
    """How its division of raw images agrees with their labels, by both protocols."""
    train, test = digits("raw")
    return both_protocols(model.assign(train.images), train.labels, model.assign(test.images), test.labels)


def accuracy_at(
    epochs: Sequence[int], prepared: str = "raw"
) -> tuple[Callable[[int, MixtureOfExperts], None], dict[str, float]]:
    """What `fit` may call after every epoch, and the accuracies by epoch that it notes."""
    found: dict[str, float] = {}

    def watch(epoch: int, model: MixtureOfExperts) -> None:
        if epoch in epochs:
            found[str(epoch)] = accuracy_of(model, prepared)

    return watch, found


def measures(model: MixtureOfExperts, seed: int, prepared: str = "raw") -> dict[str, Any]:
    """All that chapters 7 to 9 ask of a mixture of VAEs; of seed 0 a portrait as well."""
    train, test = digits(prepared)
    measured = measure(model, train, test, load_examiner(), ten_groups(model, train.images))
    return {**measured, **(portrait(model, test) if seed == 0 else {})}


@torch.no_grad()
def ten_groups(model: MixtureOfExperts, images: Tensor) -> Tensor:
    """The group of each expert, int64 (E,): itself if there are ten; of more, those that share nearest neighbours."""
    if model.num_experts == 10:
        return torch.arange(10)
    related = relatives(images, nearest(), seed=0)
    p, q = (torch.cat([model.gate(part) for part in x.split(1000)]) for x in (images, related))
    return group_experts(joint_use(p, q), num_groups=10)
