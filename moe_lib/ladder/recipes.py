"""The models of chapters 8 and 9, with the settings that they share, and how they are trained."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn, stack

from moe_lib.experts import VAEExperts
from moe_lib.ladder.augmentation import Augmentation
from moe_lib.ladder.convolutional import ConvManager
from moe_lib.ladder.invariance import InvariantMixture
from moe_lib.ladder.schedules import one_cycle
from moe_lib.layers import require_positive
from moe_lib.mixture import MixtureOfExperts
from moe_lib.training import History, fit, seeded


def invariant_vae(num_experts: int = 10, augmentation: Augmentation | None = None) -> InvariantMixture:
    """VAEs with an augmentation-invariant manager: small changes of an image leave its choice alone. Chapter 8.

    A convolutional manager, experts 784-128-10-128-784 with ReLU, and the settings of `InvariantMixture`.

    Args:
        num_experts: E.
        augmentation: the changes, `Augmentation` as it comes unless another is given.
    """
    return InvariantMixture(
        manager=ConvManager(num_experts),
        experts=VAEExperts(num_experts, in_features=784, hidden=(128,), latent=10, activation="relu"),
        augmentation=augmentation,
    )


def fit_invariant(
    x: Tensor,
    relatives: Tensor,
    seed: int,
    epochs: int = 20,
    settle: int = 5,
    starts: int = 4,
    augmentation: Augmentation | None = None,
    build: Callable[..., InvariantMixture] = invariant_vae,
    on_epoch: Callable[[int, nn.Module], None] | None = None,
    **options: Any,
) -> tuple[InvariantMixture, History]:
    """Several short starts with gentle changes; the most consistent one goes on with stronger changes. Chapter 8.

    First it learns from pairs of relatives, then, for it to settle, from each image and itself: two images that look
    alike are not always the same digit. No label is needed anywhere: `InvariantMixture.consistency` on the training
    images chooses.

    Args:
        x: images (B, D).
        relatives: an image that looks like each (B, D), or x itself. The starts use x itself.
        seed: of weights, order and changes; start k has the seed ``starts * seed + k``.
        epochs: after the start, with a one-cycle rate of at most 2e-3, in batches of 500.
        settle: epochs after those, with a one-cycle rate of at most 1e-3; 0 leaves them out.
        starts: of one epoch each, at a rate of 1e-3, in batches of 250.
        augmentation: the stronger changes, `Augmentation` as it comes unless another is given.
        build: from an augmentation to a model.
        on_epoch: as in `fit`, for the epochs with relatives.
        **options: device, precision, step and progress, handed on to `fit`.

    Returns:
        the model, and the history of all epochs after the start.

    Raises:
        ValueError: if there is no start.
        FloatingPointError: if a loss stops being finite.
    """
    require_positive("starts", starts)
    seeds = range(starts * seed, starts * (seed + 1))
    best = best_start(lambda: build(augmentation=Augmentation.gentle()), x, seeds, **options)
    best.augmentation = augmentation or Augmentation()
    settings = {"batch_size": min(500, len(x)), "seed": seed, "schedule": one_cycle} | options
    history = fit(best, x, relatives, epochs=epochs, lr=2e-3, on_epoch=on_epoch, **settings)
    if settle:
        later = fit(best, x, x, epochs=settle, lr=1e-3, **settings)
        for curve in ("expected", "balancing", "seconds"):
            getattr(history, curve).extend(getattr(later, curve))
    return best, history


def best_start(
    build: Callable[[], InvariantMixture], x: Tensor, seeds: Sequence[int], **options: Any
) -> InvariantMixture:
    """One epoch from each seed, each image with its own changed copy; the most consistent model is kept. Chapter 8.

    Args:
        build: gives a model with new weights.
        x: images (B, D).
        seeds: of weights, order and changes; at least one.
        **options: handed on to `fit`.

    Raises:
        ValueError: if there is no seed.
    """
    if len(seeds) == 0:
        raise ValueError("seeds is empty; give at least one")
    best, most = None, -math.inf
    for seed in seeds:
        with seeded(seed):
            model = build()
        fit(model, x, x, epochs=1, batch_size=min(250, len(x)), lr=1e-3, seed=seed, **options)
        if (found := model.consistency(x, x)) > most:
            best, most = model, found
    return best


def finetune_experts(model: MixtureOfExperts, x: Tensor, seed: int, epochs: int = 40, **options: Any) -> History:
    """The manager is frozen, and each expert goes on with the images that it is sent: x (B, D). Chapter 8.

    Args:
        model: its experts are trained, in place. Of a tree, the mixtures under the trunk.
        x: images (B, D).
        seed: of order and noise.
        epochs: each visits the same images, as many of every expert as there are of the one with the fewest.
        **options: device, precision, step and progress, handed on to `fit`.

    Raises:
        ValueError: if an expert is sent nothing.
    """
    images = side_by_side(x, model.assign(x), model.num_experts)
    batch_size = min(10, len(images))
    return fit(model.experts, images, images, epochs=epochs, batch_size=batch_size, lr=1e-3, seed=seed, **options)


def side_by_side(x: Tensor, owner: Tensor, num_experts: int) -> Tensor:
    """The first N images of each owner, N being how many the one with the fewest has: (B, D), int64 (B,) → (N, E, D).

    Raises:
        ValueError: if an expert owns nothing.
    """
    images = [x[owner == i] for i in range(num_experts)]
    if idle := [i for i, some in enumerate(images) if len(some) == 0]:
        raise ValueError(f"experts {idle} are sent no image; each needs at least one")
    return stack([some[: min(map(len, images))] for some in images], dim=1)
