"""The models of the book, with the settings that its chapters share."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from moe_lib.augmentation import Augmentation
from moe_lib.balance import Balance, ImportanceVariance
from moe_lib.data import Points
from moe_lib.experts import RegressionExperts, VAEExperts
from moe_lib.invariance import InvariantMixture
from moe_lib.layers import require_positive
from moe_lib.manager import ConvManager, Manager
from moe_lib.mixture import MixtureOfExperts
from moe_lib.training import History, fit


def moe_vae(
    num_experts: int = 10,
    balance: Balance | None = None,
    latent: int = 10,
    decoder_std: float = 0.5,
    top_k: int | None = None,
) -> MixtureOfExperts:
    """The mixture of VAEs of Zeldes' post: manager 784-128-E, experts 784-128-10-128-784, std 0.5. Chapter 5.

    Args:
        num_experts: E.
        balance: the post's term, ``ImportanceVariance(0.1)``, unless another is given.
        latent: Z, size of each expert's latent code.
        decoder_std: σ of the decoders.
        top_k: how many experts compute each image in training; None is all.
    """
    return MixtureOfExperts(
        manager=Manager(in_features=784, hidden=(128,), num_experts=num_experts),
        experts=VAEExperts(num_experts, in_features=784, hidden=(128,), latent=latent, decoder_std=decoder_std),
        balance=ImportanceVariance(weight=0.1) if balance is None else balance,
        top_k=top_k,
    )


def invariant_vae(num_experts: int = 10, augmentation: Augmentation | None = None) -> InvariantMixture:
    """Ten VAEs whose manager must not be swayed by small changes of an image. Chapter 8.

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
    **options,
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
        **options: device, precision, compile and progress, handed on to `fit`.

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
    settings = {"batch_size": min(500, len(x)), "seed": seed, "schedule": "one-cycle"} | options
    history = fit(best, x, relatives, epochs=epochs, lr=2e-3, on_epoch=on_epoch, **settings)
    if settle:
        later = fit(best, x, x, epochs=settle, lr=1e-3, **settings)
        history = History(*(getattr(history, name) + getattr(later, name) for name in vars(later)))
    return best, history


def best_start(build: Callable[[], InvariantMixture], x: Tensor, seeds: Sequence[int], **options) -> InvariantMixture:
    """One epoch from each seed, each image with its own changed copy; the most consistent model is kept. Chapter 8.

    Args:
        build: gives a model with new weights.
        x: images (B, D).
        seeds: of weights, order and changes; at least one.
        **options: handed on to `fit`.
    """
    best, most = None, -math.inf
    for seed in seeds:
        torch.manual_seed(seed)
        model = build()
        fit(model, x, x, epochs=1, batch_size=min(250, len(x)), lr=1e-3, seed=seed, **options)
        if (found := model.consistency(x, x)) > most:
            best, most = model, found
    return best


def fit_own(model: MixtureOfExperts, x: Tensor, seed: int, epochs: int = 40, **options) -> History:
    """The manager rests, and each expert goes on with the images that it is sent: x (B, D). Chapter 8.

    Args:
        model: its experts are trained, in place.
        x: images (B, D).
        seed: of order and noise.
        epochs: each visits the same images, as many of every expert as there are of the one with the fewest.
        **options: device, precision, compile and progress, handed on to `fit`.

    Raises:
        ValueError: if an expert is sent nothing.
    """
    model.eval()
    sent = model.assign(x).reshape(len(x), -1)[:, 0]  # in a tree the trunk's choice, where the path begins
    own = side_by_side(x, sent, model.num_experts)
    return fit(model.experts, own, own, epochs=epochs, batch_size=min(10, len(own)), lr=1e-3, seed=seed, **options)


def side_by_side(x: Tensor, owner: Tensor, num_experts: int) -> Tensor:
    """The first N images of each owner, N being how many the one with the fewest has: (B, D), int64 (B,) → (N, E, D).

    Raises:
        ValueError: if an expert owns nothing.
    """
    own = [x[owner == i] for i in range(num_experts)]
    if idle := [i for i, images in enumerate(own) if len(images) == 0]:
        raise ValueError(f"experts {idle} own no image; each needs at least one")
    return torch.stack([images[: min(map(len, own))] for images in own], dim=1)


def fit_parabolas(
    points: Points,
    seed: int,
    epochs: int = 120,
    manager: nn.Module | None = None,
    kind: type[MixtureOfExperts] = MixtureOfExperts,
    **options,
) -> tuple[MixtureOfExperts, History]:
    """One training run of two quadratic experts from one random start. Chapters 2 and 3.

    Args:
        points: x and y; the segments are not looked at.
        seed: of the starting weights and of the order of points.
        epochs: passes over the points, in batches of 50.
        manager: 1-16-2 with tanh units, unless another is given.
        kind: the class of the mixture, for comparing objectives.
        **options: handed on to `fit`.
    """
    torch.manual_seed(seed)
    if manager is None:
        manager = Manager(in_features=1, hidden=(16,), num_experts=2, activation="tanh")
    model = kind(manager, RegressionExperts(num_experts=2, degree=2))
    rates = {"manager": 0.02, "experts": 0.05}  # slower, so that experts have something to offer before it decides
    lr = {name: rate for name, rate in rates.items() if any(True for _ in model.get_submodule(name).parameters())}
    options = {"device": "cpu", "progress": False} | options  # too small to be worth a GPU
    history = fit(model, points.x, points.y, epochs=epochs, batch_size=50, lr=lr, seed=seed, **options)
    return model, history
