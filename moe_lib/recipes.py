"""The two models of the book, with the settings that its chapters share."""

import torch
from torch import nn

from moe_lib.balance import Balance, ImportanceVariance
from moe_lib.data import TwoParabolas
from moe_lib.experts import RegressionExperts, VAEExperts
from moe_lib.manager import Manager
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


def fit_parabolas(
    points: TwoParabolas,
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
