"""The post's MoE-VAE with one change at a time: does it sort digits better? Read by chapter 8.

    python experiments/ladder.py

About two and a half hours on 2 CPU cores; goes on where it was stopped

Ten epochs over five seeds each, in the fast way of chapter 6. The balancing terms have weights by one rule, fixed
before the first run: a full collapse costs 90 nats more than balance, as the post's does (the KL of the gate is what
the ELBO says, weight 1). The thirty experts are merged into ten by nearest neighbours, prior knowledge that no other
run here has. Labels score the runs; they choose nothing.
"""

import math
from collections.abc import Callable
from functools import partial

from protocol import COLLAPSE, EPOCHS, FAST, crowd, measures, post, train_and_measure

from moe_lib import (
    ImportanceVariance,
    Information,
    Manager,
    MixtureOfExperts,
    SwitchBalance,
    VAEExperts,
    moe_vae,
)
from moe_lib.ladder import (
    AnnealedManager,
    BiasedManager,
    ConvManager,
    ConvVAEExperts,
    Floor,
    GateKL,
    LikelihoodMixture,
    SinkhornManager,
    SumOf,
)
from moe_lib.records.experiment import Experiment

STEPS = EPOCHS * 60_000 // 100
RUNGS: dict[str, Callable[[], MixtureOfExperts]] = {
    "post": moe_vae,
    "elbo": lambda: post(balance=GateKL(1.0)),
    "elbo and balance": lambda: post(balance=SumOf(ImportanceVariance(0.1), GateKL(1.0))),
    "likelihood": lambda: post(LikelihoodMixture),
    "likelihood alone": lambda: post(LikelihoodMixture, balance=None),
    "switch": lambda: post(balance=SwitchBalance(COLLAPSE / 9)),
    "floor": lambda: post(balance=Floor(COLLAPSE / (9 * 0.05), share=0.05)),
    "information": lambda: post(balance=Information(COLLAPSE / math.log(10))),
    "bias": lambda: post(manager=BiasedManager(Manager(784, 10)), balance=None),
    "sinkhorn": lambda: post(manager=SinkhornManager(Manager(784, 10)), balance=None),
    "annealing": lambda: post(manager=AnnealedManager(Manager(784, 10), start=5.0, steps=STEPS)),
    "latent 2": lambda: moe_vae(latent=2),
    "std 0.3": lambda: moe_vae(decoder_std=0.3),
    "relu": lambda: post(experts=VAEExperts(10, activation="relu")),
    "conv decoder": lambda: post(experts=ConvVAEExperts(10)),
    "conv manager": lambda: post(manager=ConvManager(10)),
    "30 experts": lambda: crowd(30),
}
RUNS = [({"rung": rung, "epochs": EPOCHS}, seed) for seed in range(5) for rung in RUNGS]


def one(config: dict, seed: int) -> dict:
    return train_and_measure(RUNGS[config["rung"]], config["epochs"], seed, partial(measures, seed=seed), **FAST)


EXPERIMENT = Experiment(
    name="ladder",
    what="the post's MoE-VAE with one change, after 10 epochs; map fitted on training, scored on test images",
    unit="nats per image; shares in [0, 1]; losses of different latent, std or objective do not compare",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
